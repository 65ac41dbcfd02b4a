"""Two gradients that take less than torch's own, on a CPU: of depthwise convolutions, time, and of normalization, memory.

The kernels are torch's, called otherwise, so that what comes out differs by rounding at most; it has gradients of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import Function

from .padding import widened
from .rules import HALVES, splits_columns

WIDTH = 3  # columns of a kernel whose gradient is fast: that of a 5x5 takes five times as long as that of a 5x3
SUMMED = 256  # outputs that one call of torch's adds up

Gradients = tuple[Tensor | None, ...]


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], zeros: Sequence[int]) -> Tensor:
    """A depthwise convolution of (B, C, H, W) with (C, 1, h, w), H and W padded with so many `zeros`, an odd one last."""
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        x, weight, bias = map(_autocast, (x, weight, bias))
    return _Depthwise.apply(x, weight, bias, stride, zeros)


def _autocast(x: Any) -> Any:
    casts = x is not None and x.is_floating_point() and x.dtype != torch.float64
    return x.to(torch.get_autocast_dtype("cpu")) if casts else x


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
    """The gradient of the input."""
    if x.dtype in HALVES and max(stride) > 1:  # where it is ten times as slow as in float32; of x only the shape counts
        like = torch.empty_like(x, dtype=torch.float32)
        return _of_input(grad.float(), like, weight.float(), stride, zeros).to(x.dtype)
    return _backward(grad, x, widened(weight, zeros), stride, [(n + 1) // 2 for n in zeros], 0)


def _of_kernel(grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], zeros: Sequence[int]) -> Tensor:
    """The gradient of the kernel: torch's own of the padded picture; or a few columns of it at a time, where that is faster."""
    (high, wide), (top, left) = x.shape[2:], (n // 2 for n in zeros)
    rows, columns = (s * (n - 1) for s, n in zip(stride, grad.shape[2:]))
    together = max(1, SUMMED // math.prod(grad.shape[2:]))  # images: more in one sum would round more than torch does
    if not splits_columns(x, weight.shape[2:]):
        together = len(x)
    found = []
    for part in weight.split(WIDTH if together < len(x) else weight.shape[-1], -1):
        h, w = part.shape[2:]
        pads = left, columns + w - wide - left, top, rows + h - high - top
        few = [_backward(g, F.pad(y, pads), part, stride, [0, 0], 1) for g, y in zip(grad.split(together), x.split(together))]
        found.append(few[0] if len(few) == 1 else torch.stack(few).sum(0))
        left -= w
    return torch.cat(found, -1)


def _backward(grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], which: int) -> Tensor:
    """The gradient of a convolution's input, 0, or of its kernel, 1."""
    mask = [which == i for i in range(3)]
    found = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, [1, 1], False, [0, 0], len(weight), mask
    )
    return found[which]


def normalized_silu(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, momentum: float, eps: float) -> Tensor:
    """silu(batch_norm(x)) in training: (B, C, *), (C,) each -> (B, C, *). One map less is kept for going back.

    The output takes the place of the normalized x, which is computed once more from x.
    """
    return _NormalizedSilu.apply(x, weight, bias, mean, var, momentum, eps)


class _NormalizedSilu(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, momentum: float, eps: float
    ) -> Tensor:
        y, *batch, _, _ = torch._batch_norm_impl_index(x, weight, bias, mean, var, True, momentum, eps, False)
        ctx.save_for_backward(x, weight, bias, *batch)
        ctx.eps = eps
        return F.silu(y, inplace=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        (x, weight, bias, mean, invstd), eps, aten = ctx.saved_tensors, ctx.eps, torch.ops.aten
        if torch.is_grad_enabled() or is_legacy_batchedtensor(grad):  # for gradients of this one, or many at once
            y = F.batch_norm(x, None, None, weight, bias, True, eps=eps)
            gate = y.sigmoid()
            grad = grad * gate * (1 + y * (1 - gate))
        else:
            scale = weight * invstd  # as the forward has it, so that the bits are the same
            y = torch.batch_norm(x, scale, bias.to(scale.dtype), mean, torch.ones_like(mean), False, 0.0, 0.0, False)
            grad = aten.silu_backward.grad_input(grad, y, grad_input=y)
        needed = ctx.needs_input_grad[:3]
        found = aten.native_batch_norm_backward(grad, x, weight, None, None, mean, invstd, True, eps, needed)
        return *found, None, None, None, None
