"""W: PyWarm's layers under their own names, made honest, and the ones it lacks.

`conv`, `batch_norm`, `linear` and `dropout` take a short path to their built layer; SAME padding, `drop_connect` and
`global_average_pool` are new; `embedding` and `transformer` are mended; the others are PyWarm's own on warmnet's engine. All
layers take `name=` and `share=`, most `activation=`: a function, its name in `torch.nn.functional`, or (function, keywords).
An unknown keyword is an error.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules.batchnorm import _BatchNorm as _TorchBatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.module import _has_any_global_hook
from torch.utils._python_dispatch import is_in_torch_dispatch_mode
from warm import functional as pywarm
from warm.functional import identity

from .folding import Unnormalized, folded
from .fused import depthwise_silu, fastest, is_possible
from .gradients import averaged, depthwise, is_slow, normalized_silu, widened
from .module import Noted, activate, explained, initialize_, is_given, is_observed, labels, layer, permuted, torchs_own

__all__ = [
    "batch_norm", "conv", "drop_connect", "dropout", "embedding", "global_average_pool", "gru", "identity", "layer_norm",
    "linear", "lstm", "permute", "transformer",
]  # fmt: skip

Size = int | tuple[int, ...]
CPU = "cpu", "meta"  # 'meta' counts what a CPU would do

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
    fold: bool = False, activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Convolution over 1, 2 or 3 dimensions: (B, C, *) -> (B, size, *).

    - `padding`: numbers as in torch; `'same'`, TensorFlow's rule, which makes the output ceil(input / stride) and is computed
      from every input's size; or `'symmetric'`, dilation * (kernel - 1) // 2 on both sides.
    - `init_weight`, `init_bias`: a name in `torch.nn.init`, a function that fills the tensor, or (function, keywords).
    - `fold`: leave it to `batch_norm`, which must take what comes out, to compute both: at once in inference on a CPU where
      that is faster, else one after the other. Nothing else can take it, and `x` must stay as it is until then.
    """
    asked = size, kernel, stride, padding, dilation, groups, bias, padding_mode, x.ndim
    module = layer("conv", asked, name, share, _new_conv, x, init_weight, init_bias)
    if not fold:
        return _run(module, x, activation)
    if activation is not None:
        raise TypeError("fold=True is for a batch normalization that follows; activation= is what follows. Take one out.")
    return Unnormalized(module, x)  # type: ignore[return-value]


def _new_conv(x: Tensor, init_weight: Any, init_bias: Any, size: int, *asked: Any) -> nn.Module:
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"W.conv takes (B, C, *) with 1 to 3 dimensions in *, not shape {tuple(x.shape)}.")
    module = (Conv1d, Conv2d, Conv3d)[x.ndim - 3](x.shape[1], size, *asked[:-1])
    if init_weight is None or (module.bias is not None and init_bias is None):
        module.reset_parameters()
    return _initialized(module, weight=init_weight, bias=init_bias)


