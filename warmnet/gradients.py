"""Two gradients that take less than torch's own, on a CPU: of depthwise convolutions in time, of normalization in memory.

The kernels are torch's, called otherwise, so that what comes out differs by rounding alone; it has gradients of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.overrides import _len_torch_function_stack, handle_torch_function

WIDTH = 3  # columns of a kernel whose gradient is fast: that of a 5x5 takes five times as long as that of a 5x3
HALVES = torch.bfloat16, torch.float16

Gradients = tuple[Tensor | None, ...]


def as_one(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function`, which those who follow torch's functions, such as a replay's tape, see as one of them."""

    @functools.wraps(function)
    def call(*args: Any) -> Tensor:
        if _len_torch_function_stack():
            return handle_torch_function(call, (), *args)
        return function(*args)

    return call


@as_one
def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], zeros: Sequence[int]) -> Tensor:
    """A depthwise convolution of (B, C, H, W) with (C, 1, h, w), H and W padded with so many `zeros`, an odd one last."""
    if torch.is_autocast_enabled("cpu") and x.dtype != torch.float64:
        x, weight, bias = map(_autocast, (x, weight, bias))
    return _Depthwise.apply(x, weight, bias, stride, zeros)


def _autocast(x: Any) -> Any:
    return x if x is None else x.to(torch.get_autocast_dtype("cpu"))


def widened(weight: Tensor, zeros: Sequence[int]) -> Tensor:
    """A kernel that pads both sides alike, to the greater half, with the odd zero before it in itself.

    The kernel is copied so, and not the picture.
    """
    return F.pad(weight, [side for n in reversed(zeros) for side in (n % 2, 0)]) if any(n % 2 for n in zeros) else weight


class _Depthwise(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], zeros: Sequence[int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.zeros = stride, zeros
        return torch.conv2d(x, widened(weight, zeros), bias, stride, [(n + 1) // 2 for n in zeros], 1, len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        return (
            _of_input(grad, x, weight, ctx.stride, ctx.zeros) if for_x else None,
            _of_kernel(grad, x, weight, ctx.stride, ctx.zeros) if for_weight else None,
            grad.sum((0, 2, 3)) if for_bias else None,
            None,
            None,
        )


def _of_input(grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], zeros: Sequence[int]) -> Tensor:
    if x.dtype in HALVES and max(stride) > 1:  # where it is ten times as slow as in float32; of x only the shape counts
        like = torch.empty_like(x, dtype=torch.float32)
        return _of_input(grad.float(), like, weight.float(), stride, zeros).to(x.dtype)
    return _backward(grad, x, widened(weight, zeros), stride, [(n + 1) // 2 for n in zeros], 0)


def _of_kernel(grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], zeros: Sequence[int]) -> Tensor:
    """A few columns at a time, each from `x` moved to where it needs no zeros, and as many images as the cache holds."""
    (high, wide), (top, left) = x.shape[2:], (n // 2 for n in zeros)
    rows, columns = (s * (n - 1) for s, n in zip(stride, grad.shape[2:]))
    images = max(1, 2**22 * len(x) // max(1, x.numel()))
    found = []
    for part in weight.split(WIDTH, -1):
        h, w = part.shape[2:]
        pads = left, columns + w - wide - left, top, rows + h - high - top
        few = [_backward(g, F.pad(y, pads), part, stride, [0, 0], 1) for g, y in zip(grad.split(images), x.split(images))]
        found.append(torch.stack(few).sum(0))
        left -= w
    return torch.cat(found, -1)


def _backward(grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], which: int) -> Tensor:
    """The gradient of a convolution's input, 0, or of its kernel, 1."""
    mask = [which == i for i in range(3)]
    found = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, [1, 1], False, [0, 0], len(weight), mask
    )
    return found[which]


@as_one
def normalized_silu(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, momentum: float, eps: float) -> Tensor:
    """silu(batch_norm(x)) in training: (B, C, *), (C,) each -> (B, C, *). One map less is kept for going back.

    The output takes the place of the normalized x, which is computed once more from x.
    """
    return _NormalizedSilu.apply(x, weight, bias, mean, var, momentum, eps)


class _NormalizedSilu(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, *settings: Any) -> Tensor:
        *running, momentum, ctx.eps = settings
        y, *batch = torch.ops.aten.native_batch_norm(x, weight, bias, *running, True, momentum, ctx.eps)
        ctx.save_for_backward(x, weight, bias, *batch)
        return F.silu(y, inplace=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        x, weight, bias, mean, scale = ctx.saved_tensors
        needed, eps, aten = ctx.needs_input_grad[:3], ctx.eps, torch.ops.aten
        if torch.is_grad_enabled():  # for gradients of this gradient
            y = F.silu(F.batch_norm(x, None, None, weight, bias, True, eps=eps))
            found = iter(torch.autograd.grad(y, [z for z, n in zip((x, weight, bias), needed) if n], grad, create_graph=True))
            return *(next(found) if n else None for n in needed), None, None, None, None
        y = torch.batch_norm(x, weight, bias, mean, scale**-2 - eps, False, 0.0, eps, False)
        grad = aten.silu_backward.grad_input(grad, y, grad_input=y)
        found = aten.native_batch_norm_backward(grad, x, weight, None, None, mean, scale, True, eps, needed)
        return *found, None, None, None, None
