"""The Triton kernels beside torch's layers, at each of b0's depthwise layers: where they pay can be read off the rows."""

import itertools
import time
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from gpu_contenders import apart
from gpu_run import LATE, Add, Row, Settings, reason
from gpu_turns import Calls, captured, contest
from torch import Tensor

LAYERS = (  # channels, kernel, stride, rows and columns of the input
    (32, 3, 1, 112), (96, 3, 2, 112), (144, 3, 1, 56), (144, 5, 2, 56), (240, 5, 1, 28), (240, 3, 2, 28), (480, 3, 1, 14),
    (480, 5, 1, 14), (672, 5, 1, 14), (672, 5, 2, 14), (1152, 5, 1, 7), (1152, 3, 1, 7),
)  # fmt: skip
FUSED, LAYERED, WIDENED = "kernel", "layers", "layers, widened"
EPS = 1e-3
IN_A_GRAPH = 10  # calls: a replay's own time is a small part of theirs


def kernel(settings: Settings, add: Add, until: float) -> None:
    """Eager, with the time that Python takes, and as CUDA graphs, without. The ratio is to the faster of torch's ways.

    First what comes before the depthwise layers, normalization and SiLU; then these. On a CPU Triton's interpreter shows that
    it runs, and its times mean nothing.
    """
    if find_spec("triton") is None:
        add({"missing": "not measured: triton is not there"})
        return
    torch.backends.cudnn.allow_tf32 = False
    layers, batches = LAYERS, settings.batches
    if settings.tiny:
        layers, batches = ((8, 3, 1, 8), (8, 5, 2, 8)), (1,)
    cases = itertools.product((of_normalization, of_depthwise), (torch.bfloat16, torch.float32), batches, layers)
    for of_layer, dtype, batch, layer in cases:
        row: Row = {**dict(zip(("channels", "kernel", "stride", "side"), layer)), "batch": batch}
        row = {"of": of_layer.__name__.removeprefix("of_"), "precision": str(dtype).removeprefix("torch.")} | row
        if time.monotonic() > until:
            add(row | {"missing": LATE})
            continue
        with torch.no_grad():
            of_layer(settings, row, dtype, add, until)


def of_normalization(settings: Settings, row: Row, dtype: torch.dtype, add: Add, until: float) -> None:
    x, normalization, _ = drawn(settings, row, dtype)
    row["bytes"] = 2 * x.nbytes  # each number read once, and written once
    wanted = activated(x[:2].double(), *(y.double() for y in normalization))
    race(settings, row, {FUSED: normalized, LAYERED: activated}, (x, *normalization), wanted, add, until)


def of_depthwise(settings: Settings, row: Row, dtype: torch.dtype, add: Add, until: float) -> None:
    x, normalization, kernel = drawn(settings, row, dtype)
    size, stride, side = (row[key] for key in ("kernel", "stride", "side"))
    high = -(-side // stride)
    settled = stride, max((high - 1) * stride + size - side, 0)  # zeros: what SAME padding adds to rows and to columns
    row["bytes"] = x.nbytes + x.nbytes // side**2 * high**2  # the input once, the output once
    ways = {FUSED: fused, LAYERED: layered} | ({WIDENED: widened} if settled[-1] % 2 else {})
    wanted = layered(*(y.double() for y in (x[:2], kernel, *normalization)), *settled)
    race(settings, row, ways, (x, kernel, *normalization, *settled), wanted, add, until)


def drawn(settings: Settings, row: Row, dtype: torch.dtype) -> tuple[Tensor, list[Tensor], Tensor]:
    """Maps, what normalizes them, and the kernel of a depthwise convolution."""
    channels, size, side = (row[key] for key in ("channels", "kernel", "side"))
    generator = torch.Generator(settings.device).manual_seed(0)
    draw = partial(torch.randn, generator=generator, device=settings.device)
    x = draw(row["batch"], channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    normalization = [*(draw(channels) for _ in range(3)), draw(channels).square() + 0.5]
    return x, [y.to(dtype) for y in normalization], (draw(channels, 1, size, size) / size).to(dtype)


def race(
    settings: Settings, row: Row, ways: dict[str, Any], arguments: tuple[Any, ...], wanted: Tensor, add: Add, until: float
) -> None:  # fmt: skip
    """Add what each way takes, eager and as a CUDA graph, and how far it is from `wanted`."""
    calls: Calls = {name: partial(way, *arguments) for name, way in ways.items()}
    cells: dict[str, Row] = {}
    for name in [*calls]:
        try:
            cells[name] = {"error": apart(calls[name](), wanted)}
        except Exception as error:  # of Triton, of the compilers that it calls, of the driver
            cells[name] = {"missing": reason(error)}
            del calls[name]
    ours, theirs = (cells[name].get("error", 0.0) for name in (FUSED, LAYERED))
    coarse = 2**-8 if settings.device == "cuda" else 2**-7  # Triton's interpreter cuts bfloat16 off
    if not ours <= max(2 * theirs, 1e-6 if row["precision"] == "float32" else coarse):
        row["failed"] = f"failed: the kernel is {ours:.1e} away from float64, torch's layers {theirs:.1e}"
    rivals = LAYERED, WIDENED
    took = partial(contest, rivals=rivals, until=until, rounds=settings.rounds // 2, turn=settings.turn / 5)
    add(took({"mode": "eager"} | row, calls, cells))
    if settings.device != "cuda":
        return
    graphs = Calls()
    for name, call in calls.items():
        try:
            graphs[name] = captured(call, IN_A_GRAPH)
        except Exception as error:  # of the driver: what it cannot capture
            cells[name]["missing"] = reason(error)
    found = took({"mode": "CUDA graph"} | row, graphs, cells)
    for cell in found["cells"].values():
        cell |= {key: cell[key] / IN_A_GRAPH for key in ("median", "minimum") if key in cell}
    add(found)


def fused(x: Tensor, *held: Any) -> Tensor:
    from warmnet.kernels.fused import depthwise

    *held, stride, zeros = held
    return depthwise(x, *held, EPS, F.silu, (stride, stride), (zeros, zeros))


def normalized(x: Tensor, *normalization: Tensor) -> Tensor:
    from warmnet.kernels.fused import normalized

    return normalized(x, *normalization, EPS, F.silu)


def activated(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """torch's two layers."""
    return F.silu(F.batch_norm(x, mean, var, weight, bias, eps=EPS), inplace=True)


def layered(x: Tensor, kernel: Tensor, *held: Any) -> Tensor:
    """torch's three layers; padding that is one-sided is put around the maps first."""
    *normalization, stride, zeros = held
    if zeros % 2:
        x, zeros = F.pad(x, [zeros // 2, zeros - zeros // 2] * 2), 0
    return activated(F.conv2d(x, kernel, None, stride, zeros // 2, groups=x.shape[1]), *normalization)


def widened(x: Tensor, kernel: Tensor, *held: Any) -> Tensor:
    """torch's three layers, one-sided padding put in the convolution's kernel, as a row and a column of zeros before it."""
    *held, zeros = held
    return layered(x, F.pad(kernel, [1, 0, 1, 0]), *held, zeros + 1)
