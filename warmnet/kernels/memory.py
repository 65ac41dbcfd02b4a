"""Freed memory that stays with the process, so that the system need not clear new pages for every large tensor."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX, NEVER, NONE = -1, -4, -1, 0  # mallopt(3)


def keep_memory() -> bool:
    """Make this process keep the memory that it frees for its next tensors. Whether it can: glibc's can, on Linux.

    glibc takes every block of more than 32 MB from the system and gives it back when it is freed, and the system clears each
    of its pages. For the maps of 16 images that takes as long as the arithmetic on them (docs/speed.md). When memory is kept,
    the process holds its peak memory from then on, and the peak is up to a quarter higher. `training.fit` and
    `training.evaluate` call this on a CPU. It cannot be undone.

    >>> import warmnet
    >>> kept = warmnet.keep_memory()
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, NONE)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
