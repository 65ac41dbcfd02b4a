"""W: PyWarm's layers under their own names, made honest, and the ones it lacks.

`conv`, `batch_norm`, `linear` and `dropout` take a short path to their built layer; SAME padding and `drop_connect` are new;
`embedding` and `transformer` are mended; the others are PyWarm's own on warmnet's engine. All of them take `name=` and
`share=`, most `activation=`: a function, its name in `torch.nn.functional`, or (function, keywords). An unknown keyword is an
error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as _TorchBatchNorm
from torch.nn.modules.conv import _ConvNd
from warm import functional as pywarm
from warm.functional import gru, identity, layer_norm, lstm, permute

from .module import MismatchError, activate, initialize_, labels, layer, path_of

__all__ = [
    "batch_norm", "conv", "drop_connect", "dropout", "embedding", "gru", "identity", "layer_norm", "linear", "lstm", "permute",
    "transformer",
]  # fmt: skip

Size = int | tuple[int, ...]

labels["conv"] = ("size", "kernel", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
labels["batch_norm"] = ("eps", "momentum", "affine", "track_running_stats")
labels["linear"] = ("size", "bias")
labels["dropout"] = ("rate", "by_channel", "inplace")
labels["drop_connect"] = ("rate",)
labels["embedding"] = ("vocabulary", "size")


def conv(
    x: Tensor, size: int, kernel: Size, init_weight: Any = None, init_bias: Any = None, bias: bool = True, *,
    stride: Size = 1, padding: Size | str = 0, dilation: Size = 1, groups: int = 1, padding_mode: str = "zeros",
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Convolution over 1, 2 or 3 dimensions: (B, C, *) -> (B, size, *).

    - `padding`: numbers as in torch; `'same'`, TensorFlow's rule, which makes the output ceil(input / stride) and is computed
      from every input's size; or `'symmetric'`, dilation * (kernel - 1) // 2 on both sides.
    - `init_weight`, `init_bias`: a name in `torch.nn.init`, a function that fills the tensor, or (function, keywords).
    """
    asked = size, kernel, stride, padding, dilation, groups, bias, padding_mode
    return _run(layer("conv", asked, name, share, _new_conv, x, init_weight, init_bias), x, activation)


def _new_conv(x: Tensor, init_weight: Any, init_bias: Any, size: int, *settings: Any) -> nn.Module:
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"W.conv takes (B, C, *) with 1 to 3 dimensions in *, not shape {tuple(x.shape)}.")
    module = (Conv1d, Conv2d, Conv3d)[x.ndim - 3](x.shape[1], size, *settings)
    if init_weight is None or (module.bias is not None and init_bias is None):
        module.reset_parameters()
    return _initialized(module, weight=init_weight, bias=init_bias)


