"""Memory that is freed stays with the process, which spares the system the clearing of its pages for every large tensor."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX, NEVER, NONE = -1, -4, -1, 0  # mallopt(3)


def keep_memory() -> bool:
    """Whether this process keeps from now on what it frees, for its next tensors, which the C library can only do on Linux.

    glibc takes every block of more than 32 MB from the system and gives it back when it is freed, and the system clears each
    of its pages. For the maps of 16 images that takes as long as the arithmetic on them (docs/speed.md). Kept, memory stays
    as high as it was at most, and up to a quarter higher than without. `training.fit` and `training.evaluate` ask for it on
    a CPU. There is no way back.

    >>> import warmnet
    >>> kept = warmnet.keep_memory()
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, NONE)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
