"""Which kernel runs, such as whether normalization is folded: by shapes, layout, dtype, device and modes of this call alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import _len_torch_function_stack

from . import fused

CPU = "cpu", "meta"  # 'meta' counts what a CPU would do
LARGE = 2**16  # numbers; below it, a function's fixed time is more than that of its numbers
TENSORS = {Tensor, nn.Parameter}
HALVES = torch.bfloat16, torch.float16
MANY = 10**7  # numbers; for fewer, starting a Triton kernel takes longer than it saves (benchmarks/gpu_before.json)


def is_plain(*tensors: Any) -> bool:
    """Whether all are torch's own tensors with their numbers at hand, and nobody follows what is done to them."""
    if torch._C._get_tracing_state() is not None or torch.compiler.is_compiling():
        return False
    if _len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
        return False
    if forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active():
        return False
    return {*map(type, tensors)} <= TENSORS


def sizes_are_free(x: Tensor) -> bool:
    """Whether what is computed now is to serve pictures of other sizes, too."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing() or any(isinstance(n, torch.SymInt) for n in x.shape[2:])


def widens(x: Tensor, kernel: Sequence[int], dilation: Sequence[int], groups: int) -> bool:
    """Whether one-sided zeros are put into the kernel, on a CPU: it is smaller than the picture, but slower going back.

    A GPU has fast kernels of 3 and 5 rows, and takes up to five times as long for 4 and 6.
    """
    if torch.is_grad_enabled() or x.device.type not in CPU or sizes_are_free(x) or groups == 1 or max(dilation) > 1:
        return False
    if not torch.compiler.is_compiling() and not is_plain(x):
        return False
    return math.prod(kernel) < math.prod(x.shape[2:])


def folds(outputs: int, x: Tensor, weight: Tensor, *normalization: Any) -> bool:
    """Whether normalization goes into the kernel: in inference on a CPU, if a pass over the outputs takes longer than that."""
    if torch.is_grad_enabled():
        return False
    if outputs < LARGE or outputs < 4 * weight.numel():  # measured on b0
        return False
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled("cpu"):
        return False
    tensors = x, weight, *normalization
    return is_plain(*tensors) and all(tensor.dtype == x.dtype for tensor in tensors)


def fuses(
    x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int] | str, dilation: Sequence[int], groups: int,
    activation: Any, *normalization: Any,
) -> bool:  # fmt: skip
    """Whether a depthwise convolution, its normalization and its activation are one Triton kernel."""
    if not _pays_on_gpu(x) or x.ndim != 4 or weight.shape[:2] != (groups, 1) or not 1 < groups == x.shape[1]:
        return False
    if max(*weight.shape[2:], *stride) > min(fused.WIDEST, *x.shape[2:]) or {*dilation} != {1}:
        return False
    if x[0].numel() > 2**30:  # the kernel counts the numbers of an image in 32 bits
        return False
    if min(stride) < 1 or (not isinstance(padding, str) and min(padding) < 0):  # which torch refuses
        return False
    if not is_plain(x, weight, *normalization) or weight.device != x.device:
        return False
    if torch.is_autocast_enabled("cuda"):
        fits = x.dtype == torch.get_autocast_dtype("cuda") and weight.dtype in (torch.float32, *HALVES)
    else:
        fits = x.dtype == weight.dtype
    return fits and _suits_triton(x, activation, *normalization)


def normalizes_at_once(x: Tensor, activation: Any, *normalization: Any) -> bool:
    """Whether normalization and its activation are one Triton kernel."""
    if activation is None or not _pays_on_gpu(x) or not is_plain(x, *normalization):
        return False
    return _suits_triton(x, activation, *normalization)


def _pays_on_gpu(x: Tensor) -> bool:
    """Whether these are many numbers, in inference on a GPU, of a call that only computes."""
    if not x.is_cuda or torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return x.numel() >= MANY


def _suits_triton(x: Tensor, activation: Any, *normalization: Any) -> bool:
    """Whether the Triton kernels are made for such plain tensors and that activation, and run here."""
    if x.ndim != 4 or not (x.dtype == torch.float32 or x.dtype in HALVES):
        return False
    if not x.is_contiguous(memory_format=torch.channels_last):
        return False
    if not (activation is None or type(activation) is FunctionType) or activation not in fused.ACTIVATIONS:
        return False
    dtype = normalization[0].dtype
    for y in normalization:
        if y.dtype != dtype or y.shape != x.shape[1:2] or y.device != x.device or not y.is_contiguous():
            return False
    return dtype in (x.dtype, torch.float32) and fused.is_usable(x.device.index)


def is_depthwise(x: Tensor, weight: Tensor, dilation: Sequence[int]) -> bool:
    """Whether it is a convolution of a picture's channels by themselves that `gradients.depthwise` computes."""
    fits = x.ndim == 4 and x.device.type in CPU and x.dtype.is_floating_point and {*dilation} == {1}
    return fits and 1 < x.shape[1] == weight.shape[0] and weight.shape[1] == 1


def has_slow_gradients(x: Tensor, weight: Tensor, stride: Sequence[int], zeros: Sequence[int]) -> bool:
    """Whether a depthwise convolution's gradients take torch more time, or memory, than `gradients.depthwise`."""
    return any(n % 2 for n in zeros) or splits_columns(x, weight.shape[2:]) or (x.dtype in HALVES and max(stride) > 1)


def splits_columns(x: Tensor, kernel: Sequence[int]) -> bool:
    """Whether the gradient of a wide kernel is computed a few columns at a time: where it rounds no more than torch's."""
    return kernel[-1] > 3 and x.shape[0] >= 8 and x.is_contiguous(memory_format=torch.channels_last)


def recomputes_silu(x: Tensor, weight: Any, *others: Any) -> bool:
    """Whether a normalization in training computes what goes into SiLU again, and does not keep it: on a CPU, if it is much."""
    if x.numel() < max(LARGE, 2 * x.shape[1]) or x.device.type not in CPU or x.dtype == torch.float16:
        return False
    if not is_plain(x, weight, *others) or x.shape[1] != len(weight):
        return False
    return weight.dtype == x.dtype or (x.dtype in HALVES and weight.dtype == torch.float32)
