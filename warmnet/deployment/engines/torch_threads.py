"""torch's number of threads while predictors compute, any number of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch

_lock = Lock()
_inside = 0  # calls that compute now
_outside_threads = 0  # torch's number before the first of them


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Within it this thread computes on so many cores; when the last call has left, torch's number is what it was.

    torch has a number for each thread, and one for the process that a new thread begins with. A thread that begins while
    another computes finds that one's number: what to go back to is noted where nobody computes.
    """
    global _inside, _outside_threads
    with _lock:
        if _inside == 0:
            _outside_threads = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(number)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            torch.set_num_threads(_outside_threads)
