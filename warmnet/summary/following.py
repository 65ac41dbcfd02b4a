"""Maps followed through a forward, operation by operation: on which pixels of the input each of their pixels depends."""

from __future__ import annotations

import math
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
        """What a window that moves along it, a convolution's or a pooling's, outputs."""
        first = self.first - padding * self.stride
        last = self.last - padding * self.stride + dilation * (kernel - 1) * self.stride
        return Axis(self.stride * stride, first, last)


Dims = tuple[Axis | None, ...]  # the dimensions of a tensor; None for one that is no axis of a map


class MapFollower(TorchDispatchMode):
    """Within it, the axes of maps are known of each tensor that is computed from the inputs.

    - `inside`: the paths of the modules that are being called, which whoever calls them keeps; the last one is named in errors.
    """

    def __init__(self, inputs: Any):
        super().__init__()
        self.inside: list[str] = []
        self.dims = WeakTensorKeyDictionary()
        for x in tree_leaves(inputs):
            self.dims[x] = (None, None)[: x.ndim] + (Axis(1, 0, 0),) * (x.ndim - 2)

    def axes_of(self, x: Tensor) -> list[Axis]:
        """Those dimensions of a tensor that are axes of a map."""
        return [axis for axis in self.dims.get(x, ()) if axis]

    def has_lost(self, x: Tensor) -> bool:
        """Whether a tensor is made of maps and has other dimensions of several numbers than batch, channels and known axes."""
        others = [size for size, axis in zip(x.shape[1:], self.dims.get(x, ())[1:]) if size > 1 and not axis]
        return len(others) > 1

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = function(*args, **(kwargs or {}))
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor) and x in self.dims]
        for y in tree_leaves(outputs):
            if inputs and isinstance(y, Tensor):
                dims = self._computed(function, inputs, args, y)
                if y._is_view() and any(y is x for x in args) and self.dims.get(y) != dims:
                    raise self.refusal(f"writes over a part of a tensor ({_name(function)})")
                self.dims[y] = dims
        return outputs

    def refusal(self, what: str) -> InputError:
        """The error for a forward that does something with a map that is not followed."""
        where = f" in '{self.inside[-1]}'" if self.inside and self.inside[-1] else ""
        return InputError(
            f"Receptive fields are followed through convolution, pooling, padding and what is done to each pixel alone; this "
            f"forward {what}{where}. Pass the part of the network that comes before it."
        )

    def _computed(self, function: Any, inputs: list[Tensor], args: Any, y: Tensor) -> Dims:
        """The dimensions of what an operation computes of the inputs, those of its arguments that are followed."""
        if not any(map(self.axes_of, inputs)):
            return (None,) * y.ndim
        name = _name(function)
        if torch.Tag.pointwise in function.tags or name in PIXELWISE:
            dims = _merged([(x.shape, self.dims[x]) for x in inputs], y.shape)
        elif name == "cat":
            dims = _joined([self.dims[x] for x in inputs], y.shape, *args[1:])
        elif name in RESHAPING:
            dims = _reshaped(self.dims[inputs[0]], inputs[0].shape, y.shape)
        elif name in RULES and inputs[0] is args[0]:
            dims = RULES[name](self.dims[inputs[0]], *args)
        else:
            dims = None
        if dims is None:
            raise self.refusal(f"does {name} with a map")
        return dims


def _name(function: Any) -> str:
    """What torch calls an operation."""
    return str(function._schema.name.removeprefix("aten::"))


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


def _adaptively_pooled(dims: Dims, x: Tensor, sides: Sequence[int]) -> Dims | None:
    """Of as many windows as `sides` says, which are alike; None if they cannot be."""
    before = x.shape[-len(sides) :]
    if any(size % side for size, side in zip(before, sides)):
        return None
    windows = [size // side for size, side in zip(before, sides)]
    return _windowed(dims, windows, windows, 0, 1)


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
    dim %= x.ndim
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


def _reshaped(dims: Dims, before: Sequence[int], after: Sequence[int]) -> Dims:
    """Of another shape. An axis of several pixels is still one if it is as long, after as many numbers, as before."""
    if tuple(before) == tuple(after):
        return dims
    axes = {(math.prod(before[:n]), size): dims[n] for n, size in enumerate(before) if size > 1}
    return tuple(axes.get((math.prod(after[:n]), size)) for n, size in enumerate(after))


def _along(dims: Dims, x: Tensor, dim: int = -1, *_: Any) -> Dims | None:
    """Of what mixes one dimension; None if that is an axis of a map."""
    return None if dims[dim] else dims


def _split(dims: Dims, x: Tensor, sizes: Any, dim: int = 0) -> Dims | None:
    return _along(dims, x, dim)


PIXELWISE = {  # beside the operations that torch calls pointwise
    "clone", "_to_copy", "detach", "alias", "native_dropout",
    "native_batch_norm", "native_group_norm", "native_layer_norm",
    "_prelu_kernel", "hardswish", "hardswish_", "mish_", "threshold_", "log_sigmoid_forward",
    "channel_shuffle", "native_channel_shuffle",
}  # fmt: skip
RESHAPING = "view", "_unsafe_view", "unsqueeze", "squeeze"
RULES: dict[str, Callable[..., Dims | None]] = {
    "convolution": _convolved,
    "max_pool2d_with_indices": _max_pooled,
    "max_pool3d_with_indices": _max_pooled,
    "avg_pool2d": _average_pooled,
    "avg_pool3d": _average_pooled,
    "_adaptive_avg_pool2d": _adaptively_pooled,
    "adaptive_max_pool2d": _adaptively_pooled,
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
    "_softmax": _along,
    "_log_softmax": _along,
    "glu": _along,
    "split": _split,
    "split_with_sizes": _split,
}
