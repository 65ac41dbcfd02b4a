"""Not called yet, until a GPU was measured: a depthwise convolution, batch normalization and SiLU as one Triton kernel.

Such layers compute little: their time is that of moving bytes. As three layers of torch's they read the input once and write
or read their outputs five times; one kernel reads the input once and writes the output once. In float16 that is 4 bytes for
each output in place of 12; with a stride of 2, which takes four inputs, 10 in place of 18. Triton, which torch's CUDA wheels
bring, is imported at the first call. No network calls the kernel yet: `benchmarks/gpu.sh` has to measure for which sizes it
is faster.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, no_type_check

import torch
from torch import Tensor

WIDEST = 7  # rows of a kernel: each takes registers


def fits(x: Tensor, kernel: Tensor, dilation: Sequence[int]) -> bool:
    """Whether `depthwise_silu` is made for such tensors: (B, C, H, W), channels_last on a GPU, and (C, 1, h, w)."""
    if not x.is_cuda or x.dtype not in (torch.float32, torch.float16, torch.bfloat16) or not x.ndim == kernel.ndim == 4:
        return False
    if kernel.shape[:2] != (x.shape[1], 1) or max(kernel.shape[2:]) > WIDEST or max(dilation) > 1:
        return False
    return x.numel() > 0 and x.is_contiguous(memory_format=torch.channels_last)


def depthwise_silu(
    x: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float,
    stride: Sequence[int], zeros: Sequence[int],
) -> Tensor:  # fmt: skip
    """silu(batch_norm(conv2d(x))) in eval: (B, C, H, W), (C, 1, h, w), (C,) each -> (B, C, Ho, Wo), channels_last.

    H and W are padded with so many `zeros`, an odd one last, as TensorFlow does; the kernel only masks them. Sums and
    normalization are in float32, and rounded once, to the dtype of x.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    batch, channels, *sizes = x.shape
    high, wide = ((n + z - k) // s + 1 for n, z, k, s in zip(sizes, zeros, kernel.shape[2:], stride))
    y = torch.empty((batch, channels, high, wide), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    settings = compiled_in(channels, kernel.shape[2:], stride, wide)
    tile = (settings[key] for key in ("ROWS", "COLUMNS", "CHANNELS"))
    programs = batch * math.prod(-(-n // m) for n, m in zip((high, wide, channels), tile))
    taps = kernel.flatten(1).t().contiguous()  # channels that are neighbours are so in memory
    with torch.cuda.device_of(x):
        run = triton_kernel()[(programs,)]
        run(x, taps, weight, bias, mean, var, y, eps, *sizes, high, wide, zeros[0] // 2, zeros[1] // 2, **settings)
    return y


def compiled_in(channels: int, kernel: Sequence[int], stride: Sequence[int], wide: int) -> dict[str, Any]:
    """What `triton_kernel` is compiled for: a convolution, whatever the size of its pictures, and the tile of a program.

    There are more threads than CHANNELS, or else Triton passes them through shared memory; each loads 8 or 16 bytes at once.
    More ROWS would take more registers than they save reads, the more so where a stride lets them share less.
    """
    together = 32 if channels % 64 else 64
    sizes = {"C": channels, "KH": kernel[0], "KW": kernel[1], "SH": stride[0], "SW": stride[1]}
    tile = {"ROWS": 2 if max(stride) > 1 else 4, "COLUMNS": 16 if wide > 8 else 8, "CHANNELS": together}
    return {**sizes, **tile, "num_warps": together // 16, "num_stages": 1, "enable_fp_fusion": True}


@functools.cache
def triton_kernel() -> Any:
    """The kernel. A program computes ROWS by COLUMNS by CHANNELS of y, and loads each line of x once for all of the rows."""
    import triton
    import triton.language as tl

    @triton.jit(do_not_specialize=["H", "W", "HO", "WO", "top", "left"])
    @no_type_check
    def depthwise_silu_kernel(
        x, taps, weight, bias, mean, var, y, eps, H, W, HO, WO, top, left, C: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
        SH: tl.constexpr, SW: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        tile = tl.program_id(0)  # channels first, then columns, rows, images: those that run together share the cache
        c = tile % tl.cdiv(C, CHANNELS) * CHANNELS + tl.arange(0, CHANNELS)
        tile //= tl.cdiv(C, CHANNELS)
        column = tile % tl.cdiv(WO, COLUMNS) * COLUMNS + tl.arange(0, COLUMNS)
        tile //= tl.cdiv(WO, COLUMNS)
        row = tile % tl.cdiv(HO, ROWS) * ROWS
        image = (tile // tl.cdiv(HO, ROWS)).to(tl.int64)  # maps may hold more than 2**31 numbers

        first = row * SH - top
        x += (image * H + first) * W * C
        totals = (tl.zeros((COLUMNS, CHANNELS), tl.float32),) * ROWS
        for k in range(KW):
            source = column * SW + k - left
            lines, factors, sums = (), (), ()
            for i in tl.static_range(SH * (ROWS - 1) + KH):
                end = tl.where((first + i >= 0) & (first + i < H), W, 0)  # a line of zeros ends where it begins
                within = ((source >= 0) & (source < end))[:, None] & (c < C)[None, :]
                lines += (tl.load(x + i * W * C + source[:, None] * C + c[None, :], within, 0).to(tl.float32),)
            for i in tl.static_range(KH):
                factors += (tl.load(taps + (i * KW + k) * C + c, c < C, 0).to(tl.float32)[None, :],)
            for o in tl.static_range(ROWS):
                total = totals[o]
                for i in tl.static_range(KH):
                    total += lines[o * SH + i] * factors[i]
                sums += (total,)
            totals = sums

        scale = tl.load(weight + c, c < C, 0).to(tl.float32) * tl.rsqrt(tl.load(var + c, c < C, 1).to(tl.float32) + eps)
        shift = tl.load(bias + c, c < C, 0).to(tl.float32) - tl.load(mean + c, c < C, 0).to(tl.float32) * scale
        y += (image * HO + row) * WO * C
        for o in tl.static_range(ROWS):
            total = totals[o] * scale[None, :] + shift[None, :]
            within = (column < tl.where(row + o < HO, WO, 0))[:, None] & (c < C)[None, :]
            tl.store(y + o * WO * C + column[:, None] * C + c[None, :], total / (1 + tl.exp(-total)), within)

    return depthwise_silu_kernel
