"""Peak memory, each contender in a process of its own, beyond what is held when its network is there."""

import ctypes
import gc
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from bench_process import alone
from bench_turns import first_call

LARGEST = 16e9  # bytes: a contest that takes more is left out, so that all machines show the same ones
LONGEST = 600.0  # seconds
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak(threads: int, prepare: Callable[..., Any], *arguments: Any) -> float:
    """Bytes that two calls of the entry `prepare(*arguments)` take at most, in a new process."""
    return alone(LONGEST, _peak, threads, prepare, *arguments)


def _peak(threads: int, prepare: Callable[..., Any], *arguments: Any) -> float:
    torch.set_num_threads(threads)
    entry = prepare(*arguments)
    give_back()
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        CLEAR.write_text("5")  # the peak is what is held now
        before = held("VmRSS")
    first_call(entry)
    entry.call()
    return (torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else held("VmHWM")) - before


def held(what: str) -> int:
    return int(re.search(rf"{what}:\s+(\d+)", STATUS.read_text())[1]) * 1024  # type: ignore[index]


def give_back() -> None:
    """Give the system what this process has freed, even if it keeps that otherwise."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def free() -> int:
    """Bytes that are free on this machine."""
    return int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) * 1024  # type: ignore[index]
