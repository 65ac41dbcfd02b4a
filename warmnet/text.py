"""Names and figures as text for people, as wide as they are on a terminal."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

EIGHTHS = " ▏▎▍▌▋▊▉"


def count(n: int) -> str:
    """1234567 as '1,234,567'; '' for 0."""
    return f"{n:,}" if n else ""


def number(n: float | None) -> str:
    """A number as short as it can be; '' for None."""
    return "" if n is None else f"{n:g}"


def megabytes(n: int) -> str:
    """Bytes in millions, with two digits; '' for 0."""
    return f"{n / 1e6:,.2f}" if n else ""


def percent(share: float | None) -> str:
    """A share of 1 in percent; a dash for None."""
    return "–" if share is None else f"{share:.1%}"


def bar(share: float, width: int = 3) -> str:
    """A share of 1 as a bar of at most `width` characters."""
    whole, rest = divmod(round(share * width * 8), 8)
    return "█" * whole + EIGHTHS[rest].strip()


def last_name(path: str) -> str:
    """The 'conv' of 'stem.conv'."""
    return path.rpartition(".")[2]


def indented(path: str) -> str:
    """The last name of a path, further to the right the deeper it is."""
    return "  " * path.count(".") + last_name(path)


def first_ten(names: Sequence[str]) -> str:
    """Names in quotes, of many the first ten."""
    text = ", ".join(map(repr, names[:10]))
    return f"{text} and {len(names) - 10:,} more" if len(names) > 10 else text


def one_line(name: str) -> str:
    """A file's name, which may hold bytes that are no text, as one line of text."""
    return "".join("?" if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in name)


def cells(text: str) -> int:
    """How many cells of a terminal a text takes: 猫 two, an accent that stands above another letter none."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shortened(text: str, width: int) -> str:
    """A text of at most so many cells: its beginning, '…' and its end."""
    if cells(text) <= width:
        return text
    end = (width - 1) // 3
    return _first(text, width - 1 - end) + "…" + _first(text[::-1], end)[::-1]


def _first(text: str, width: int) -> str:
    """As much of the beginning of a text as takes at most so many cells."""
    taken = 0
    for place, character in enumerate(text):
        taken += _cells(character)
        if taken > width:
            return text[:place]
    return text


def distinct(names: Iterable[str], width: int) -> dict[str, str]:
    """Each name and what stands for it: at most so many cells, and no two alike.

    It is the name's beginning and end; of names with the same ones the beginning and what tells them apart, or else a number.
    """
    places = {name: place for place, name in enumerate(names)}
    labels = {name: shortened(name, width) for name in places}
    for group in _alike(labels):
        same = len(os.path.commonprefix(group))
        start = _first(group[0], min(width // 2, width - 2))
        for name in group:
            end = f"…{name[same:]}"
            room = width - cells(start)
            labels[name] = start + (end if cells(end) <= room else _first(end, room - 1) + "…")
    for group in _alike(labels):
        for name in group:
            number = f"…{places[name]}"
            labels[name] = _first(name, width - len(number)) + number
    return labels


def _alike(labels: Mapping[str, str]) -> Iterator[list[str]]:
    """The names that have the same label."""
    groups: dict[str, list[str]] = {}
    for name, label in labels.items():
        groups.setdefault(label, []).append(name)
    yield from (group for group in groups.values() if len(group) > 1)