def batch_norm(
    x: Tensor, *, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Batch normalization over all but dimension 1: (B, C, *) -> (B, C, *). `momentum` is torch's: the weight of the new."""
    asked = eps, momentum, affine, track_running_stats, x.ndim
    norm = layer("batch_norm", asked, name, share, _new_batch_norm, x)
    if isinstance(x, Unnormalized):
        if _are_one(x.conv, norm, x.x):
            if _folding_pays(x.conv, x.x):
                return _activated(folded(x.conv, norm, x.x), activation, True)
            if activation is F.silu and torch.backends.cudnn.benchmark and is_possible(x.x, x.conv.weight, x.conv.dilation):
                return _fused(x.conv, norm, x.x)
        x = _run(x.conv, x.x, None)
    return _run(norm, x, activation)


def _fused(conv: Any, norm: Any, x: Tensor) -> Tensor:
    """silu(norm(conv(x))), by the kernel or by the layers, whichever was measured to be faster."""
    zeros = tuple(conv._zeros(x.shape[2:]))
    held = norm.weight, norm.bias, norm.running_mean, norm.running_var

    def kernel() -> Tensor:
        return depthwise_silu(x, conv.weight, *held, norm.eps, conv.stride, zeros)

    def layers() -> Tensor:
        return _run(norm, _run(conv, x, None), F.silu)

    return fastest(kernel, layers, x, conv.kernel_size, conv.stride, zeros)()


def _new_batch_norm(x: Any, *settings: Any) -> nn.Module:
    if not 2 <= x.ndim <= 5:
        raise ValueError(f"W.batch_norm takes (B, C, *) with 0 to 3 dimensions in *, not shape {tuple(x.shape)}.")
    size: Any = x.conv.out_channels if isinstance(x, Unnormalized) else x.shape[1]
    return (BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d)[x.ndim - 2](size, *settings[:-1])


def linear(
    x: Tensor, size: int, init_weight: Any = None, init_bias: Any = None, bias: bool = True, *,
    activation: Any = None, name: str | None = None, share: bool = False, **kw: Any,
) -> Tensor:  # fmt: skip
    """Linear map of dimension 1: (B, C, *) -> (B, size, *). `init_*` as in `conv`; other keywords are PyWarm's."""
    if kw:
        return pywarm.linear(x, size, init_weight, init_bias, bias, activation=activation, name=name, share=share, **kw)

    module = layer("linear", (size, bias), name, share, _new_linear, x, init_weight, init_bias)
    return _run(module, x, activation) if x.ndim == 2 else _run(module, x.movedim(1, -1), activation, -1).movedim(-1, 1)


def _new_linear(x: Tensor, init_weight: Any, init_bias: Any, size: int, bias: bool) -> nn.Module:
    return _initialized(Linear(x.shape[1], size, bias), weight=init_weight, bias=init_bias)


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
    return _run(module, y, activation).movedim(ends, dims)


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
    kinds = Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d
    return kinds[x.ndim - 2 if by_channel else 0](rate, inplace)


def drop_connect(x: Tensor, rate: float, *, name: str | None = None, share: bool = False) -> Tensor:
    """`x` with a share `rate` of its samples zeroed and the rest scaled up, in training. Also called stochastic depth."""
    return layer("drop_connect", (rate,), name, share, DropConnect)(x)


def global_average_pool(x: Tensor) -> Tensor:
    """The mean of every map: (B, C, H, W) -> (B, C, 1, 1)."""
    if torch.is_grad_enabled() and x.device.type in CPU and is_plain(x):
        return averaged(x)
    return F.adaptive_avg_pool2d(x, 1)


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
    if x.device.type == "cpu" and is_plain(x):
        if not x.sum().isfinite() and not x.isfinite().all():  # a sum of finite numbers may overflow
            raise ValueError(f"Images hold {int((~x.isfinite()).sum())} numbers that are NaN or infinite. Clean the data.")


def is_plain(x: Tensor) -> bool:
    """Whether `x` is a tensor of torch's with its numbers at hand, and nobody follows what is done to it."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_in_torch_dispatch_mode():
        return False
    return _is_tensor(x) and forward_ad._current_level < 0 and not torch._C._are_functorch_transforms_active()


def _is_tensor(x: Any) -> bool:
    return type(x) in (Tensor, nn.Parameter)


def _initialized(module: nn.Module, **specs: Any) -> nn.Module:
    for key, spec in specs.items():
        if spec is not None and getattr(module, key) is not None and not is_given(key, getattr(module, key)):
            initialize_(getattr(module, key).detach(), spec)
    return module


_IN_PLACE = {F.silu, F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.mish, F.leaky_relu, F.elu, F.selu}


def _run(module: Any, x: Tensor, activation: Any, channels: int = 1) -> Tensor:
    """`activation(module(x))`; in place where nobody can tell."""
    try:
        if activation is F.silu and _recomputing_pays(module, x):
            module.num_batches_tracked.add_(1)
            held = module.weight, module.bias, module.running_mean, module.running_var
            return normalized_silu(x, *held, module.momentum, module.eps)
        y = module(x)
    except RuntimeError as error:
        explained(module, x.movedim(channels, 1), error)
        raise
    alone = _is_bare(module, _Conv) or _is_bare(module, _BatchNorm)
    return _activated(y, activation, alone and not (torch.is_grad_enabled() or torch.jit.is_tracing()))


def _activated(y: Tensor, activation: Any, in_place: bool) -> Tensor:
    if activation is None:
        return y
    if not callable(activation):
        return activate(y, activation)
    return activation(y, inplace=True) if in_place and activation in _IN_PLACE else activation(y)


class _Conv(Noted, _ConvNd):
    """A torch convolution that also knows SAME padding, and reads its tensors without `nn.Module.__getattr__`."""

    convolve: Callable[..., Tensor]

    def __init__(
        self, size_in: int, size: int, kernel: Size, stride: Size, padding: Any, dilation: Size, groups: int, *more: Any
    ):
        if groups < 1 or size % groups or size_in % groups:
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
        return self.convolved(x, weight, bias)

    def convolved(self, x: Tensor, weight: Any, bias: Tensor | None) -> Tensor:
        """The convolution with this module's settings and other tensors."""
        zeros = self._zeros(x.shape[2:])
        one_sided = self.same and (_sizes_are_free(x) or any(n % 2 for n in zeros))
        if self._is_slow_going_back(x, weight, one_sided):
            return depthwise(x, weight, bias, self.stride, zeros)
        if one_sided and self._widening_pays(x):
            weight, zeros = widened(weight, zeros), [n + n % 2 for n in zeros]
        elif one_sided:
            x, zeros = F.pad(x, [half for n in reversed(zeros) for half in (n // 2, n - n // 2)]), [0] * len(zeros)
        return self.convolve(x, weight, bias, self.stride, [n // 2 for n in zeros], self.dilation, self.groups)

    def _zeros(self, sizes: Any) -> list[int]:
        """How many rows of zeros are added to each of `sizes`: TensorFlow's padding makes the output ceil(n / stride)."""
        if not self.same:
            padding: Any = self.padding
            return [2 * p for p in padding]
        spans = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation)]
        zeros = [span - (n - 1) % s for span, n, s in zip(spans, sizes, self.stride)]
        if any(span < s - 1 for span, s in zip(spans, self.stride)):  # a symbolic max() costs exporters minutes
            return [max(n, 0) for n in zeros]
        return zeros

    def _widening_pays(self, x: Tensor) -> bool:
        """Whether the kernel is what to pad, which is copied in place of the picture, but slow going back."""
        if torch.is_grad_enabled() or _sizes_are_free(x) or self.groups == 1 or max(self.dilation) > 1:
            return False
        return math.prod(self.kernel_size) < math.prod(x.shape[2:])

    def _is_slow_going_back(self, x: Tensor, weight: Any, one_sided: bool) -> bool:
        """Whether it is a depthwise convolution whose gradients take torch long, and `depthwise` can compute it."""
        if not torch.is_grad_enabled() or x.ndim != 4 or x.device.type not in CPU or not x.dtype.is_floating_point:
            return False
        if not x.shape[1] == self.groups == self.out_channels > 1 or max(self.dilation) > 1:
            return False
        return is_slow(x.dtype, self.kernel_size, self.stride, one_sided) and is_plain(x) and _is_tensor(weight)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", padding=same" if self.same else "")


def _sizes_are_free(x: Tensor) -> bool:
    """Whether what is computed now is to serve pictures of other sizes, too."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing() or any(isinstance(n, torch.SymInt) for n in x.shape[2:])


def _recomputing_pays(norm: Any, x: Tensor) -> bool:
    """Whether `normalized_silu` computes what `norm` and SiLU do, and there is much that need not be kept."""
    if not (torch.is_grad_enabled() and norm.training and is_plain(x) and _is_bare(norm, _BatchNorm)):
        return False
    if norm.momentum is None or not norm.track_running_stats or x.device.type not in CPU or x.dtype == torch.float16:
        return False
    buffers = map(norm._buffers.get, ("running_mean", "running_var", "num_batches_tracked"))
    held = *map(norm._parameters.get, ("weight", "bias")), *buffers
    return all(map(_is_tensor, held)) and x.numel() >= max(2**16, 2 * norm.num_features)


def _are_one(conv: Any, norm: Any, x: Tensor) -> bool:
    """Whether the two layers are no more than one function of `x`, whose gradients nobody wants and that nobody follows."""
    if torch.is_grad_enabled() or is_observed() or not is_plain(x):
        return False
    if x.device.type not in ("cpu", "cuda") or torch.is_autocast_enabled(x.device.type):
        return False
    if not (_is_bare(conv, _Conv) and _is_bare(norm, _BatchNorm)) or conv.padding_mode != "zeros":
        return False
    if norm.training or not norm.track_running_stats:
        return False
    weight = conv._parameters.get("weight")
    held = weight, *map(norm._parameters.get, ("weight", "bias")), *map(norm._buffers.get, ("running_mean", "running_var"))
    if conv.bias is not None or any(not _is_tensor(y) or y.dtype != x.dtype for y in held):
        return False
    return (x.shape[1], norm.num_features) == (conv.in_channels, conv.out_channels)


def _folding_pays(conv: Any, x: Tensor) -> bool:
    """Whether a pass over the output takes longer than a few over the kernel."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return False
    outputs = x.shape[0] * math.prod(x.shape[2:]) // math.prod(conv.stride) * conv.out_channels
    return outputs >= max(2**16, 4 * conv.weight.numel())  # measured on b0


def _is_bare(module: nn.Module, kind: type) -> bool:
    """Whether a call of `module` is `kind.forward` and nothing else."""
    same = type(module).forward is kind.forward and type(module).__call__ is nn.Module.__call__  # type: ignore[attr-defined]
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    changed = "forward" in module.__dict__ or module._compiled_call_impl or hooks
    return same and not changed and not _has_any_global_hook()


class Conv1d(_Conv, nn.Conv1d):
    convolve = staticmethod(torch.conv1d)


class Conv2d(_Conv, nn.Conv2d):
    convolve = staticmethod(torch.conv2d)


class Conv3d(_Conv, nn.Conv3d):
    convolve = staticmethod(torch.conv3d)


class _BatchNorm(Noted, _TorchBatchNorm):
    """A torch batch normalization that, in eval, reads its tensors without `nn.Module.__getattr__`."""

    def forward(self, x: Tensor) -> Tensor:
        tensors: dict[str, Any] = self._parameters
        if self.training or not self.track_running_stats or "weight" not in tensors or "bias" not in tensors:
            return super().forward(x)
        buffers: dict[str, Any] = self._buffers
        held = tensors["weight"], tensors["bias"], buffers["running_mean"], buffers["running_var"]
        return torch.batch_norm(x, *held, False, 0.0, self.eps, x.is_cuda and torch.backends.cudnn.enabled)


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    pass


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    pass


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    pass


class Linear(Noted, nn.Linear):
    pass


class Dropout(Noted, nn.Dropout):
    pass


class DropConnect(Noted):
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


class Transformer(nn.Transformer):
    """torch's, which without a decoder gives what its encoder saw."""

    def __init__(self, *args: Any, custom_decoder: Any = None, **kw: Any):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "enable_nested_tensor")
            super().__init__(*args, custom_decoder=custom_decoder and _memory, **kw)  # type: ignore[misc]


def _memory(y: Tensor, memory: Tensor, **kw: Any) -> Tensor:
    return memory
