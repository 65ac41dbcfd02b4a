"""The table of a network, measured by one forward on the device 'meta', which computes shapes and no numbers."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils._pytree import tree_leaves

from ..engine.copies import copied, unwrapped
from ..engine.messages import join
from ..engine.module import WarmModule
from ..engine.pywarm import up
from ..networks.classifier import Classifier
from ..networks.efficientnet import Variant
from ..networks.families import NAMES, find_family
from .calls import call_of, layer_call
from .meta_shapes import MetaShapes
from .tables import Row, Table

Network = str | Variant | nn.Module | Callable[..., Any]


def tabulate(model: Network, input: Any = None) -> Table:
    """The table of a network in eval mode. Nothing is computed or allocated for it, and the network stays as it is.

    Multiply-adds are those of convolutions, linear layers and `nn.MultiheadAttention` for the whole input, with each kernel as
    it was asked for, however padding is carried out, and nothing saved by masks. `macs_with_bias` has one more for each number
    that a bias is added to. Activations are the outputs of layers, at each call; what functions between layers output is not
    counted.

    - `model`: a module, built or not, on any device; a forward function that calls `W`'s layers; a variant or its name.
    - `input`: its shape, such as (1, 3, 64, 64), a tensor or an array; or a tuple of these for several inputs. A
      classifier needs none: default (1, in_channels, resolution, resolution).

    >>> import warmnet
    >>> table = warmnet.tabulate('b0')
    >>> table.parameters, table.macs, table.macs_with_bias
    (5288548, 385814752, 385825092)
    >>> table.rows[0].call, table.rows[0].shape, table.rows[0].stride
    ('conv_bn_act(32, kernel=3, stride=2)', (1, 32, 112, 112), 2)
    """
    return tabulate_with_calls(model, input)[0]


def tabulate_with_calls(model: Network, input: Any = None) -> tuple[Table, dict[str, str]]:
    """The table of a network, and by path each call with all that it was given, whatever its function's defaults are."""
    with MetaShapes():
        network, inputs = on_meta(model, input)
        measured = _measure(network, inputs)
        rows = [row for path, module in network.named_modules() for row in _rows(network, path, module, measured)]
    calls = {path: call_of(network, path, module, with_defaults=True) for path, module in network.named_modules()}
    whole, *rows = rows
    table = Table(
        call=whole.call,
        inputs=tuple(tuple(x.shape) for x in tree_leaves(inputs)),
        rows=tuple(rows),
        parameters=whole.parameters,
        macs=whole.macs,
        macs_with_bias=whole.macs + measured.biases.total(),
        activations=whole.activations,
    )
    return table, calls


def on_meta(model: Network, input: Any) -> tuple[nn.Module, list[Any]]:
    """A copy of a network on 'meta', built if it is not; and its inputs there."""
    network = _network(model)
    tensors = [*network.parameters(), *network.buffers()]
    dtype = next((x.dtype for x in tensors if x.is_floating_point()), None)
    inputs = [_input_on_meta(x, dtype) for x in _inputs(network, input)]
    network = copied(network, "meta")
    if not all(module._sealed for module in network.modules() if isinstance(module, WarmModule)):
        up(network, *inputs, device="meta")
    return network, inputs


