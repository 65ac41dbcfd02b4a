"""Names and figures as text for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from ..errors import extra

with extra("train"):
    from rich.cells import cell_len


def one_line(name: str, length: int = 24) -> str:
    """A folder's name, which may hold bytes that are no text, as one line of text of a bearable length."""
    name = "".join("?" if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in name)
    return name if len(name) <= length else name[: length - 1] + "…"


def percent(share: float | None) -> str:
    """A share of 1 in percent; a dash for None."""
    return "–" if share is None else f"{share:.1%}"


def first_ten(names: Sequence[str]) -> str:
    """Names in quotes, of many the first ten."""
    text = ", ".join(map(repr, names[:10]))
    return f"{text} and {len(names) - 10:,} more" if len(names) > 10 else text


def aligned(rows: Sequence[Sequence[str]], justify: Sequence[Callable[[str, int], str]]) -> list[str]:
    """A line for each row, its cells padded to their columns' widths on a terminal, where 猫 is as wide as two letters.

    - `justify`: of each column, str.ljust or str.rjust.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = []
        for cell, width, pad in zip(row, widths, justify):
            cells.append(pad(cell, width - cell_len(cell) + len(cell)))
        lines.append("  ".join(cells).rstrip())
    return lines
