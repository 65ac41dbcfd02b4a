"""Two functions with backward passes that cost less than torch's on a CPU: a depthwise convolution's, time, and that of
batch normalization with SiLU, memory.

The kernels are torch's, called with other arguments, so that outputs differ by rounding at most; both can be differentiated
twice.
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

COLUMNS = 3  # of a kernel whose gradient is fast: that of a 5x5 takes five times as long as that of a 5x3
TERMS = 256  # outputs that one call of torch's sums

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
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        return (
            _input_gradient(grad, x, weight, ctx.stride, ctx.zeros) if needs_x else None,
            _kernel_gradient(grad, x, weight, ctx.stride, ctx.zeros) if needs_weight else None,
            grad.sum((0, 2, 3)) if needs_bias else None,
            None,
            None,
        )


def _input_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], zeros: Sequence[int]) -> Tensor:
    """The gradient of the input: (B, C, H, W)."""
    if x.dtype in HALVES and max(stride) > 1:  # where torch is ten times as slow as in float32; of x only the shape counts
        like = torch.empty_like(x, dtype=torch.float32)
        return _input_gradient(grad.float(), like, weight.float(), stride, zeros).to(x.dtype)
    return _convolution_backward(grad, x, widened(weight, zeros), stride, [(n + 1) // 2 for n in zeros], INPUT)


def _kernel_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], zeros: Sequence[int]) -> Tensor:
    """The gradient of the kernel, (C, 1, h, w): at once, or where that is faster, by columns of it and by groups of images."""
    (height, width), (top, left) = x.shape[2:], (n // 2 for n in zeros)
    rows, columns = (s * (n - 1) for s, n in zip(stride, grad.shape[2:]))
    images = max(1, TERMS // math.prod(grad.shape[2:]))  # in a group: more in one sum would round more than torch does
    if not splits_columns(x, weight.shape[2:]):
        images = len(x)
    parts = []
    for part in weight.split(COLUMNS if images < len(x) else weight.shape[-1], -1):
        h, w = part.shape[2:]
        pads = left, columns + w - width - left, top, rows + h - height - top
        groups = zip(grad.split(images), x.split(images))
        sums = [_convolution_backward(g, F.pad(y, pads), part, stride, [0, 0], KERNEL) for g, y in groups]
        parts.append(sums[0] if len(sums) == 1 else torch.stack(sums).sum(0))
        left -= w
    return torch.cat(parts, -1)


INPUT, KERNEL = 0, 1  # the places of their gradients among those of a convolution


def _convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int], place: int
) -> Tensor:
    """The gradient of a convolution's INPUT or KERNEL."""
    mask = [place == INPUT, place == KERNEL, False]
    gradients = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, [1, 1], False, [0, 0], len(weight), mask
    )
    return gradients[place]


def normalized_silu(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, momentum: float, eps: float) -> Tensor:
    """silu(batch_norm(x)) in training: (B, C, *), (C,) each -> (B, C, *). Autograd saves one map less than torch's own.

    The normalized x is overwritten by the output, and the backward pass computes it once more from x.
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
        if torch.is_grad_enabled() or is_legacy_batchedtensor(grad):  # gradients of gradients, or a batch of gradients
            y = F.batch_norm(x, None, None, weight, bias, True, eps=eps)
            gate = y.sigmoid()
            grad = grad * gate * (1 + y * (1 - gate))
        else:
            scale = weight * invstd  # as the forward has it, so that the bits are the same
            y = torch.batch_norm(x, scale, bias.to(scale.dtype), mean, torch.ones_like(mean), False, 0.0, 0.0, False)
            grad = aten.silu_backward.grad_input(grad, y, grad_input=y)
        mask = ctx.needs_input_grad[:3]
        gradients = aten.native_batch_norm_backward(grad, x, weight, None, None, mean, invstd, True, eps, mask)
        return *gradients, None, None, None, None
