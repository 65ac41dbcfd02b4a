"""Warnings turned off, by any number of threads at once: warnings.catch_warnings is for one alone."""

from __future__ import annotations

import threading
import warnings
from typing import Any


class Quiet:
    """Within it no warning is shown. The first thread that enters turns them off, the last that leaves turns them on again."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.filters = warnings.catch_warnings()
                self.filters.__enter__()
                warnings.simplefilter("ignore")
            self.inside += 1

    def __exit__(self, *_: Any) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.filters.__exit__(None, None, None)
