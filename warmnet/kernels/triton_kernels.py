"""What Triton compiles for `fused`: float32 inside, and the dtype of the input outside. Imported late, as it needs triton."""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def activated(y, ACTIVATION: tl.constexpr):
    """`y` after the activation of that name, one of `fused.ACTIVATIONS`."""
    if ACTIVATION == "silu":
        y = y / (1 + tl.exp(-y))
    elif ACTIVATION == "relu6":
        y = tl.where(y != y, y, tl.minimum(tl.maximum(y, 0), 6))  # NaN stays NaN, as torch has it
    elif ACTIVATION == "relu":
        y = tl.where(y != y, y, tl.maximum(y, 0))
    return y


@triton.jit
@no_type_check
def channels(weight, bias, mean, var, eps, c, within):
    """What batch normalization subtracts from the channels `c`, multiplies them with, and adds: a row each."""
    scale = tl.load(weight + c, within, 0).to(tl.float32) * tl.rsqrt(tl.load(var + c, within, 1).to(tl.float32) + eps)
    center = tl.load(mean + c, within, 0).to(tl.float32)
    shift = tl.load(bias + c, within, 0).to(tl.float32)
    return center[None, :], scale[None, :], shift[None, :]


@triton.jit(do_not_specialize=["rows"])
@no_type_check
def normalized(
    x, weight, bias, mean, var, y, eps, rows, C: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
    ACTIVATION: tl.constexpr,
):  # fmt: skip
    """A program computes ROWS by CHANNELS of y."""
    tile = tl.program_id(0)
    c = tile % tl.cdiv(C, CHANNELS) * CHANNELS + tl.arange(0, CHANNELS)
    row = (tile // tl.cdiv(C, CHANNELS)).to(tl.int64) * ROWS + tl.arange(0, ROWS)  # maps may hold more than 2**31 numbers
    center, scale, shift = channels(weight, bias, mean, var, eps, c, c < C)
    at, within = row[:, None] * C + c[None, :], (row < rows)[:, None] & (c < C)[None, :]
    total = (tl.load(x + at, within, 0).to(tl.float32) - center) * scale + shift
    tl.store(y + at, activated(total, ACTIVATION), within)


@triton.jit(do_not_specialize=["H", "W", "HO", "WO", "top", "left"])
@no_type_check
def depthwise(
    x, taps, weight, bias, mean, var, y, eps, H, W, HO, WO, top, left, C: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    SH: tl.constexpr, SW: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
    ACTIVATION: tl.constexpr,
):  # fmt: skip
    """A program computes ROWS by COLUMNS by CHANNELS of y, and loads each line of x once for all of the rows."""
    tile = tl.program_id(0)  # channels first, then columns, rows, images: those that run together share the cache
    c = tile % tl.cdiv(C, CHANNELS) * CHANNELS + tl.arange(0, CHANNELS)
    tile //= tl.cdiv(C, CHANNELS)
    column = tile % tl.cdiv(WO, COLUMNS) * COLUMNS + tl.arange(0, COLUMNS)
    tile //= tl.cdiv(WO, COLUMNS)
    row = tile % tl.cdiv(HO, ROWS) * ROWS
    image = (tile // tl.cdiv(HO, ROWS)).to(tl.int64)

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

    center, scale, shift = channels(weight, bias, mean, var, eps, c, c < C)
    y += (image * HO + row) * WO * C
    for o in tl.static_range(ROWS):
        total = (totals[o] - center) * scale + shift
        within = (column < tl.where(row + o < HO, WO, 0))[:, None] & (c < C)[None, :]
        tl.store(y + o * WO * C + column[:, None] * C + c[None, :], activated(total, ACTIVATION), within)
