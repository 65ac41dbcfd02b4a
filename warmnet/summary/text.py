"""Rows as text: figures, bars, and columns that are aligned in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

EIGHTHS = " ▏▎▍▌▋▊▉"


def count(n: int) -> str:
    """1234567 as '1,234,567'; '' for 0."""
    return f"{n:,}" if n else ""


def megabytes(n: int) -> str:
    """Bytes in millions, with two digits; '' for 0."""
    return f"{n / 1e6:,.2f}" if n else ""


def number(n: float | None) -> str:
    """A number as short as it can be; '' for None."""
    return "" if n is None else f"{n:g}"


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def bar(share: float, width: int = 3) -> str:
    """A share of 1 as a bar of at most `width` characters, padded to it."""
    whole, rest = divmod(round(share * width * 8), 8)
    return ("█" * whole + EIGHTHS[rest].strip()).ljust(width)


def last_name(path: str) -> str:
    """The 'conv' of 'stem.conv'."""
    return path.rpartition(".")[2]


def indented(path: str) -> str:
    """The last name of a path, further to the right the deeper it is."""
    return "  " * path.count(".") + last_name(path)


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """A line for each row, its first `left` cells to the left of their columns and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:left], widths)]
        cells += [cell.rjust(width) for cell, width in zip(row[left:], widths[left:])]
        lines.append("  ".join(cells).rstrip())
    return lines
