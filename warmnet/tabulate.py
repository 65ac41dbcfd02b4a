"""What a network is made of, layer by layer: path, output shape, parameters, multiply-adds. Nothing is computed for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils._pytree import tree_leaves

from .efficientnet import Variant, WarmEfficientNet


class Row(NamedTuple):
    """One block or layer with all that is in it. `shape` is its (last) output's, None if this forward does not call it."""

    path: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int
    macs: int


@dataclass(frozen=True, repr=False)
class Table:
    """A network's rows, blocks before what is in them, and its totals for an input of `shape`. It prints as text."""

    kind: str
    shape: tuple[int, ...]
    rows: tuple[Row, ...]
    parameters: int
    macs: int
    macs_with_bias: int

    def __repr__(self) -> str:
        return self.text()

    def text(self, depth: int | None = 2) -> str:
        """The rows down to `depth` names in a path, or all for None, as aligned columns, and the totals."""
        rows = [
            (self.kind, "", "output", "parameters", "multiply-adds"),
            ("input", "", str(self.shape), "", ""),
            *(_cells(row) for row in self.rows if depth is None or row.path.count(".") < depth),
            ("total", "", "", f"{self.parameters:,}", f"{self.macs:,}"),
            ("with biases", "", "", "", f"{self.macs_with_bias:,}"),
        ]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(align(cell, width) for align, cell, width in zip(_ALIGN, row, widths)).rstrip() for row in rows]
        rule = "─" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-2], rule, *lines[-2:]])


_ALIGN = str.ljust, str.ljust, str.rjust, str.rjust, str.rjust


def _cells(row: Row) -> tuple[str, ...]:
    """A row as text: the last name of its path, indented by its depth; nothing for what it has not."""
    depth, name = row.path.count("."), row.path.rpartition(".")[2]
    numbers = (f"{n:,}" if n else "" for n in (row.parameters, row.macs))
    return "  " * depth + name, row.kind, str(row.shape or ""), *numbers


def tabulate(model: str | Variant | nn.Module, shape: Sequence[int] | None = None, resolution: int | None = None) -> Table:
    """The table of a network in eval mode: of a variant or its name, or of a built model on any device, which stays as it is.

    Multiply-adds are those of convolutions and linear layers for the whole input, with each kernel as it was asked for, however
    padding is carried out. `macs_with_bias` has one more for each number that a bias is added to.

    - `shape`: the input's, (B, C, H, W). An EfficientNet needs none: default (1, in_channels, resolution, resolution).
    - `resolution`: the side of an EfficientNet's square input. Default: the variant's own.

    >>> from warmnet.tabulate import tabulate
    >>> table = tabulate('b0')
    >>> table.parameters, table.macs, table.macs_with_bias
    (5288548, 385814752, 385825092)
    >>> table.rows[0]
    Row(path='stem', kind='conv_bn_act', shape=(1, 32, 112, 112), parameters=928, macs=10838016)
    """
    if not isinstance(model, nn.Module):
        model = WarmEfficientNet(model, device="meta")
    shape = _shape(model, shape, resolution)
    shapes, macs, biases = _visit(model, shape)
    rows = tuple(
        Row(path, module._get_name(), shapes.get(module), _parameters(module), sum(macs[m] for m in module.modules()))
        for path, module in model.named_modules()
        if path
    )
    return Table(model._get_name(), shape, rows, _parameters(model), macs.total(), macs.total() + biases.total())


def _shape(model: nn.Module, shape: Sequence[int] | None, resolution: int | None) -> tuple[int, ...]:
    if shape is not None and resolution is not None:
        raise ValueError(f"shape={tuple(shape)} and resolution={resolution} were both given. Give one of them.")
    if shape is not None:
        return tuple(shape)
    if not isinstance(model, WarmEfficientNet):
        raise ValueError(f"{model._get_name()} does not say what its input is. Pass its shape, such as shape=(1, 3, 64, 64).")
    side = model.resolution if resolution is None else resolution
    return 1, model.in_channels, side, side


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _visit(model: nn.Module, shape: tuple[int, ...]) -> tuple[dict[nn.Module, Any], Counter[nn.Module], Counter[nn.Module]]:
    """Each module's output shape, multiply-adds and additions of a bias, as one forward on 'meta' meets them."""
    shapes, macs, biases = {}, Counter[nn.Module](), Counter[nn.Module]()

    def note(module: Any, args: Any, out: Any) -> None:
        y = next((leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)), None)
        shapes[module] = None if y is None else tuple(y.shape)
        if y is not None and isinstance(module, (_ConvNd, nn.Linear)):
            each = args[0] if isinstance(module, _ConvTransposeNd) else y
            macs[module] += each.numel() * module.weight[0].numel()
            biases[module] += 0 if module.bias is None else y.numel()

    modes = {module: module.training for module in model.modules()}
    tensors = {name: torch.empty_like(x, device="meta") for name, x in chain(model.named_parameters(), model.named_buffers())}
    dtype = next((x.dtype for x in tensors.values() if x.is_floating_point()), None)
    hooks = [module.register_forward_hook(note) for module in modes]
    try:
        model.eval()
        with torch.no_grad(), torch.device("meta"):
            torch.func.functional_call(model, tensors, torch.empty(shape, dtype=dtype))
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    return shapes, macs, biases
