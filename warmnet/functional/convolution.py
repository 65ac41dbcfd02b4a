"""Convolutions, and the pair of a convolution and a batch normalization, which inference computes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .. import checks
from ..engine.calls import thread
from ..engine.layers import layer
from ..engine.messages import setting_names
from ..engine.stand_ins import may_stand_in, register
from ..kernels.convolution import convolution, convolution_batch_norm
from ..kernels.padding import same_conv
from .normalization import for_kernel, new_batch_norm
from .specs import Size, activated, as_function, initialized

setting_names["conv"] = "size", "kernel", "stride", "padding", "dilation", "groups", "bias", "padding_mode", "ndim"


def conv(
    x: Tensor, size: int, kernel: Size, init_weight: Any = None, init_bias: Any = None, bias: bool = True, *,
    stride: Size = 1, padding: Size | str = 0, dilation: Size = 1, groups: int = 1, padding_mode: str = "zeros",
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Convolution over 1, 2 or 3 dimensions: (B, C, *) -> (B, size, *).

    - `size`: output channels. `kernel`: the kernel's sides, in pixels; one number for all, or a tuple.
    - `stride`, `dilation`, `groups`, `padding_mode`: as in `torch.nn.Conv2d`.
    - `padding`: numbers as in torch; 'same', TensorFlow's rule, which makes the output ceil(input / stride) and is computed
      from every input's size; or 'symmetric', dilation * (kernel - 1) // 2 on both sides.

    >>> import warmnet, warmnet.functional as W
    >>> warmnet.tabulate(lambda x: W.conv(x, 8, 3, stride=2, padding='same'), (1, 3, 33, 33)).rows[0].shape
    (1, 8, 17, 17)
    """
    settings = size, kernel, stride, padding, dilation, groups, bias, padding_mode, x.ndim
    module = layer("conv", settings, name, share, _new_conv, x.shape, init_weight, init_bias)
    arguments = _for_kernel(module)
    return activated(module(x) if arguments is None else convolution(x, *arguments), activation)


def conv_batch_norm(
    x: Tensor, size: int, kernel: Size, init_weight: Any = None, *, stride: Size = 1, padding: Size | str = 0,
    dilation: Size = 1, groups: int = 1, eps: float = 1e-5, momentum: float | None = 0.1, activation: Any = None,
    names: tuple[str | None, str | None] = (None, None),
) -> Tensor:  # fmt: skip
    """`conv` without a bias, then `batch_norm`, then `activation`: (B, C, *) -> (B, size, *).

    In inference they are computed at once where that is faster, which differs by rounding.

    - `size`: output channels. `kernel`: the kernel's sides, in pixels; one number for all, or a tuple.
    - `stride`, `padding`, `dilation`, `groups`: as in `conv`. `eps`, `momentum`: as in `batch_norm`.
    - `names`: what the two layers are called in their module. Default: conv_1, batch_norm_1, ...

    >>> import warmnet, warmnet.functional as W
    >>> table = warmnet.tabulate(lambda x: W.conv_batch_norm(x, 8, 3, padding='same', activation='relu'), (1, 3, 33, 33))
    >>> [(row.path, row.shape) for row in table.rows]
    [('conv_1', (1, 8, 33, 33)), ('batch_norm_1', (1, 8, 33, 33))]
    """
    settings = size, kernel, stride, padding, dilation, groups, False, "zeros", x.ndim
    module = layer("conv", settings, names[0], False, _new_conv, x.shape, init_weight, None)
    norm = layer("batch_norm", (eps, momentum, True, True, x.ndim), names[1], False, new_batch_norm, x.shape, size)
    arguments, normalization = _for_kernel(module), for_kernel(norm)
    if arguments is None or normalization is None:
        return activated(norm(module(x)), activation)
    return convolution_batch_norm(x, *arguments, normalization, as_function(activation))