class Forward(WarmModule):
    """A forward function as a network."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)

    def _get_name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


def _network(model: Network) -> nn.Module:
    """The module that `model` is or names."""
    if isinstance(model, nn.Module):
        return unwrapped(model)
    if isinstance(model, (str, Variant)):
        return find_family(model)(model, device="meta")
    if callable(model) and not isinstance(model, type):
        return Forward(model)
    raise TypeError(
        f"{model!r} is no network. Pass a module, a forward function, or a variant: {', '.join(NAMES)}, or a Variant."
    )


def _inputs(network: nn.Module, input: Any) -> list[Any]:
    """The inputs of a network, of which `input` is one, or a tuple of several; None for those that the network says."""
    if input is None:
        if not isinstance(network, Classifier):
            raise ValueError(f"{network._get_name()} does not say what its input is. Pass its shape, such as (1, 3, 64, 64).")
        return [(1, network.in_channels, network.resolution, network.resolution)]
    if isinstance(input, tuple) and not all(isinstance(n, int) for n in input):
        return [*input]
    return [input]


def _input_on_meta(x: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(x, (Tensor, np.ndarray)):
        return torch.as_tensor(x).to("meta")
    if isinstance(x, (list, tuple)) and all(isinstance(n, int) for n in x):
        return torch.empty(x, dtype=dtype, device="meta")
    if isinstance(x, (list, tuple)):
        return [_input_on_meta(y, dtype) for y in x]
    raise TypeError(f"An input is a tensor, an array, a shape, or a tuple of these for several, not {x!r}.")


class Measurements:
    """The outputs, strides, multiply-adds and activations of each module in one forward."""

    def __init__(self, inputs: list[Any]):
        images = next((x for x in tree_leaves(inputs) if x.ndim > 2), None)
        self.ndim = 0 if images is None else images.ndim
        self.strides: dict[int, float] = {} if images is None else {images.shape[2]: 1}  # of maps with so many rows
        self.outputs: dict[nn.Module, tuple[tuple[int, ...], float | None]] = {}  # shape and stride
        self.macs, self.biases, self.activations = Counter[nn.Module](), Counter[nn.Module](), Counter[nn.Module]()

    def add(self, module: Any, args: Any, keywords: Any, output: Any) -> None:
        """Take in one call of a module, as its forward hook."""
        inputs, outputs = _tensors((args, keywords)), _tensors(output)
        if not outputs:
            return
        y = outputs[0]
        if isinstance(module, (_ConvNd, nn.Linear)):
            positions = inputs[0] if isinstance(module, _ConvTransposeNd) else y
            self.macs[module] += positions.numel() * module.weight[0].numel()
            self.biases[module] += 0 if module.bias is None else y.numel()
        is_attention = isinstance(module, nn.MultiheadAttention)
        if is_attention:
            called = inspect.signature(module.forward).bind(*args, **keywords).arguments
            self._add_attention(module, called["query"], called["key"], called["value"])
        if is_attention or not module._modules:  # attention computes what the layer in it does
            self.activations[module] += sum(z.nbytes for z in outputs if not any(z is x for x in inputs))
        is_map = y.ndim == self.ndim
        if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd) and is_map:
            self.strides.setdefault(y.shape[2], self._stride(inputs[0].shape[2]) * module.stride[0])
        self.outputs[module] = tuple(y.shape), self._stride(y.shape[2]) if is_map else None

    def _add_attention(self, module: nn.MultiheadAttention, queries: Tensor, keys: Tensor, values: Tensor) -> None:
        """Count the projections of queries, keys, values and output; queries times keys, and scores times values."""
        size = module.embed_dim
        length = keys.shape[1 if module.batch_first else 0]
        projections = 2 * queries.numel() * size + (keys.numel() + values.numel()) * size
        products = 2 * queries.numel() * length
        self.macs[module] += projections + products
        if module.in_proj_bias is not None:
            self.biases[module] += 2 * queries.numel() + 2 * keys[..., 0].numel() * size

    def _stride(self, height: int) -> float:
        """The stride of maps with so many rows; of a new height, from the next larger one that is known."""
        if height not in self.strides:
            larger = [known for known in self.strides if known > height]
            if larger:
                known = min(larger)
                self.strides[height] = self.strides[known] * round(known / height)
            else:
                known = max(self.strides)
                self.strides[height] = self.strides[known] * (known / height)
        return self.strides[height]


def _tensors(values: Any) -> list[Tensor]:
    return [x for x in tree_leaves(values) if isinstance(x, Tensor)]


def _measure(model: nn.Module, inputs: list[Any]) -> Measurements:
    """One forward of a model on 'meta', a copy, which is left with hooks."""
    measured = Measurements(inputs)
    for module in model.eval().modules():
        module.register_forward_hook(measured.add, with_kwargs=True)
    with torch.no_grad(), torch.device("meta"):
        model(*inputs)
    return measured


def _rows(root: nn.Module, path: str, module: nn.Module, measured: Measurements) -> list[Row]:
    """The row of a module, and those of its bare parameters."""
    rows = [_row(root, path, module, measured)]
    for name, (kind, settings) in getattr(module, "_built", {}).items():
        parameter = module._parameters.get(name)
        if parameter is not None:
            call, shape = layer_call(kind, settings), tuple(parameter.shape)
            rows.append(Row(join(path, name), call, shape, stride=None, parameters=parameter.numel(), macs=0, activations=0))
    return rows


def _row(root: nn.Module, path: str, module: nn.Module, measured: Measurements) -> Row:
    shape, stride = measured.outputs.get(module, (None, None))
    inside = [*module.modules()]
    return Row(
        path=path,
        call=call_of(root, path, module),
        shape=shape,
        stride=stride,
        parameters=sum(p.numel() for p in module.parameters()),
        macs=sum(measured.macs[m] for m in inside),
        activations=sum(measured.activations[m] for m in inside),
    )


def table_html(model: Classifier) -> str:
    """A classifier's table as HTML, which Jupyter shows for the classifier."""
    return tabulate(model)._repr_html_()
