"""Which kernel runs, such as whether normalization is folded: by shapes, dtype, device and gradient mode of this call alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import _len_torch_function_stack

CPU = "cpu", "meta"  # 'meta' counts what a CPU would do
LARGE = 2**16  # numbers; below it, a function's fixed time is more than that of its numbers
TENSORS = {Tensor, nn.Parameter}
HALVES = torch.bfloat16, torch.float16


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
    """Whether one-sided zeros are put into the kernel, which is smaller than the picture, but slower going back."""
    if torch.is_grad_enabled() or sizes_are_free(x) or groups == 1 or max(dilation) > 1:
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


def is_depthwise(x: Tensor, weight: Tensor, dilation: Sequence[int]) -> bool:
    """Whether it is a convolution of a picture's channels by themselves that `gradients.depthwise` computes."""
    fits = x.ndim == 4 and x.device.type in CPU and x.dtype.is_floating_point and max(dilation) == 1
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