def _for_kernel(module: Any) -> tuple[Any, Any, Any, Any, Any, Any] | None:
    """The tensors and settings by which a kernel computes what the layer does; None where it has to be called."""
    if not may_stand_in(module, _ConvNd) or module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None
    padding = module.same() if isinstance(module, _Same) else module.padding
    weight, bias = module._parameters["weight"], module._parameters["bias"]
    return weight, bias, module.stride, padding, module.dilation, module.groups


def _new_conv(
    shape: Sequence[int], init_weight: Any, init_bias: Any, size: int, kernel: Size, stride: Size, padding: Any,
    dilation: Size, groups: int, bias: bool, padding_mode: str, ndim: int,
) -> nn.Module:  # fmt: skip
    """A convolution for inputs of that shape; torch's own, but for SAME padding that may be one-sided."""
    if not 3 <= ndim <= 5:
        cure = f" For vectors (B, C) take W.linear(x, {size})." if ndim == 2 else ""
        raise ValueError(f"W.conv takes (B, C, *) with 1 to 3 dimensions in *, not shape {tuple(shape)}.{cure}")
    size, channels, dims = checks.whole("size", size), shape[1], ndim - 2
    kernels = checks.spread("kernel", kernel, dims)
    strides = checks.spread("stride", stride, dims)
    dilations = checks.spread("dilation", dilation, dims)
    checks.divisor("groups", groups, {"size": size, "the input channels": channels})
    if isinstance(padding, str) and padding not in ("same", "symmetric"):
        raise ValueError(f"padding='{padding}' is unknown. It is a number, a tuple of numbers, 'same' or 'symmetric'.")
    if padding == "same" and padding_mode != "zeros":
        raise ValueError(f"padding='same' pads with zeros; padding_mode='{padding_mode}' needs numbers.")
    spans = [d * (k - 1) for k, d in zip(kernels, dilations)]
    kind: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    if padding == "same" and any(span and (s > 1 or span % 2) for span, s in zip(spans, strides)):
        kind, padding = (SameConv1d, SameConv2d, SameConv3d)[dims - 1], 0
    elif isinstance(padding, str):
        padding = tuple(span // 2 for span in spans)
    else:
        padding = checks.spread("padding", padding, dims, least=0)
    build: Any = thread.build
    torch_initializes = init_weight is None or (bias and init_bias is None)
    build.restart_draws(skip=not torch_initializes)
    module = kind(channels, size, kernel, stride, padding, dilation, groups, bias, padding_mode)
    if not torch_initializes:
        build.restart_draws()
    return initialized(module, weight=init_weight, bias=init_bias)


class _Same(_ConvNd):
    """A torch convolution with TensorFlow's SAME padding, which it computes for each input's size."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros", **kw: Any,
    ):  # fmt: skip
        settings: Any = kernel_size, stride, padding, dilation, groups, bias, padding_mode
        super().__init__(in_channels, out_channels, *settings, **kw)
        self.same()

    def forward(self, x: Tensor) -> Tensor:
        self.same()
        return same_conv(x, self.weight, self.bias, self.stride, self.dilation, self.groups)

    def same(self) -> str:
        """Its padding, 'same'; an error if another was set."""
        if any(self.padding) or self.padding_mode != "zeros":
            raise ValueError(
                f"{type(self).__name__} pads by itself, with zeros, and was given padding={self.padding} and "
                f"padding_mode='{self.padding_mode}'. Take these out. Put torch's own convolution in its place to pad "
                f"otherwise."
            )
        return "same"

    def extra_repr(self) -> str:
        return super().extra_repr() + ", padding=same"


class SameConv1d(_Same, nn.Conv1d):
    """(B, C, L) -> (B, size, ceil(L/stride)): see `conv`."""


class SameConv2d(_Same, nn.Conv2d):
    """(B, C, H, W) -> (B, size, ceil(H/stride), ceil(W/stride)): see `conv`."""


class SameConv3d(_Same, nn.Conv3d):
    """(B, C, D, H, W) -> (B, size, ceil(D/stride), ceil(H/stride), ceil(W/stride)): see `conv`."""


register(nn.Conv1d, nn.Conv2d, nn.Conv3d, SameConv1d, SameConv2d, SameConv3d)
