"""torch's warnings and log messages, kept quiet during an export."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.RLock()  # what it switches off is the whole process's


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's remarks on operators of libraries that are not there, and on its own to-do list."""
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
