"""W: PyWarm's layers under their own names, made honest, and the ones it lacks.

A built layer is torch's own (`type(layer) is torch.nn.Conv2d`), but for a convolution whose SAME padding is one-sided, which
torch has not. SAME padding, `conv_batch_norm`, `drop_connect` and `global_average_pool` are new; `embedding` and
`transformer` are mended; the others are PyWarm's own on warmnet's engine. All layers take `name=`, and but for the pair
`share=`; most `activation=`: a function, its name in `torch.nn.functional`, or (function, keywords). An unknown keyword is an
error.
"""

from __future__ import annotations

import math
import warnings
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from warm import functional as pywarm
from warm.functional import identity

from . import checks
from .engine.layers import are_bare, explained, labels, layer, resized, thread
from .engine.pywarm import activate, initialize_, permuted, torchs_own
from .kernels import gradients, rules
from .kernels.folding import folded
from .kernels.padding import convolve, same_conv, same_zeros

__all__ = [
    "batch_norm", "conv", "conv_batch_norm", "drop_connect", "dropout", "embedding", "global_average_pool", "gru", "identity",
    "layer_norm", "linear", "lstm", "permute", "transformer",
]  # fmt: skip

Size = int | tuple[int, ...]

labels["conv"] = ("size", "kernel", "stride", "padding", "dilation", "groups", "bias", "padding_mode", "ndim")
labels["batch_norm"] = ("eps", "momentum", "affine", "track_running_stats", "ndim")
labels["linear"] = ("size", "bias")
labels["layer_norm"] = ("shape", "eps", "elementwise_affine", "bias")
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
    asked = size, kernel, stride, padding, dilation, groups, bias, padding_mode, x.ndim
    module = _as_built(layer("conv", asked, name, share, _new_conv, x, init_weight, init_bias), "out_channels")
    return _activated(_convolved(module, x), activation)


