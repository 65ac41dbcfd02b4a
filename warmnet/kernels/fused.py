"""Two Triton kernels for inference on a GPU, where such layers' time is that of moving bytes; `rules` says when they run.

Batch normalization and its activation: torch's two functions read and write each number twice, one kernel once. A depthwise
convolution with both: three functions read the input once and write or read the outputs five times, and one-sided padding
copies the input before; one kernel reads the input once and writes the output once. Sums and normalization are in float32,
and rounded once, to the dtype of the input. Triton comes with torch's CUDA wheels, and is imported at the first call.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[Any, str] = {None: "none", F.silu: "silu", F.relu: "relu", F.relu6: "relu6"}
WIDEST = 7  # rows of a convolution's kernel: each takes registers


_usable: dict[int, bool] = {}


def is_usable(gpu: int) -> bool:
    """Whether Triton compiles for that GPU here, which is tried once; if it does not, a warning says why."""
    if gpu not in _usable:
        if torch.cuda.is_current_stream_capturing():  # where nothing can be tried
            return False
        _usable[gpu] = _is_there(gpu) and _compiles(gpu)
    return _usable[gpu]


def _is_there(gpu: int) -> bool:
    if torch.version.cuda is None or torch.cuda.get_device_capability(gpu) < (8, 0):
        return False
    try:
        return find_spec("triton") is not None
    except ValueError:  # something else of that name
        return False


def _compiles(gpu: int) -> bool:
    ones = torch.ones(32, device=torch.device("cuda", gpu))
    normalization = ones, ones, ones, ones, 1e-5, F.relu
    try:
        normalized(ones.view(1, 32, 1, 1), *normalization)
        depthwise(ones.view(1, 32, 1, 1), ones.view(32, 1, 1, 1), *normalization, (1, 1), (0, 0))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of Triton, the C compiler that it calls, the driver
        warnings.warn(
            f"Triton compiles no kernels here, and inference on this GPU takes torch's own, which are slower: "
            f"{type(error).__name__}: {error}. It needs a C compiler, and a folder that it may write to (TRITON_CACHE_DIR).",
            stacklevel=2,
        )
        return False
    return True


def normalized(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float, activation: Any
) -> Tensor:  # fmt: skip
    """`activation(batch_norm(x))` in eval: (B, C, H, W), channels_last, and (C,) each -> (B, C, H, W), channels_last."""
    y, channels = torch.empty_like(x), x.shape[1]
    rows, settings = x.numel() // channels, tile_in(channels)
    programs = -(-rows // settings["ROWS"]) * -(-channels // settings["CHANNELS"])
    with torch.cuda.device_of(x):
        run = _triton().normalized[(programs,)]
        run(x, weight, bias, mean, var, y, float(eps), rows, ACTIVATION=ACTIVATIONS[activation], **settings)
    return y


def tile_in(channels: int) -> dict[str, Any]:
    """What `normalized` is compiled for: the channels, and a program's tile."""
    together = _together(channels)
    return {"C": channels, "ROWS": 4096 // together, "CHANNELS": together, "enable_fp_fusion": True}


def depthwise(
    x: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float, activation: Any,
    stride: Sequence[int], zeros: Sequence[int],
) -> Tensor:  # fmt: skip
    """`activation(batch_norm(conv2d(x)))` in eval: (B, C, H, W), channels_last, (C, 1, h, w), (C,) each -> (B, C, Ho, Wo).

    H and W are padded with so many `zeros`, an odd one last, as TensorFlow does; the Triton kernel only masks them.
    """
    batch, channels, *sizes = x.shape
    high, wide = ((n + z - k) // s + 1 for n, z, k, s in zip(sizes, zeros, kernel.shape[2:], stride))
    y = torch.empty((batch, channels, high, wide), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    settings = compiled_in(channels, *kernel.shape[2:], *stride, wide)
    tile = (settings[key] for key in ("ROWS", "COLUMNS", "CHANNELS"))
    programs = batch * math.prod(-(-n // m) for n, m in zip((high, wide, channels), tile))
    taps = kernel.flatten(1).t().contiguous()  # channels that are neighbours are so in memory
    with torch.cuda.device_of(x):
        run = _triton().depthwise[(programs,)]
        numbers = *sizes, high, wide, zeros[0] // 2, zeros[1] // 2
        run(x, taps, weight, bias, mean, var, y, float(eps), *numbers, ACTIVATION=ACTIVATIONS[activation], **settings)
    return y


@functools.cache
def compiled_in(channels: int, high: int, wide: int, down: int, right: int, columns: int) -> dict[str, Any]:
    """What `depthwise` is compiled for: a kernel's sides and strides, whatever the size of its pictures, and a program's tile.

    There are more threads than CHANNELS, or else Triton passes them through shared memory; each loads 8 or 16 bytes at once.
    More ROWS would take more registers than they save reads, the more so where a stride lets them share less.
    """
    together = _together(channels)
    sizes = {"C": channels, "KH": high, "KW": wide, "SH": down, "SW": right}
    tile = {"ROWS": 2 if max(down, right) > 1 else 4, "COLUMNS": 16 if columns > 8 else 8, "CHANNELS": together}
    return {**sizes, **tile, "num_warps": together // 16, "num_stages": 1, "enable_fp_fusion": True}


def _together(channels: int) -> int:
    return 32 if channels % 64 else 64


@functools.cache
def _triton() -> ModuleType:
    """The kernels; imported at the first call, for which triton has to be there."""
    from . import triton_kernels

    return triton_kernels
