"""What a network is made of, layer by layer: path, call, output, stride, parameters, multiply-adds, activations."""

from __future__ import annotations

import copy
import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from .. import functional as W
from ..engine.block import Block
from ..engine.messages import Arguments, join, named, setting, setting_names
from ..engine.module import WarmModule
from ..engine.pywarm import up
from ..networks.classifier import Classifier
from ..networks.efficientnet import VARIANTS, Variant, WarmEfficientNet
from .layout import aligned, bar, cell, count, indented, last, megabytes, name, nested, shortened, widths

LEADING = "size", "rate", "shape", "groups", "heads"  # settings that are written without their names where they come first

Network = str | Variant | nn.Module | Callable[..., Any]


class Row(NamedTuple):
    """One block or layer with all that is in it.

    - `call`: as it is written, without what is left at its default.
    - `shape`: of its (last) output; None if this forward does not call it.
    - `stride`: how many rows of the input one row of the output stands for; None where the output is no such map.
    - `macs`: multiply-adds, see `tabulate`.
    - `activations`: bytes of what the layers in it put out.
    """

    path: str
    call: str
    shape: tuple[int, ...] | None
    stride: float | None
    parameters: int
    macs: int
    activations: int


@dataclass(frozen=True, repr=False)
class Table:
    """A network's rows, blocks before what is in them, and its totals for `inputs`. It shows as text, in Jupyter as HTML."""

    call: str
    inputs: tuple[tuple[int, ...], ...]
    rows: tuple[Row, ...]
    parameters: int
    macs: int
    macs_with_bias: int
    activations: int

    def __repr__(self) -> str:
        return self.text()

    def text(self, depth: int | None = 2) -> str:
        """The rows down to `depth` names in a path, or all for None, as aligned columns, and the totals."""
        rows = [
            (self.call, "", "output", "stride", "parameters    ", "multiply-adds    ", "MB put out    "),
            *(("input", "", str(shape), "", "", "", "") for shape in self.inputs),
            *(self._cells(row) for row in self.rows if depth is None or row.path.count(".") < depth),
            ("total", "", "", "", f"{self.parameters:,}    ", f"{self.macs:,}    ", f"{megabytes(self.activations)}    "),
            ("with biases", "", "", "", "", f"{self.macs_with_bias:,}    ", ""),
        ]
        lines = aligned(rows, left=2)
        rule = "─" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-2], rule, *lines[-2:]])

    def _cells(self, row: Row) -> tuple[str, ...]:
        numbers = (f"{text} {bar(share)}" if text else "" for text, share in self._shares(row))
        return indented(row.path), shortened(row.call, 26), str(row.shape or ""), _number(row.stride), *numbers

    def _shares(self, row: Row) -> list[tuple[str, float]]:
        """The row's parameters, multiply-adds and activations as text, "" for 0, and as shares of the total."""
        texts = count(row.parameters), count(row.macs), megabytes(row.activations)
        totals = self.parameters, self.macs, self.activations
        return [(text, n / (total or 1)) for text, n, total in zip(texts, row[-3:], totals)]

    def _repr_html_(self) -> str:
        """All rows, those of a block folded into it."""
        head = "output", "stride", "parameters", "multiply-adds", "MB put out"
        totals = "", "", f"{self.parameters:,}", f"{self.macs:,}", megabytes(self.activations)
        rows, figures = [], list[tuple[str, ...]]([head, totals])
        for row in self.rows:
            given, shares = (str(row.shape or ""), _number(row.stride)), self._shares(row)
            cells = [*map(cell, given), *(cell(text, share) for text, share in shares)]
            rows.append((row.path, name(last(row.path), row.call) + "".join(cells)))
            figures.append((*given, *(text for text, _ in shares)))
        return nested(
            "minmax(8em,1fr) " + widths(figures),
            name(self.call, "input " + ", ".join(map(str, self.inputs))) + "".join(map(cell, head)),
            rows,
            name("total", "") + "".join(map(cell, totals)),
            [f"{self.macs_with_bias:,} multiply-adds with biases"],
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, each row as a dict."""
        return {**vars(self), "rows": [row._asdict() for row in self.rows]}


def _number(n: float | None) -> str:
    return "" if n is None else f"{n:g}"


def tabulate(model: Network, input: Any = None) -> Table:
    """The table of a network in eval mode. Nothing is computed or allocated for it, and the network stays as it is.

    Multiply-adds are those of convolutions, linear layers and `nn.MultiheadAttention` for the whole input, with each kernel as
    it was asked for, however padding is carried out, and nothing saved by masks. `macs_with_bias` has one more for each number
    that a bias is added to. Activations are the outputs of layers, at each call; what functions between layers put out is not
    counted.

    - `model`: a module, built or not, on any device; a forward function that calls `W`'s layers; a variant or its name.
    - `input`: its shape, such as (1, 3, 64, 64), a tensor or an array; or a tuple of these for several inputs. An
      EfficientNet needs none: default (1, in_channels, resolution, resolution).

    >>> import warmnet
    >>> table = warmnet.tabulate('b0')
    >>> table.parameters, table.macs, table.macs_with_bias
    (5288548, 385814752, 385825092)
    >>> table.rows[0].call, table.rows[0].shape, table.rows[0].stride
    ('conv_bn_act(32, kernel=3, stride=2)', (1, 32, 112, 112), 2)
    """
    with _ShapesAlone():
        return _tabulated(_network(model), input)


def _tabulated(network: nn.Module, input: Any) -> Table:
    if input is None and not isinstance(network, Classifier):
        raise ValueError(f"{network._get_name()} does not say what its input is. Pass its shape, such as (1, 3, 64, 64).")
    if input is None:
        input = 1, network.in_channels, network.resolution, network.resolution
    several = isinstance(input, tuple) and not all(isinstance(n, int) for n in input)
    network, inputs = _built(network, [*input] if several else [input])
    notes = _visit(network, inputs)
    rows = [row for path, module in network.named_modules() for row in _rows(network, path, module, notes)]
    shapes = tuple(tuple(x.shape) for x in tree_leaves(inputs))
    total = rows.pop(0)
    return Table(total.call, shapes, tuple(rows), *total[-3:-1], total.macs + notes.biases.total(), total.activations)


class _ShapesAlone(TorchFunctionMode):
    """Answers the operations of an EfficientNet on 'meta' by their shapes; the first one that torch answers takes it a second.

    All others are left to torch, and so are those that raise an error.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kw: Any = None) -> Any:
        kw = kw or {}
        x = kw.get("tensor") if function in _INITIAL else args[0] if args and function in _SHAPES else None
        if not isinstance(x, Tensor) or not x.is_meta or not x.is_floating_point():
            return function(*args, **kw)
        if function in _INITIAL or kw == {"inplace": True}:
            return x
        given, settings = args, kw
        if function is F.batch_norm and not kw["training"]:
            given, settings = (x, kw["weight"], kw["bias"], *args[1:3]), {}
        shape = _SHAPES[function](*given) if settings in ({}, {"inplace": False}) else None
        if shape is None or min(shape, default=1) < 1:
            return function(*args, **kw)
        return torch.empty_like(x) if shape == x.shape else x.new_empty(shape)