def batch_norm(
    x: Tensor, *, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Batch normalization over all but dimension 1: (B, C, *) -> (B, C, *). `momentum` is torch's: the weight of the new."""
    asked = eps, momentum, affine, track_running_stats
    return _run(layer("batch_norm", asked, name, share, _new_batch_norm, x), x, activation)


def _new_batch_norm(x: Tensor, *settings: Any) -> nn.Module:
    if not 2 <= x.ndim <= 5:
        raise ValueError(f"W.batch_norm takes (B, C, *) with 0 to 3 dimensions in *, not shape {tuple(x.shape)}.")
    return (BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d)[x.ndim - 2](x.shape[1], *settings)


def linear(
    x: Tensor, size: int, init_weight: Any = None, init_bias: Any = None, bias: bool = True, *,
    activation: Any = None, name: str | None = None, share: bool = False, **kw: Any,
) -> Tensor:  # fmt: skip
    """Linear map of dimension 1: (B, C, *) -> (B, size, *). `init_*` as in `conv`; other keywords are PyWarm's."""
    if kw or x.ndim != 2:
        kw |= dict(activation=activation, name=name, share=share)
        return pywarm.linear(x, size, init_weight, init_bias, bias, **kw)
    return _run(layer("linear", (size, bias), name, share, _new_linear, x, init_weight, init_bias), x, activation)


def _new_linear(x: Tensor, init_weight: Any, init_bias: Any, size: int, bias: bool) -> nn.Module:
    return _initialized(nn.Linear(x.shape[1], size, bias), weight=init_weight, bias=init_bias)


def dropout(
    x: Tensor,
    rate: float = 0.5,
    by_channel: bool = False,
    *,
    inplace: bool = False,
    name: str | None = None,
    share: bool = False,
) -> Tensor:
    """`x` with a share `rate` of its numbers (or whole channels) zeroed and the rest scaled up, in training."""
    return layer("dropout", (rate, by_channel, inplace), name, share, _new_dropout)(x)


def _new_dropout(rate: float, by_channel: bool, inplace: bool) -> nn.Module:
    return (nn.Dropout2d if by_channel else nn.Dropout)(rate, inplace)


def drop_connect(x: Tensor, rate: float, *, name: str | None = None, share: bool = False) -> Tensor:
    """`x` with a share `rate` of its samples zeroed and the rest scaled up, in training. Also called stochastic depth."""
    return layer("drop_connect", (rate,), name, share, DropConnect)(x)


def embedding(
    x: Tensor, size: int, vocabulary: int | None = None, *,
    activation: Any = None, name: str | None = None, share: bool = False, **kw: Any,
) -> Tensor:  # fmt: skip
    """Vectors for indices below `vocabulary`: (*) -> (*, size). Other keywords are `nn.Embedding`'s."""
    if vocabulary is None:
        raise ValueError("W.embedding needs vocabulary=, the number of different indices: one sample does not show them all.")
    kw = {key: value for key, value in kw.items() if key not in ("in_shape", "out_shape", "base_shape")}
    asked = int(vocabulary), size, *sorted(kw.items())
    return _run(layer("embedding", asked, name, share, _new_embedding), x.long(), activation)


def _new_embedding(vocabulary: int, size: int, *settings: tuple[str, Any]) -> nn.Module:
    return nn.Embedding(vocabulary, size, **dict(settings))


def transformer(
    x: Tensor, y: Tensor | None = None, *args: Any, causal: bool = False, in_shape: str = "BCD", **kw: Any
) -> Tensor:
    """PyWarm's `transformer`, its causal mask on the device of `x`: (B, C, L), (B, C, L2) -> the shape of `y`, or of `x`."""
    if causal:
        masks = {"src_mask": x, "tgt_mask": x if y is None else y}
        for key, z in masks.items():
            length = z.shape[in_shape.find("D")]
            masks[key] = nn.Transformer.generate_square_subsequent_mask(length, device=x.device, dtype=x.dtype)
        given = kw.pop("mask", None) or {}
        kw["mask"] = {**given, **{key: mask + given.get(key, 0.0) for key, mask in masks.items()}}
    return pywarm.transformer(x, y, *args, in_shape=in_shape, **kw)


def check_images(x: Tensor, channels: int, smallest: int) -> None:
    """Raise what is wrong with `x` as a batch of float images (B, channels, H, W); H and W at least `smallest`."""
    if not isinstance(x, Tensor):
        raise TypeError(f"Images are a tensor (B, {channels}, H, W), not a {type(x).__name__}.")
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(f"Images are (B, {channels}, H, W), not {tuple(x.shape)}. For one image, image[None] adds the B.")
    if not x.is_floating_point():
        raise TypeError(f"Images are floating point, not {x.dtype}. Convert with x.float() / 255 and normalize.")
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    if min(x.shape[2:]) < smallest:
        raise ValueError(
            f"Images of {x.shape[2]}x{x.shape[3]} are smaller than the network's total stride, {smallest}. Enlarge them, or "
            f"build the network with stem_stride=1."
        )
    if x.device.type == "cpu" and not torch._C._functorch.is_functorch_wrapped_tensor(x) and not x.sum().isfinite():
        if not x.isfinite().all():  # a sum of finite numbers may overflow
            raise ValueError(f"Images hold {int((~x.isfinite()).sum())} numbers that are NaN or infinite. Clean the data.")


def _initialized(module: nn.Module, **specs: Any) -> nn.Module:
    for key, spec in specs.items():
        if spec is not None and getattr(module, key) is not None:
            initialize_(getattr(module, key).detach(), spec)
    return module


_IN_PLACE = {F.silu, F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.mish, F.leaky_relu, F.elu, F.selu}


def _run(module: nn.Module, x: Tensor, activation: Any) -> Tensor:
    """`activation(module(x))`; in place where nobody can tell."""
    try:
        y = module(x)
    except RuntimeError as error:
        raise _explained(module, x, error) from error
    if activation is None:
        return y
    if not callable(activation):
        return activate(y, activation)
    if (
        activation in _IN_PLACE
        and not torch.is_grad_enabled()
        and isinstance(module, (_Conv, _BatchNorm))
        and not module._forward_hooks
    ):
        return activation(y, inplace=True)
    return activation(y)


def _explained(module: nn.Module, x: Tensor, error: RuntimeError) -> RuntimeError:
    """A MismatchError where the input has not the channels that the layer was built for; otherwise `error`."""
    built = next((getattr(module, key) for key in ("in_channels", "num_features", "in_features") if hasattr(module, key)), None)
    if built is None or x.ndim < 2 or built == x.shape[1]:
        return error
    return MismatchError(f"'{path_of(module)}' was built for {built} input channels and is given {tuple(x.shape)}.")


class _Conv(_ConvNd):
    """A torch convolution that also knows SAME padding, and reads its tensors without `nn.Module.__getattr__`."""

    convolve: Callable[..., Tensor]

    def __init__(
        self, size_in: int, size: int, kernel: Size, stride: Size, padding: Any, dilation: Size, groups: int, *more: Any
    ):
        if size % groups or size_in % groups:
            raise ValueError(f"groups (={groups}) must divide size (={size}) and the input channels (={size_in}).")
        numbers = 0 if isinstance(padding, str) else padding
        super().__init__(size_in, size, kernel, stride, numbers, dilation, groups, *more)  # type: ignore[arg-type]
        spans = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation)]
        self.same = padding == "same"
        if padding == "symmetric" or (self.same and set(self.stride) == {1} and not any(span % 2 for span in spans)):
            self.padding, self.same = tuple(span // 2 for span in spans), False
            self._reversed_padding_repeated_twice = [p for p in reversed(self.padding) for _ in range(2)]
        elif isinstance(padding, str) and not self.same:
            raise ValueError(f"padding='{padding}' is unknown. It is a number, a tuple, 'same' or 'symmetric'.")
        if self.same and self.padding_mode != "zeros":
            raise ValueError(f"padding='same' pads with zeros; padding_mode='{self.padding_mode}' needs numbers.")

    def reset_parameters(self) -> None:
        """Draw torch's initial values; but not while being constructed, when others may be asked for."""
        if hasattr(self, "same"):
            super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        if self.padding_mode != "zeros":
            return super().forward(x)
        tensors: dict[str, Any] = self._parameters
        if "weight" in tensors and "bias" in tensors:
            weight, bias = tensors["weight"], tensors["bias"]
        else:  # parametrized or pruned
            weight, bias = self.weight, self.bias
        if self.same:
            return self._same(x, weight, bias)
        return self.convolve(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def _same(self, x: Tensor, weight: Any, bias: Tensor | None) -> Tensor:
        """The convolution with TensorFlow's padding, which puts an odd row of zeros last: an output of ceil(n / stride)."""
        sizes, strides, dilation, groups = x.shape[2:], self.stride, self.dilation, self.groups
        if torch.jit.is_tracing():
            sizes = torch.Size(int(n) for n in sizes)
        spans = [d * (k - 1) for k, d in zip(self.kernel_size, dilation)]
        pads = [span - (n - 1) % s for span, n, s in zip(spans, sizes, strides)]
        if any(span < s - 1 for span, s in zip(spans, strides)):  # a symbolic max() costs exporters minutes
            pads = [max(p, 0) for p in pads]
        if not torch.compiler.is_compiling() and not any(isinstance(n, torch.SymInt) for n in sizes):
            if not any(p % 2 for p in pads):
                return self.convolve(x, weight, bias, strides, [p // 2 for p in pads], dilation, groups)
            if groups > 1 and max(dilation) == 1 and weight.numel() < x.numel():
                # Put first in the kernel, the zeros do the same, and it is the kernel that is copied and not the picture.
                weight = F.pad(weight, [side for p in reversed(pads) for side in (p % 2, 0)])
                return self.convolve(x, weight, bias, strides, [(p + 1) // 2 for p in pads], dilation, groups)
        x = F.pad(x, [half for p in reversed(pads) for half in (p // 2, p - p // 2)])
        return self.convolve(x, weight, bias, strides, 0, dilation, groups)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", padding=same" if self.same else "")


class Conv1d(_Conv, nn.Conv1d):
    convolve = staticmethod(torch.conv1d)


class Conv2d(_Conv, nn.Conv2d):
    convolve = staticmethod(torch.conv2d)


class Conv3d(_Conv, nn.Conv3d):
    convolve = staticmethod(torch.conv3d)


class _BatchNorm(_TorchBatchNorm):
    """A torch batch normalization that, in eval, reads its tensors without `nn.Module.__getattr__`."""

    def forward(self, x: Tensor) -> Tensor:
        tensors, buffers = self._parameters, self._buffers
        if self.training or not self.track_running_stats or "weight" not in tensors or "bias" not in tensors:
            return super().forward(x)
        mean, var, cudnn = buffers["running_mean"], buffers["running_var"], x.is_cuda and torch.backends.cudnn.enabled
        return torch.batch_norm(x, tensors["weight"], tensors["bias"], mean, var, False, 0.0, self.eps, cudnn)


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    pass


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    pass


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    pass


class DropConnect(nn.Module):
    """Zeroes whole samples in training, with probability `rate`, and scales the others by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop_connect's rate is {rate}; it must be at least 0 and below 1.")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * mask.div_(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:.4g}"
