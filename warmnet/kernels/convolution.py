"""A convolution, and one with what comes after it: by torch's function, or by a stand-in that takes less."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from . import fused
from .folding import folded
from .gradients import depthwise
from .normalization import Activation, Normalization, activated, batch_norm
from .padding import convolve, same_conv, same_zeros
from .rules import folds, fuses, has_slow_gradients, is_depthwise, is_plain


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int] | str,
    dilation: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    """(B, C, *) with (size, C/groups, *) -> (B, size, *). `padding` is numbers, or 'same', TensorFlow's rule."""
    if groups > 1 and torch.is_grad_enabled() and is_plain(x, weight) and is_depthwise(x, weight, dilation):
        zeros = _zeros(x, weight, stride, padding, dilation)
        if has_slow_gradients(x, weight, stride, zeros):
            return depthwise(x, weight, bias, stride, zeros)
    if isinstance(padding, str):
        return same_conv(x, weight, bias, stride, dilation, groups)
    return convolve(x, weight, bias, stride, padding, dilation, groups)


def convolution_batch_norm(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int] | str,
    dilation: Sequence[int], groups: int, normalization: Normalization, activation: Activation,
) -> Tensor:  # fmt: skip
    """`activation(batch_norm(convolution(x)))`: (B, C, *) -> (B, size, *). In inference at once, where that is faster."""
    tensors, (_, training, _, eps) = normalization[:4], normalization[4:]
    settings = stride, padding, dilation, groups
    if groups > 1 and bias is None and not training and fuses(x, weight, *settings, activation, *tensors):
        zeros = _zeros(x, weight, stride, padding, dilation)
        return fused.depthwise(x, weight, *tensors, eps, activation, stride, zeros)
    outputs = x.numel() // (weight.shape[1] * groups) * weight.shape[0] // math.prod(stride)
    if bias is None and not training and folds(outputs, x, weight, *tensors):
        kernel, offset = folded(weight, *tensors, eps)
        return activated(convolution(x, kernel, offset, *settings), activation)
    y = convolution(x, weight, bias, *settings)
    return batch_norm(y, normalization, activation)


def _zeros(
    x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int] | str, dilation: Sequence[int]
) -> list[int]:  # fmt: skip
    """How many rows and columns of zeros that padding adds."""
    if isinstance(padding, str):
        return same_zeros(x.shape[2:], weight.shape[2:], stride, dilation)
    return [2 * n for n in padding]
