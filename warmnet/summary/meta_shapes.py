"""The shapes of outputs on 'meta', without torch's own way there, whose first call takes a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Shape = Sequence[int]


class MetaShapes(TorchFunctionMode):
    """Answers operations of the networks here on 'meta' by the shapes of their outputs.

    All other operations are left to torch, and so are those that raise an error.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in INITIALIZERS:
            x = kwargs.get("tensor")
            return x if _is_float_on_meta(x) else function(*args, **kwargs)
        x = args[0] if args and function in SHAPES else None
        if not _is_float_on_meta(x):
            return function(*args, **kwargs)
        if kwargs == {"inplace": True}:
            return x
        shape = _shape(function, args, kwargs)
        if shape is None or min(shape, default=1) < 1:
            return function(*args, **kwargs)
        return torch.empty_like(x) if shape == x.shape else x.new_empty(shape)


def _is_float_on_meta(x: Any) -> TypeGuard[Tensor]:
    return isinstance(x, Tensor) and x.is_meta and x.is_floating_point()


def _shape(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Shape | None:
    """The shape of an operation's output; None where torch is to answer."""
    if function is F.batch_norm and not kwargs["training"]:
        x, mean, var = args[:3]
        return _normalized(x, kwargs["weight"], kwargs["bias"], mean, var)
    return SHAPES[function](*args) if kwargs in ({}, {"inplace": False}) else None


def _same(x: Tensor) -> Shape:
    return x.shape


def _normalized(x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, *_: Any) -> Shape | None:
    return x.shape if all(_is_vector(y, x.shape[1], x) for y in (weight, bias, mean, var)) else None


def _is_vector(y: Any, size: int, x: Tensor) -> bool:
    """Whether `y` is None, or has that size and the dtype of `x`."""
    return y is None or (y.shape == (size,) and y.dtype == x.dtype)


def _broadcast(x: Tensor, y: Any) -> Shape | None:
    """The shape of x, where y stretches to it."""
    alike = isinstance(y, Tensor) and (x.ndim, x.dtype, x.device) == (y.ndim, y.dtype, y.device)
    return x.shape if alike and all(m in (1, n) for n, m in zip(x.shape, y.shape)) else None


def _pooled(x: Tensor, size: Any) -> Shape | None:
    return (*x.shape[:-2], size, size) if isinstance(size, int) and x.ndim in (3, 4) else None


def _linear(x: Tensor, weight: Tensor, bias: Any = None) -> Shape | None:
    fits = x.shape[-1:] == weight.shape[1:] and x.dtype == weight.dtype and _is_vector(bias, len(weight), x)
    return (*x.shape[:-1], len(weight)) if fits else None


def _convolved(
    x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Shape | None:
    alike = x.ndim == weight.ndim and x.shape[1] == weight.shape[1] * groups and x.dtype == weight.dtype
    if not alike or len(weight) % groups or not _is_vector(bias, len(weight), x):
        return None
    strides, zeros, dilations = (_for_each_side(setting, x.ndim - 2) for setting in (stride, padding, dilation))
    if any(len(setting) != x.ndim - 2 for setting in (strides, zeros, dilations)):
        return None
    if not all(isinstance(p, int) and p >= 0 for p in zeros):
        return None
    shape = [len(x), len(weight)]
    for n, k, s, p, d in zip(x.shape[2:], weight.shape[2:], strides, zeros, dilations):
        shape.append((n + 2 * p - d * (k - 1) - 1) // s + 1)
    return tuple(shape)


def _for_each_side(setting: Any, sides: int) -> Sequence[Any]:
    return setting if isinstance(setting, (tuple, list)) else [setting] * sides


INITIALIZERS = {nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}
SHAPES: dict[Any, Callable[..., Shape | None]] = {  # the shape of an operation's output; None where torch is to answer
    torch.sigmoid: _same,
    F.silu: _same,
    F.relu: _same,
    F.relu6: _same,
    torch.batch_norm: _normalized,
    F.batch_norm: _normalized,
    Tensor.add: _broadcast,
    Tensor.mul: _broadcast,
    torch.conv1d: _convolved,
    torch.conv2d: _convolved,
    torch.conv3d: _convolved,
    F.adaptive_avg_pool2d: _pooled,
    F.linear: _linear,
}