def _as_it_is(x: Tensor) -> Any:
    return x.shape


def _normalized(x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, *_: Any) -> Any:
    return x.shape if all(_fits(x, y, x.shape[1]) for y in (weight, bias, mean, var)) else None


def _fits(x: Tensor, y: Any, size: int) -> bool:
    return y is None or (y.shape == (size,) and y.dtype == x.dtype)


def _broadcast(x: Tensor, y: Any) -> Any:
    alike = isinstance(y, Tensor) and (x.ndim, x.dtype, x.device) == (y.ndim, y.dtype, y.device)
    return x.shape if alike and all(m in (1, n) for n, m in zip(x.shape, y.shape)) else None


def _pooled(x: Tensor, size: Any) -> Any:
    return (*x.shape[:-2], size, size) if isinstance(size, int) and x.ndim in (3, 4) else None


def _linear(x: Tensor, weight: Tensor, bias: Any = None) -> Any:
    fits = x.shape[-1:] == weight.shape[1:] and x.dtype == weight.dtype and _fits(x, bias, len(weight))
    return (*x.shape[:-1], len(weight)) if fits else None


def _convolved(
    x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    alike = x.ndim == weight.ndim and x.shape[1] == weight.shape[1] * groups and x.dtype == weight.dtype
    if not alike or len(weight) % groups or not _fits(x, bias, len(weight)):
        return None
    settings = [n if isinstance(n, (tuple, list)) else [n] * (x.ndim - 2) for n in (stride, padding, dilation)]
    if any(len(each) != x.ndim - 2 for each in settings) or not all(isinstance(p, int) and p >= 0 for p in settings[1]):
        return None
    sides = zip(x.shape[2:], weight.shape[2:], *settings)
    return len(x), len(weight), *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides)


