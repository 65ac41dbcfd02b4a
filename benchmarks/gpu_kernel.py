"""The Triton kernel beside torch's three layers, at each of b0's depthwise layers: where it pays can be read off the rows."""

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
IN_A_GRAPH = 10  # calls: a replay's own time is a small part of theirs


def kernel(settings: Settings, add: Add, until: float) -> None:
    """Eager, with the time that Python takes, and as CUDA graphs, without. The ratio is to the faster of torch's ways.

    On a CPU Triton's interpreter shows that it runs, and its times mean nothing.
    """
    if find_spec("triton") is None:
        add({"missing": "not measured: triton is not there"})
        return
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    layers, batches = LAYERS, settings.batches
    if settings.tiny:
        layers, batches = ((8, 3, 1, 8), (8, 5, 2, 8)), (1,)
    for dtype in torch.bfloat16, torch.float32:
        for batch in batches:
            for channels, size, stride, side in layers:
                row: Row = {"channels": channels, "kernel": size, "stride": stride, "side": side, "batch": batch}
                row["precision"] = str(dtype).removeprefix("torch.")
                if time.monotonic() > until:
                    add(row | {"missing": LATE})
                    continue
                with torch.no_grad():
                    of_layer(settings, row, dtype, add, until)


def of_layer(settings: Settings, row: Row, dtype: torch.dtype, add: Add, until: float) -> None:
    channels, size, stride, side, batch = (row[key] for key in ("channels", "kernel", "stride", "side", "batch"))
    generator = torch.Generator(settings.device).manual_seed(0)
    draw = partial(torch.randn, generator=generator, device=settings.device)
    x = draw(batch, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    held = [draw(channels, 1, size, size) / size, *(draw(channels) for _ in range(3)), draw(channels).square() + 0.5]
    held = [y.to(dtype) for y in held]
    high = -(-side // stride)
    settled = 1e-3, stride, max((high - 1) * stride + size - side, 0)  # zeros: what SAME padding adds to rows and to columns
    row["bytes"] = x.element_size() * batch * channels * (side**2 + high**2)  # the input once, the output once
    ways = {FUSED: fused, LAYERED: layered} | ({WIDENED: widened} if settled[-1] % 2 else {})
    calls: Calls = {name: partial(way, x, *held, *settled) for name, way in ways.items()}
    cells: dict[str, Row] = {}
    wanted = layered(*(y.double() for y in (x[:2], *held)), *settled)
    for name in [*calls]:
        try:
            cells[name] = {"error": apart(calls[name](), wanted)}
        except Exception as error:  # of Triton, of the compilers that it calls, of the driver
            cells[name] = {"missing": reason(error)}
            del calls[name]
    ours, theirs = (cells[name].get("error", 0.0) for name in (FUSED, LAYERED))
    coarse = 2**-8 if settings.device == "cuda" else 2**-7  # Triton's interpreter cuts bfloat16 off
    if not ours <= max(2 * theirs, 1e-6 if dtype == torch.float32 else coarse):
        row["failed"] = f"failed: the kernel is {ours:.1e} away from float64, torch's layers {theirs:.1e}"
    race = partial(contest, rivals=(LAYERED, WIDENED), until=until, rounds=settings.rounds // 2, turn=settings.turn / 5)
    add(race({"mode": "eager"} | row, calls, cells))
    if settings.device == "cuda":
        graphs = Calls()
        for name, call in calls.items():
            try:
                graphs[name] = captured(call, IN_A_GRAPH)
            except Exception as error:  # of the driver: what it cannot capture
                cells[name]["missing"] = reason(error)
        found = race({"mode": "CUDA graph"} | row, graphs, cells)
        for cell in found["cells"].values():
            cell |= {key: cell[key] / IN_A_GRAPH for key in ("median", "minimum") if key in cell}
        add(found)


def fused(x: Tensor, *held: Any) -> Tensor:
    from warmnet.kernels.triton_depthwise import depthwise_silu

    *held, stride, zeros = held
    return depthwise_silu(x, *held, (stride, stride), (zeros, zeros))


def layered(
    x: Tensor, kernel: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float, stride: int, zeros: int
) -> Tensor:  # fmt: skip
    """torch's three layers; padding that is one-sided is put around the maps first."""
    if zeros % 2:
        x, zeros = F.pad(x, [zeros // 2, zeros - zeros // 2] * 2), 0
    y = F.conv2d(x, kernel, None, stride, zeros // 2, groups=x.shape[1])
    return F.silu(F.batch_norm(y, mean, var, weight, bias, eps=eps), inplace=True)


def widened(x: Tensor, kernel: Tensor, *held: Any) -> Tensor:
    """torch's three layers, one-sided padding put in the convolution's kernel, as a row and a column of zeros before it."""
    *held, zeros = held
    return layered(x, F.pad(kernel, [1, 0, 1, 0]), *held, zeros + 1)
