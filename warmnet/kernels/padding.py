"""SAME padding, TensorFlow's rule: an output of ceil(n / stride); of an odd number of zeros, the one more comes last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from .rules import sizes_are_free, widens


def convolve(x: Tensor, *settings: Any) -> Tensor:
    """torch's convolution over the dimensions that `x` has: (B, C, *) -> (B, size, *)."""
    return (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3](x, *settings)


def same_zeros(sizes: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """How many rows of zeros are added to each of `sizes`."""
    spans = [d * (k - 1) for k, d in zip(kernel, dilation)]
    zeros = [span - (n - 1) % s for span, n, s in zip(spans, sizes, stride)]
    if any(span < s - 1 for span, s in zip(spans, stride)):  # a symbolic max() costs exporters minutes
        return [max(n, 0) for n in zeros]
    return zeros


def widened(weight: Tensor, zeros: Sequence[int]) -> Tensor:
    """The kernel with the odd row and column of zeros put first, so that equal padding on both sides does the same."""
    return F.pad(weight, [side for n in reversed(zeros) for side in (n % 2, 0)]) if any(n % 2 for n in zeros) else weight


def same_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], dilation: Sequence[int], groups: int
) -> Tensor:
    """Convolution with SAME padding: (B, C, *) with (size, C/groups, *) -> (B, size, ceil(*/stride)).

    The zeros that lie on one side go into the kernel where that is less to copy, and else around the picture.
    """
    kernel = weight.shape[2:]
    zeros = same_zeros(x.shape[2:], kernel, stride, dilation)
    if not sizes_are_free(x) and not any(n % 2 for n in zeros):
        pass
    elif widens(x, kernel, dilation, groups):
        weight, zeros = widened(weight, zeros), [n + n % 2 for n in zeros]
    else:
        x, zeros = F.pad(x, [half for n in reversed(zeros) for half in (n // 2, n - n // 2)]), [0] * len(zeros)
    return convolve(x, weight, bias, stride, [n // 2 for n in zeros], dilation, groups)