_INITIAL = {nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}
_SHAPES: dict[Any, Callable[..., Any]] = {  # of outputs; None where torch should say
    **dict.fromkeys([torch.sigmoid, F.silu, F.relu], _as_it_is),
    **dict.fromkeys([torch.batch_norm, F.batch_norm], _normalized),
    **dict.fromkeys([Tensor.add, Tensor.mul], _broadcast),
    **dict.fromkeys([torch.conv1d, torch.conv2d, torch.conv3d], _convolved),
    F.adaptive_avg_pool2d: _pooled,
    F.linear: _linear,
}


class _Plain(WarmModule):
    """A forward function as a network."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)

    def _get_name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


def _network(model: Network) -> nn.Module:
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, (str, Variant)):
        return WarmEfficientNet(model, device="meta")
    if callable(model) and not isinstance(model, type):
        return _Plain(model)
    raise TypeError(
        f"{model!r} is no network. Pass a module, a forward function, or a variant: {', '.join(VARIANTS)}, or a Variant."
    )


def _built(model: nn.Module, inputs: list[Any]) -> tuple[nn.Module, list[Any]]:
    """A copy of the model on 'meta', which is built if it is not; and the inputs on 'meta'."""
    tensors = [*model.parameters(), *model.buffers()]
    dtype = next((x.dtype for x in tensors if x.is_floating_point()), None)
    inputs = [_on_meta(x, dtype) for x in inputs]
    ghosts = [(x, torch.empty_like(x, device="meta")) for x in tensors]
    ghost = {id(x): nn.Parameter(y, x.requires_grad) if isinstance(x, nn.Parameter) else y for x, y in ghosts}
    model = copy.deepcopy(model, ghost)
    if not all(module._sealed for module in model.modules() if isinstance(module, WarmModule)):
        up(model, *inputs, device="meta")
    return model, inputs


def _on_meta(x: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(x, (torch.Tensor, np.ndarray)):
        return torch.as_tensor(x).to("meta")
    if isinstance(x, (list, tuple)) and all(isinstance(n, int) for n in x):
        return torch.empty(x, dtype=dtype, device="meta")
    if isinstance(x, (list, tuple)):
        return [_on_meta(y, dtype) for y in x]
    raise TypeError(f"An input is a tensor, an array, a shape, or a tuple of these for several, not {x!r}.")


class _Notes:
    """What one forward shows of each module that it calls."""

    def __init__(self, inputs: list[Any]):
        first = next((x for x in tree_leaves(inputs) if x.ndim > 2), None)
        self.ndim = first.ndim if first is not None else 0
        self.strides: dict[int, float] = {} if first is None else {first.shape[2]: 1}  # of maps with so many rows
        self.outputs: dict[nn.Module, tuple[tuple[int, ...], float | None]] = {}
        self.macs, self.biases, self.activations = Counter[nn.Module](), Counter[nn.Module](), Counter[nn.Module]()

    def note(self, module: Any, args: Any, kw: Any, out: Any) -> None:
        given, made = ([y for y in tree_leaves(z) if isinstance(y, torch.Tensor)] for z in ((args, kw), out))
        if not made:
            return
        y = made[0]
        if isinstance(module, (_ConvNd, nn.Linear)):
            each = given[0] if isinstance(module, _ConvTransposeNd) else y
            self.macs[module] += each.numel() * module.weight[0].numel()
            self.biases[module] += 0 if module.bias is None else y.numel()
        if isinstance(module, nn.MultiheadAttention):
            called = inspect.signature(module.forward).bind(*args, **kw).arguments
            self._note_attention(module, called["query"], called["key"], called["value"])
        if not module._modules or isinstance(module, nn.MultiheadAttention):  # which does not call what is in it
            self.activations[module] += sum(z.nbytes for z in made if not any(z is x for x in given))
        if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd) and y.ndim == self.ndim:
            self.strides.setdefault(y.shape[2], self._stride(given[0].shape[2]) * module.stride[0])
        self.outputs[module] = tuple(y.shape), self._stride(y.shape[2]) if y.ndim == self.ndim else None

    def _note_attention(self, module: nn.MultiheadAttention, queries: Tensor, keys: Tensor, values: Tensor) -> None:
        """Count the projections of queries, keys, values and output; queries times keys, and scores times values."""
        size = module.embed_dim
        length = keys.shape[1 if module.batch_first else 0]
        projected = 2 * queries.numel() * size + (keys.numel() + values.numel()) * size
        products = 2 * queries.numel() * length
        self.macs[module] += projected + products
        if module.in_proj_bias is not None:
            self.biases[module] += 2 * queries.numel() + 2 * keys.numel() // keys.shape[-1] * size

    def _stride(self, height: int) -> float:
        """The stride of maps with so many rows; of a new height, from the next larger one that was met before."""
        if height not in self.strides:
            larger = [known for known in self.strides if known > height]
            known = min(larger, default=max(self.strides))
            self.strides[height] = self.strides[known] * (round(known / height) if larger else known / height)
        return self.strides[height]


def _visit(model: nn.Module, inputs: list[Any]) -> _Notes:
    """One forward of a model on 'meta', which is nobody else's."""
    notes = _Notes(inputs)
    for module in model.eval().modules():
        module.register_forward_hook(notes.note, with_kwargs=True)
    with torch.no_grad(), torch.device("meta"):
        model(*inputs)
    return notes


