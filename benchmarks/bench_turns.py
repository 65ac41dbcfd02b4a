"""Contenders take turns: seconds of each, with everything that would favour one of them shared out or left out."""

import gc
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from bench_contenders import TOLERANCE, Refused, difference
from torch import Tensor

WINDOW, LONGEST_REST = 0.005, 1.0  # seconds
TURN = 0.05  # seconds, about: a turn repeats a short call so long
LEAST, MOST = 7, 60  # rounds


class Entry(NamedTuple):
    """A contender's call, the first of the logits that it must give, if it gives any, and what its first call is done in."""

    call: Callable[[], Any]
    expected: Tensor | None = None
    tolerance: float = TOLERANCE
    within: AbstractContextManager[Any] = nullcontext()


class First(NamedTuple):
    """What a first call gave, its seconds, and how far its logits were from the expected."""

    found: Any
    seconds: float
    error: float | None


def first_call(entry: Entry) -> First:
    """The first call; `Refused` if it gives other logits than expected."""
    with entry.within:
        began = time.perf_counter()
        found = entry.call()
        synchronize()
        seconds = time.perf_counter() - began
    if entry.expected is None:
        return First(found, seconds, None)
    error = difference(found, entry.expected)
    if not error <= entry.tolerance:
        raise Refused(f"its logits differ by {error:.1e} of the largest, and {entry.tolerance:.0e} is allowed")
    return First(found, seconds, error)


def take_turns(calls: dict[Any, Callable[[], Any]], allowed: float) -> tuple[dict[Any, list[float]], dict[Any, Exception]]:
    """Seconds of a call in each turn, and what those raised that could not go on.

    Rounds begin with another contender each; after `allowed` seconds no more begin, but for the first seven.
    """
    until = time.perf_counter() + allowed
    seconds, failed, repeats = {name: list[float]() for name in calls}, dict[Any, Exception](), dict[Any, int]()

    def turn(name: Any) -> None:
        call = calls[name]
        try:
            if name not in repeats:
                repeats[name] = math.ceil(TURN / seconds_of(call, 1))
            elif repeats[name] > 1:
                call()  # finds the caches full of the last one's
            seconds[name].append(seconds_of(call, repeats[name]))
        except Exception as error:  # of a library: anything
            failed[name] = error
            del seconds[name]

    order = deque(calls)
    gc.collect()
    for i in range(MOST):
        began = time.perf_counter()
        for name in filter(seconds.__contains__, order):
            rest()
            turn(name)
        order.rotate(-1)
        now = time.perf_counter()
        if i + 1 >= LEAST and now + (now - began) > until:
            break
    return seconds, failed


def rest() -> None:
    """Wait until the threads of this process sleep: those of an engine wait busily for a while after a call."""
    until = time.perf_counter() + LONGEST_REST
    while time.perf_counter() < until:
        before = time.process_time()
        time.sleep(WINDOW)
        if time.process_time() - before < WINDOW / 5:
            return


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """The seconds of a call, of so many in a row."""
    synchronize()
    began = time.perf_counter()
    for _ in range(times):
        call()
    synchronize()
    return (time.perf_counter() - began) / times


def synchronize() -> None:
    """Wait for the GPU, if this process has used one."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
