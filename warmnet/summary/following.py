"""Maps followed through a forward, operation by operation: on which pixels of the input each of their pixels depends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from ..errors import InputError


class Axis(NamedTuple):
    """An axis of a map, whose pixel i depends on the input's pixels from stride * i + first to stride * i + last."""

    stride: int
    first: int
    last: int

    def through(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Axis:
        """What a window that moves along it, a convolution's or a pooling's, puts out."""
        first = self.first - padding * self.stride
        last = self.last - padding * self.stride + dilation * (kernel - 1) * self.stride
        return Axis(self.stride * stride, first, last)


Dims = tuple[Axis | None, ...]  # the dimensions of a tensor; None for one that is no axis of a map


class MapFollower(TorchDispatchMode):
    """Within it, the axes of maps are known of each tensor that is computed from the inputs."""

    def __init__(self, inputs: Any):
        super().__init__()
        self.dims = WeakTensorKeyDictionary()
        for x in tree_leaves(inputs):
            self.dims[x] = (None, None)[: x.ndim] + (Axis(1, 0, 0),) * (x.ndim - 2)

    def axes_of(self, x: Tensor) -> list[Axis]:
        """Those dimensions of a tensor that are axes of a map."""
        return [axis for axis in self.dims.get(x, ()) if axis]

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = function(*args, **(kwargs or {}))
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor) and x in self.dims]
        for y in tree_leaves(outputs):
            if inputs and isinstance(y, Tensor):
                self.dims[y] = self._computed(function, inputs, args, y)
        return outputs

    def _computed(self, function: Any, inputs: list[Tensor], args: Any, y: Tensor) -> Dims:
        """The dimensions of what an operation computes of the inputs, those of its arguments that are followed."""
        if not any(map(self.axes_of, inputs)):
            return (None,) * y.ndim
        name = function._schema.name.removeprefix("aten::")
        if torch.Tag.pointwise in function.tags or name in PIXELWISE:
            dims = _merged([(x.shape, self.dims[x]) for x in inputs], y.shape)
        elif name == "cat":
            dims = _joined([self.dims[x] for x in inputs], y.shape, *args[1:])
        elif name in RULES and inputs[0] is args[0]:
            dims = RULES[name](self.dims[inputs[0]], *args)
        else:
            dims = None
        if dims is None:
            raise InputError(
                f"Receptive fields are followed through convolution, pooling, padding and what is done to each pixel alone; "
                f"this forward does {name} with a map. Pass the part of the network that comes before it."
            )
        return dims


def _merged(inputs: Sequence[tuple[torch.Size, Dims]], shape: torch.Size) -> Dims | None:
    """Of inputs that are broadcast to a shape: a pixel depends on what it depends on in any of them.

    An input of one pixel, such as a gate, is left out. None if another has been mixed up, so that its places are not known.
    """
    merged = list[Axis | None]()
    for n in range(-len(shape), 0):
        axes = [dims[n] for size, dims in inputs if len(size) >= -n and size[n] == shape[n]]
        known = [axis for axis in axes if axis]
        if known and ((shape[n] > 1 and None in axes) or len({axis.stride for axis in known}) > 1):
            return None
        union = known and Axis(known[0].stride, min(axis.first for axis in known), max(axis.last for axis in known))
        merged.append(union or None)
    return tuple(merged)


def _joined(inputs: Sequence[Dims], shape: torch.Size, dim: int = 0) -> Dims | None:
    """Of maps whose channels, dimension `dim`, are put one after the other."""
    if any(dims[dim] for dims in inputs):
        return None
    return _merged([(shape, dims) for dims in inputs], shape)


def _convolved(
    dims: Dims, x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *_: Any
) -> Dims | None:
    if transposed or any(dims[:2]):
        return None
    return _windowed(dims, weight.shape[2:], stride, padding, dilation)


def _max_pooled(dims: Dims, x: Tensor, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, *_: Any) -> Dims:
    return _windowed(dims, kernel, stride or kernel, padding, dilation)


def _average_pooled(dims: Dims, x: Tensor, kernel: Any, stride: Any = (), padding: Any = 0, *_: Any) -> Dims:
    return _windowed(dims, kernel, stride or kernel, padding, 1)


def _windowed(dims: Dims, kernel: Sequence[int], *settings: Any) -> Dims:
    """Of a window over the last dimensions, with its stride, padding and dilation."""
    sides = len(kernel)
    for_each_side = [setting if isinstance(setting, (list, tuple)) else [setting] * sides for setting in settings]
    axes = [axis and axis.through(*each) for axis, *each in zip(dims[-sides:], kernel, *for_each_side)]
    return (*dims[:-sides], *axes)


def _padded(dims: Dims, x: Tensor, zeros: Sequence[int], *_: Any) -> Dims:
    """`zeros`: those before and after the last dimension, then before and after the last but one, ..."""
    before = zeros[::2][::-1]
    return _windowed(dims, [1] * len(before), 1, before, 1)


def _sliced(dims: Dims, x: Tensor, dim: int = 0, start: int | None = None, end: Any = None, step: int = 1) -> Dims:
    first = range(x.shape[dim])[slice(start, None)].start
    axis = dims[dim]
    sliced = axis and axis.through(1, step, -first)
    return *dims[:dim], sliced, *dims[dim + 1 :]


def _reduced(dims: Dims, x: Tensor, over: Any = (), keepdim: bool = False, *_: Any) -> Dims:
    """Of a mean, a sum or a maximum over some dimensions, or over all."""
    over = [over] if isinstance(over, int) else over or range(x.ndim)
    gone = {dim % x.ndim for dim in over}
    left = [None if dim in gone else axis for dim, axis in enumerate(dims) if keepdim or dim not in gone]
    return tuple(left)


def _permuted(dims: Dims, x: Tensor, order: Sequence[int]) -> Dims:
    return tuple(dims[dim] for dim in order)


def _transposed(dims: Dims, x: Tensor, first: int, second: int) -> Dims:
    axes = [*dims]
    axes[first], axes[second] = axes[second], axes[first]
    return tuple(axes)


def _flattened(dims: Dims, x: Tensor, shape: Sequence[int]) -> Dims:
    """Of another shape, in which the places are no longer known."""
    return dims if tuple(shape) == tuple(x.shape) else (None,) * len(shape)


PIXELWISE = {  # beside the operations that torch calls pointwise
    "clone", "_to_copy", "detach", "alias", "native_dropout",
    "native_batch_norm", "native_group_norm", "native_layer_norm",
}  # fmt: skip
RULES: dict[str, Callable[..., Dims | None]] = {
    "convolution": _convolved,
    "max_pool2d_with_indices": _max_pooled,
    "max_pool3d_with_indices": _max_pooled,
    "avg_pool2d": _average_pooled,
    "avg_pool3d": _average_pooled,
    "constant_pad_nd": _padded,
    "reflection_pad2d": _padded,
    "replication_pad2d": _padded,
    "slice": _sliced,
    "mean": _reduced,
    "sum": _reduced,
    "amax": _reduced,
    "max": _reduced,
    "permute": _permuted,
    "transpose": _transposed,
    "view": _flattened,
    "_unsafe_view": _flattened,
}