def _rows(root: nn.Module, path: str, module: nn.Module, notes: _Notes) -> list[Row]:
    """The row of a module, and those of the bare parameters that it has."""
    rows = [_row(root, path, module, notes)]
    for key, (kind, settings) in getattr(module, "_built", {}).items():
        parameter = module._parameters.get(key)
        if parameter is not None:
            call = _layer_call(kind, settings)
            rows.append(Row(join(path, key), call, tuple(parameter.shape), None, parameter.numel(), 0, 0))
    return rows


def _row(root: nn.Module, path: str, module: nn.Module, notes: _Notes) -> Row:
    shape, stride = notes.outputs.get(module, (None, None))
    inside = [*module.modules()]
    macs, activations = (sum(counts[m] for m in inside) for counts in (notes.macs, notes.activations))
    return Row(path, _call(root, path, module), shape, stride, sum(p.numel() for p in module.parameters()), macs, activations)


def _call(root: nn.Module, path: str, module: nn.Module) -> str:
    """The call that a module stands for, without what is left at its default; or the module as it prints."""
    if isinstance(module, Block):
        args, kw = module.settings
        return _written(module._get_name(), module.function, {**dict(zip(module.names, args)), **kw})
    home, _, key = path.rpartition(".")
    kind, asked = getattr(root.get_submodule(home), "_built", {}).get(key, ("", {})) if path else ("", {})
    if kind:
        return _layer_call(kind, asked)
    variant = next((key for key, variant in VARIANTS.items() if variant == getattr(module, "variant", None)), None)
    said = repr(variant) if variant else module.extra_repr() if not module._modules else ""
    return module._get_name() + f"({said})" * bool(said)


def _layer_call(kind: str, settings: Any) -> str:
    """The call of one of `W`'s layers, or of a layer of any class."""
    if isinstance(settings, dict | Arguments) or kind not in setting_names:
        return _written(kind, None, named(kind, settings))
    function = getattr(W, kind)
    known = inspect.signature(function).parameters
    return _written(kind, function, {key: value for key, value in named(kind, settings).items() if key in known})


def _written(kind: str, function: Any, settings: dict[Any, Any]) -> str:
    """`kind(...)` with the settings that are not the function's defaults, a leading size without its name."""
    parameters = inspect.signature(function).parameters if function else {}
    defaults = {key: _value(parameter.default) for key, parameter in parameters.items()}
    texts = [(key, _value(value)) for key, value in settings.items()]
    said = [(key, text) for key, text in texts if defaults.get(key) != text]
    words = [text if i == 0 and key in LEADING else setting(key, text) for i, (key, text) in enumerate(said)]
    return f"{kind}({', '.join(words)})"


def _value(value: Any) -> str:
    """A setting, short."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list) and len(value) > 2:
        return f"[{_value(value[0])}, … {_value(value[-1])}]"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return getattr(value, "__name__", None) or repr(value)


def table_html(model: WarmEfficientNet) -> str:
    """A classifier's table as HTML, which a notebook shows."""
    return tabulate(model)._repr_html_()
