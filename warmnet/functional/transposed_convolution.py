"""Transposed convolutions, which enlarge what a convolution with the same settings makes smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .. import checks
from ..engine.layers import layer
from ..engine.messages import setting_names
from .specs import Size, activated, initialized

setting_names["conv_transpose"] = "size", "kernel", "stride", "padding", "output_padding", "dilation", "groups", "bias", "ndim"


def conv_transpose(
    x: Tensor, size: int, kernel: Size, init_weight: Any = None, init_bias: Any = None, bias: bool = True, *,
    stride: Size = 1, padding: Size = 0, output_padding: Size = 0, dilation: Size = 1, groups: int = 1,
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Transposed convolution over 1, 2 or 3 dimensions: (B, C, *) -> (B, size, *).

    A side of n pixels becomes one of (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1. With
    `kernel=2, stride=2` it doubles.

    - `size`: output channels. `kernel`: the kernel's sides, in pixels; one number for all, or a tuple.
    - `stride`, `padding`, `output_padding`, `dilation`, `groups`: as in `torch.nn.ConvTranspose2d`. `output_padding` is below
      the stride or the dilation.

    >>> import warmnet, warmnet.functional as W
    >>> warmnet.tabulate(lambda x: W.conv_transpose(x, 8, kernel=2, stride=2), (1, 16, 7, 7)).rows[0].shape
    (1, 8, 14, 14)
    """
    settings = size, kernel, stride, padding, output_padding, dilation, groups, bias, x.ndim
    module = layer("conv_transpose", settings, name, share, _new_conv_transpose, x.shape, init_weight, init_bias)
    return activated(module(x), activation)


def _new_conv_transpose(
    shape: Sequence[int], init_weight: Any, init_bias: Any, size: int, kernel: Size, stride: Size, padding: Size,
    output_padding: Size, dilation: Size, groups: int, bias: bool, ndim: int,
) -> nn.Module:  # fmt: skip
    """A transposed convolution for inputs of that shape."""
    if not 3 <= ndim <= 5:
        raise ValueError(f"W.conv_transpose takes (B, C, *) with 1 to 3 dimensions in *, not shape {tuple(shape)}.")
    size, channels, dims = checks.whole("size", size), shape[1], ndim - 2
    kernels = checks.spread("kernel", kernel, dims)
    strides = checks.spread("stride", stride, dims)
    if isinstance(padding, str):
        raise TypeError(f"padding={padding!r} is W.conv's. A transposed one takes numbers; kernel=2, stride=2 doubles.")
    paddings = checks.spread("padding", padding, dims, least=0)
    more = checks.spread("output_padding", output_padding, dims, least=0)
    dilations = checks.spread("dilation", dilation, dims)
    checks.divisor("groups", groups, {"size": size, "the input channels": channels})
    if any(m >= max(s, d) for m, s, d in zip(more, strides, dilations)):
        raise ValueError(f"output_padding={output_padding} must be below stride={stride} or dilation={dilation}.")
    kind: Any = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    module = kind(channels, size, kernels, strides, paddings, more, groups, bias, dilations)
    return initialized(module, weight=init_weight, bias=init_bias)
