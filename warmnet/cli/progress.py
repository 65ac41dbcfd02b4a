"""How far a command is: a bar on a terminal's stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TypeVar

T = TypeVar("T")


def with_bar(items: Iterable[T], total: int, description: str, visible: bool = True) -> Iterator[T]:
    """The items, with a bar of how many of `total` have come, if stderr is a terminal and rich is installed."""
    if not visible or not sys.stderr.isatty() or not find_spec("rich"):
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        yield from progress.track(items, total, description=description)
