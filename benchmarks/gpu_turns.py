"""Contenders measured alternately: seconds of each, their ratios, what they allocate; and their calls as CUDA graphs."""

import gc
import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from gpu_run import Row, reason

Calls = dict[str, Callable[[], Any]]


def contest(
    row: Row, calls: Calls, cells: dict[str, Row], rivals: tuple[str, ...], until: float, rounds: int, turn: float
) -> Row:  # fmt: skip
    """The row with what each contender took, and the ratio of the first to the fastest of its `rivals` in each round.

    `cells` is what else is known of each, in the order of the row.
    """
    seconds, failed = alternately(calls, until, rounds, turn)
    cells = {name: dict(cell) for name, cell in cells.items()}
    for name, raised in failed.items():
        cells[name]["missing"] = reason(raised)
    for name, turns in seconds.items():
        cells[name] |= {"median": statistics.median(turns), "minimum": min(turns), "turns": len(turns)}
    first = next(iter(cells))
    ratios = {name: [a / b for a, b in zip(seconds[first], seconds[name])] for name in rivals if {first, name} <= {*seconds}}
    if not ratios:
        return {**row, "cells": cells, "ratio": None}
    fastest = max(ratios, key=lambda name: statistics.median(ratios[name]))
    ratio = {"median": statistics.median(ratios[fastest]), "minimum": min(ratios[fastest]), "fastest": fastest}
    return {**row, "cells": cells, "ratio": ratio}


def alternately(
    calls: Calls, until: float, rounds: int, turn: float
) -> tuple[dict[str, list[float]], dict[str, Exception]]:  # fmt: skip
    """Seconds of a call in each round, and what those raised that could not go on.

    Rounds begin with another contender each; a contender repeats its call for `turn` seconds, about. After `until` no round
    begins but the first.
    """
    seconds, failed, repeats = {name: list[float]() for name in calls}, dict[str, Exception](), dict[str, int]()
    order = deque(calls)
    gc.collect()
    for _ in range(rounds):
        for name in filter(seconds.__contains__, list(order)):
            try:
                if name not in repeats:
                    seconds_of(calls[name], 2)  # warms up
                    repeats[name] = max(1, math.ceil(turn / seconds_of(calls[name], 1)))
                seconds[name].append(seconds_of(calls[name], repeats[name]))
            except Exception as error:  # of a library: anything
                failed[name] = error
                del seconds[name]
        order.rotate(-1)
        if time.monotonic() > until:
            break
    return seconds, failed


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """The seconds of a call, of so many in a row, until the GPU has done them."""
    synchronize()
    began = time.perf_counter()
    for _ in range(times):
        call()
    synchronize()
    return (time.perf_counter() - began) / times


def synchronize() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def peak_bytes(call: Callable[[], Any], before: int | None = None) -> int | None:
    """What torch allocates on the GPU at most in a call, beyond `before`, by default what is allocated now; None on a CPU."""
    if not torch.cuda.is_initialized():
        return None
    gc.collect()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated() if before is None else before
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def captured(call: Callable[[], Any], times: int = 1) -> Callable[[], Any]:
    """So many calls as a CUDA graph: a function that replays it and gives the last one's output, always the same tensor."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(times):
            output = call()

    def replay() -> Any:
        graph.replay()
        return output

    return replay