def batch_norm(
    x: Tensor, *, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Batch normalization over all but dimension 1: (B, C, *) -> (B, C, *). `momentum` is torch's: the weight of the new."""
    asked = eps, momentum, affine, track_running_stats, x.ndim
    module = layer("batch_norm", asked, name, share, _new_batch_norm, x, None)
    return _normalized(module, x, activation)


def conv_batch_norm(
    x: Tensor, size: int, kernel: Size, init_weight: Any = None, *, stride: Size = 1, padding: Size | str = 0,
    dilation: Size = 1, groups: int = 1, eps: float = 1e-5, momentum: float | None = 0.1, activation: Any = None,
    names: tuple[str | None, str | None] = (None, None),
) -> Tensor:  # fmt: skip
    """`conv` without a bias, then `batch_norm`, then `activation`: (B, C, *) -> (B, size, *).

    In inference on a CPU both are computed at once where that is faster, which differs by rounding. `names` are the layers'.
    """
    settings = size, kernel, stride, padding, dilation, groups, False, "zeros", x.ndim
    convolution = _as_built(layer("conv", settings, names[0], False, _new_conv, x, init_weight, None), "out_channels")
    asked = eps, momentum, True, True, x.ndim
    norm = layer("batch_norm", asked, names[1], False, _new_batch_norm, x, size)
    if torch.is_grad_enabled() or norm.training or not _are_torchs((convolution, _ConvNd), (norm, _BatchNorm)):
        return _normalized(norm, _convolved(convolution, x), activation)
    y = _inferred(convolution, norm, x)
    in_place = type(activation) is FunctionType and activation in _IN_PLACE
    return activation(y, inplace=True) if in_place else _activated(y, activation)


def linear(
    x: Tensor, size: int, init_weight: Any = None, init_bias: Any = None, bias: bool = True, *,
    activation: Any = None, name: str | None = None, share: bool = False, **kw: Any,
) -> Tensor:  # fmt: skip
    """Linear map of dimension 1: (B, C) -> (B, size), (B, C, L) -> (B, size, L).

    `init_weight` and `init_bias` are as in `conv`; other keywords are PyWarm's.
    """
    if kw:
        return pywarm.linear(x, size, init_weight, init_bias, bias, activation=activation, name=name, share=share, **kw)
    if x.ndim > 3:
        raise ValueError(
            f"W.linear takes (B, C) or (B, C, L), not maps {tuple(x.shape)}. Pool them first, x.mean((2, 3)) or "
            f"W.global_average_pool(x).flatten(1); or take W.conv(x, {size}, 1) for a linear map of each position."
        )
    module = layer("linear", (size, bias), name, share, _new_linear, x.shape[1], init_weight, init_bias)
    module = _as_built(module, "out_features")
    if x.ndim == 2:
        return _activated(_called(module, x), activation)
    return _activated(_called(module, x.movedim(1, -1), -1), activation).movedim(-1, 1)


def layer_norm(
    x: Tensor, dim: Size = 1, *, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Layer normalization over `dim`, one dimension or several together: any shape -> the same."""
    dims = tuple(d % x.ndim for d in ((dim,) if isinstance(dim, int) else dim))
    ends = tuple(range(-len(dims), 0))
    y = x.movedim(dims, ends)
    asked = tuple(y.shape[-len(dims) :]), eps, elementwise_affine, bias
    module = layer("layer_norm", asked, name, share, nn.LayerNorm)
    return _activated(_called(module, y), activation).movedim(ends, dims)


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
    return layer("dropout", (rate, by_channel, inplace), name, share, _new_dropout, x)(x)


def _new_dropout(x: Tensor, rate: float, by_channel: bool, inplace: bool) -> nn.Module:
    checks.share("rate", rate)
    kinds = nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d
    return kinds[x.ndim - 2 if by_channel else 0](rate, inplace)


def drop_connect(x: Tensor, rate: float, *, name: str | None = None, share: bool = False) -> Tensor:
    """`x` with a share `rate` of its samples zeroed and the rest scaled up, in training. Also called stochastic depth."""
    return layer("drop_connect", (rate,), name, share, DropConnect)(x)


def global_average_pool(x: Tensor) -> Tensor:
    """The mean of every map: (B, C, H, W) -> (B, C, 1, 1)."""
    return F.adaptive_avg_pool2d(x, 1)


def embedding(
    x: Tensor, size: int, vocabulary: int | None = None, *,
    activation: Any = None, name: str | None = None, share: bool = False, **kw: Any,
) -> Tensor:  # fmt: skip
    """Vectors for indices below `vocabulary`: (*) -> (*, size). Other keywords are `nn.Embedding`'s."""
    if vocabulary is None:
        raise ValueError("W.embedding needs vocabulary=, the number of different indices: one sample does not show them all.")
    kw = {key: value for key, value in kw.items() if key not in ("in_shape", "out_shape", "base_shape")}
    asked = checks.whole("vocabulary", vocabulary), size, *sorted(kw.items())
    return _activated(layer("embedding", asked, name, share, _new_embedding)(x.long()), activation)


def _new_embedding(vocabulary: int, size: int, *settings: tuple[str, Any]) -> nn.Module:
    return nn.Embedding(vocabulary, size, **dict(settings))


def lstm(
    x: Any, size: int, init_weight_hh: Any = "orthogonal_", init_weight_ih: Any = None, init_bias_hh: Any = None,
    init_bias_ih: Any = None, bias: bool = True, num_layers: int = 1, **kw: Any,
) -> Any:  # fmt: skip
    """PyWarm's `lstm`, `init_*` and `bias` for every layer and direction: (B, C, L), or it and (h, c) -> (B, size, L).

    With `tuple_out=True` it gives that and the last (h, c). Other keywords are `nn.LSTM`'s.
    """
    _refuse_batch_first(kw)
    specs = {"weight_hh": init_weight_hh, "weight_ih": init_weight_ih, "bias_hh": init_bias_hh, "bias_ih": init_bias_ih}
    ends = [f"l{i}{end}" for i in range(num_layers) for end in ("", "_reverse")[: 2 if kw.get("bidirectional") else 1]]
    kw["initialization"] = {f"{key}_{e}": spec for key, spec in specs.items() if bias or "bias" not in key for e in ends}
    kw["base_kw"] = {"hidden_size": size, "num_layers": num_layers, "bias": bias, **torchs_own(kw)}
    return pywarm.lstm(x, size, bias=bias, num_layers=num_layers, **kw)


def gru(*args: Any, **kw: Any) -> Any:
    """`lstm` with `nn.GRU`, whose state is `h` alone."""
    return lstm(*args, base_name="gru", base_class=nn.GRU, **kw)


def transformer(
    x: Tensor, y: Tensor | None = None, num_encoder: int = 6, num_decoder: int = 6, num_head: int = 8, mask: Any = None,
    causal: bool = False, *, in_shape: str = "BCD", **kw: Any,
) -> Tensor:  # fmt: skip
    """PyWarm's `transformer`, its causal masks on the device of `x`: (B, C, L), (B, C, L2) -> the shape of `y`, or of `x`."""
    _refuse_batch_first(kw)
    mask = {"src_is_causal": False, "tgt_is_causal": False, **(mask or {})}  # torch would look at the masks, and not compile
    if causal:
        masked = {"src_mask": x, "tgt_mask": x, "memory_mask": x} if y is None else {"src_mask": x, "tgt_mask": y}
        for key, z in masked.items():
            length = z.shape[in_shape.find("D")]
            mask[key] = mask.get(key, 0.0) + torch.full((length, length), -torch.inf, device=x.device, dtype=x.dtype).triu(1)
    return pywarm.transformer(x, y, num_encoder, num_decoder, num_head, mask, in_shape=in_shape, base_class=Transformer, **kw)


def permute(x: Tensor, in_shape: str = "BCD", out_shape: Any = "BCD") -> Tensor:
    """`x` with its dimensions, named by letters as in `in_shape`, in the order of `out_shape`."""
    return permuted(x, in_shape, out_shape)


def _refuse_batch_first(kw: dict[str, Any]) -> None:
    if "batch_first" in kw:
        raise TypeError(
            "batch_first is torch's word for (B, L, C). Here sequences are (B, C, L); say in_shape='BDC' for others."
        )


# How layers are made


def _new_conv(
    x: Tensor, init_weight: Any, init_bias: Any, size: int, kernel: Size, stride: Size, padding: Any, dilation: Size,
    groups: int, bias: bool, padding_mode: str, ndim: int,
) -> nn.Module:  # fmt: skip
    if not 3 <= ndim <= 5:
        raise ValueError(f"W.conv takes (B, C, *) with 1 to 3 dimensions in *, not shape {tuple(x.shape)}.")
    size = checks.whole("size", size)
    kernels, strides, dilations = (
        checks.spread(key, value, ndim - 2) for key, value in {"kernel": kernel, "stride": stride, "dilation": dilation}.items()
    )
    checks.refuse_tensor("groups", groups)
    if not isinstance(groups, int) or groups < 1 or size % groups or x.shape[1] % groups:
        raise ValueError(f"groups (={groups}) must divide size (={size}) and the input channels (={x.shape[1]}).")
    if isinstance(padding, str) and padding not in ("same", "symmetric"):
        raise ValueError(f"padding='{padding}' is unknown. It is a number, a tuple of numbers, 'same' or 'symmetric'.")
    if padding == "same" and padding_mode != "zeros":
        raise ValueError(f"padding='same' pads with zeros; padding_mode='{padding_mode}' needs numbers.")
    spans = [d * (k - 1) for k, d in zip(kernels, dilations)]
    if padding == "same" and any(span and (s > 1 or span % 2) for span, s in zip(spans, strides)):
        kind: Any = (SameConv1d, SameConv2d, SameConv3d)[ndim - 3]
        padding = 0
    else:
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[ndim - 3]
        halves = tuple(span // 2 for span in spans)
        padding = halves if isinstance(padding, str) else checks.spread("padding", padding, ndim - 2, least=0)
    build: Any = thread.build
    torch_initializes = init_weight is None or (bias and init_bias is None)
    build.restart_draws(skip=not torch_initializes)
    module = kind(x.shape[1], size, kernel, stride, padding, dilation, groups, bias, padding_mode)
    if not torch_initializes:
        build.restart_draws()
    return _initialized(module, weight=init_weight, bias=init_bias)


def _new_batch_norm(x: Tensor, size: int | None, *settings: Any) -> nn.Module:
    if not 2 <= x.ndim <= 5:
        raise ValueError(f"W.batch_norm takes (B, C, *) with 0 to 3 dimensions in *, not shape {tuple(x.shape)}.")
    kind = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[x.ndim - 2]
    return kind(x.shape[1] if size is None else size, *settings[:-1])


def _new_linear(size_in: int, init_weight: Any, init_bias: Any, size: int, bias: bool) -> nn.Module:
    return _initialized(nn.Linear(size_in, checks.whole("size", size), bias), weight=init_weight, bias=init_bias)


def _initialized(module: nn.Module, **specs: Any) -> nn.Module:
    build: Any = thread.build
    for key, spec in specs.items():
        if spec is not None and getattr(module, key) is not None and not build.is_given(key, getattr(module, key)):
            initialize_(getattr(module, key).detach(), spec)
    return module


# How they are called


def _as_built(module: Any, attribute: str) -> Any:
    """`module`, unless it is a layer of the build that was given another size since."""
    held = module.__dict__
    if "_size" in held and held["_size"] != held.get(attribute):
        raise resized(module, held["_size"], held.get(attribute))
    return module


_IN_PLACE = {F.silu, F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.mish, F.leaky_relu, F.elu, F.selu}


def _called(module: nn.Module, x: Tensor, channels: int = 1) -> Tensor:
    """`module(x)`, or what is wrong with it."""
    try:
        return module(x)
    except RuntimeError as error:
        explained(module, x.movedim(channels, 1), error)
        raise


def _activated(y: Tensor, activation: Any) -> Tensor:
    if activation is None:
        return y
    return activation(y) if callable(activation) else activate(y, activation)


def _convolved(module: Any, x: Tensor) -> Tensor:
    """`module(x)`; a bare one without `nn.Module.__call__`, and with the gradients that are faster."""
    held = module._parameters
    if not _are_torchs((module, _ConvNd)) or not held.keys() >= _TENSORS or module.padding_mode != "zeros":
        return _called(module, x)
    try:
        if torch.is_grad_enabled() and module.groups > 1 and not isinstance(module.padding, str) and rules.is_plain(x):
            weight, zeros = held["weight"], _zeros(module, x)
            if rules.is_depthwise(x, weight, module.dilation) and rules.has_slow_gradients(x, weight, module.stride, zeros):
                return gradients.depthwise(x, weight, held["bias"], module.stride, zeros)
        return _convolution(module, x, held["weight"], held["bias"])
    except RuntimeError as error:
        explained(module, x, error)
        raise


def _normalized(norm: Any, x: Tensor, activation: Any) -> Tensor:
    """`activation(norm(x))`; SiLU's input is not kept for going back where that is much."""
    if activation is F.silu and torch.is_grad_enabled() and _are_torchs((norm, _BatchNorm)) and rules.recomputes(x):
        tensors = norm.weight, norm.bias, norm.running_mean, norm.running_var
        trains = norm.training and norm.momentum is not None and norm.track_running_stats
        if trains and x.shape[1] == norm.num_features and rules.is_plain(x, *tensors, norm.num_batches_tracked):
            if norm.weight.dtype in ((x.dtype, torch.float32) if x.dtype in rules.HALVES else (x.dtype,)):
                norm.num_batches_tracked.add_(1)
                return gradients.normalized_silu(x, *tensors, norm.momentum, norm.eps)
    return _activated(_called(norm, x), activation)


def _inferred(convolution: Any, norm: Any, x: Tensor) -> Tensor:
    """norm(convolution(x)) in inference, of bare layers; in one go where that is faster."""
    kernel, held = convolution._parameters, norm._parameters
    mean, var = norm._buffers.get("running_mean"), norm._buffers.get("running_var")
    if mean is None or var is None or not (kernel.keys() >= _TENSORS and held.keys() >= _TENSORS):
        return _called(norm, _called(convolution, x))
    if convolution.padding_mode != "zeros":
        return _called(norm, _called(convolution, x))
    weight = kernel["weight"]
    tensors = weight, held["weight"], held["bias"], mean, var
    try:
        outputs = x.numel() // convolution.in_channels * convolution.out_channels
        if outputs >= rules.LARGE and rules.folds(outputs // math.prod(convolution.stride), x, weight):
            if kernel["bias"] is None and rules.are_alike(x, *tensors):
                return _convolution(convolution, x, *folded(*tensors, norm.eps))
        y = _convolution(convolution, x, weight, kernel["bias"])
        cudnn = y.is_cuda and torch.backends.cudnn.enabled
        return torch.batch_norm(y, held["weight"], held["bias"], mean, var, False, 0.0, norm.eps, cudnn)
    except RuntimeError:
        _called(norm, _called(convolution, x))  # says which of the two it is
        raise


def _convolution(module: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What a convolution of W's computes, with other tensors."""
    if type(module) is nn.Conv2d:
        return F.conv2d(x, weight, bias, module.stride, module.padding, module.dilation, module.groups)
    if isinstance(module, _Same):
        return module.convolved(x, weight, bias)
    return convolve(x, weight, bias, module.stride, module.padding, module.dilation, module.groups)


def _zeros(module: Any, x: Tensor) -> list[int]:
    """How many zeros a convolution of W's adds to each dimension, an odd one last."""
    if isinstance(module, _Same):
        return same_zeros(x.shape[2:], module.kernel_size, module.stride, module.dilation)
    return [2 * n for n in module.padding]


def _are_torchs(*layers: tuple[Any, Any]) -> bool:
    """Whether each module is of that kind, and its call what torch, or W, wrote for its class, and nothing else."""
    if not thread.calls[-1][3]:
        return False
    for module, base in layers:
        if not isinstance(module, base) or _METHODS.get(type(module)) != _methods(type(module)) or not are_bare(module):
            return False
    return True


class _Same(_ConvNd):
    """A torch convolution with TensorFlow's SAME padding, which it computes for each input's size."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros", **kw: Any,
    ):  # fmt: skip
        settings: Any = kernel_size, stride, padding, dilation, groups, bias, padding_mode
        super().__init__(in_channels, out_channels, *settings, **kw)
        if any(self.padding) or self.padding_mode != "zeros":
            raise ValueError(
                f"{type(self).__name__} pads by itself, with zeros. Take out padding={padding}, or take torch's class."
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.convolved(x, self.weight, self.bias)

    def convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with this layer's settings and other tensors."""
        if any(self.padding) or self.padding_mode != "zeros":
            raise ValueError(
                f"{type(self).__name__} pads by itself, with zeros, and was given padding={self.padding} and "
                f"padding_mode='{self.padding_mode}'. Put torch's own convolution in its place."
            )
        return same_conv(x, weight, bias, self.kernel_size, self.stride, self.dilation, self.groups)

    def extra_repr(self) -> str:
        return super().extra_repr() + ", padding=same"


class SameConv1d(_Same, nn.Conv1d):
    """(B, C, L) -> (B, size, ceil(L/stride)): see `conv`."""


class SameConv2d(_Same, nn.Conv2d):
    """(B, C, H, W) -> (B, size, ceil(H/stride), ceil(W/stride)): see `conv`."""


class SameConv3d(_Same, nn.Conv3d):
    """(B, C, D, H, W) -> (B, size, ceil(D/stride), ceil(H/stride), ceil(W/stride)): see `conv`."""


class DropConnect(nn.Module):
    """Zeroes whole samples in training, with probability `rate`, and scales the others by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        super().__init__()
        checks.share("drop_connect's rate", rate)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * mask.div_(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:.4g}"


class Transformer(nn.Transformer):
    """torch's, which without a decoder gives what its encoder saw."""

    def __init__(self, *args: Any, custom_decoder: Any = None, **kw: Any):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "enable_nested_tensor")
            super().__init__(*args, custom_decoder=custom_decoder and _memory, **kw)  # type: ignore[misc]


def _memory(y: Tensor, memory: Tensor, **kw: Any) -> Tensor:
    return memory


def _methods(kind: Any) -> tuple[Any, ...]:
    """What a call of a module of that class comes down to."""
    return kind.__call__, kind._call_impl, kind.forward, getattr(kind, "_conv_forward", None)


_TENSORS = {"weight", "bias"}
_METHODS: dict[type, Any] = {  # of the classes whose layers stand-ins may compute
    kind: _methods(kind)
    for kind in (
        nn.Conv1d, nn.Conv2d, nn.Conv3d, SameConv1d, SameConv2d, SameConv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d
    )
}  # fmt: skip
