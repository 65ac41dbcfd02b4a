"""What a terminal can show: tables that fit its width, and letters for those that it has not."""

from __future__ import annotations

import codecs
import os
import sys
import textwrap
from collections.abc import Collection, Sequence
from typing import NamedTuple

from .text import cells, distinct

LEAST, GAP = 40, "  "  # no table is narrower; between its columns
STAND_INS = "warmnet.terminal"  # the name of `_stand_in` for `errors` of a stream
LETTERS = str.maketrans("─█▉▊▋▌▍▎▏…→–×·±", "-#       ~>-x.!")


class Column(NamedTuple):
    """A column of a table.

    - `title`: '' for one that belongs to the column on its left.
    - `right`: whether its cells stand to the right, as figures do.
    - `drop`: where the width is too small, columns with 1 are left out first, then those with 2, ...; with None none are.
    - `least`: the cells that it can be shortened to; with None it cannot.
    - `called`: its name in the line that says what was left out. Default: its title. '' is not named.
    """

    title: str
    right: bool = False
    drop: int | None = None
    least: int | None = None
    called: str | None = None


def terminal_width() -> int | None:
    """The columns of the terminal that stdout is, or COLUMNS where it is set; None, for any width, of a file or a pipe."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, totals: Sequence[Sequence[str]] = ()
) -> list[str]:
    """The lines of a table: titles and a rule, if there are titles; the rows; a rule and the totals; and what was left out.

    - `width`: that it fits, see `terminal_width`.
    """
    head = [[column.title for column in columns]] if any(column.title for column in columns) else []
    texts = [list(column) for column in zip(*head, *rows, *totals)]
    natural = [max(map(cells, column)) for column in texts]
    least = [wide if column.least is None else min(wide, column.least) for column, wide in zip(columns, natural)]
    limit = _together(natural) if width is None else max(width, LEAST)
    shown = _shown(columns, least, limit)
    widths = _fitted(natural, least, shown, limit)
    shortened = [i for i in shown if widths[i] < natural[i]]
    names = [text for i in shortened for text in texts[i]]  # one may stand in two columns
    for i in shortened:
        labels = distinct(names, widths[i])
        texts[i] = [labels[text] for text in texts[i]]
    lines = [_line(cells_of, columns, widths, shown) for cells_of in zip(*texts)]
    rule = "─" * max(map(cells, lines))
    if totals:
        lines.insert(len(head) + len(rows), rule)
    if head:
        lines.insert(1, rule)
    return lines + _left_out(columns, shown, limit)


def _shown(columns: Sequence[Column], least: Sequence[int], limit: int) -> list[int]:
    """The columns that fit, at their least widths."""
    shown = list(range(len(columns)))
    for drop in sorted({column.drop for column in columns if column.drop is not None}):
        if _together([least[i] for i in shown]) <= limit:
            break
        shown = [i for i in shown if columns[i].drop != drop]
    return shown


def _fitted(natural: Sequence[int], least: Sequence[int], shown: Collection[int], limit: int) -> list[int]:
    """The widths of columns, the widest of those that can be shortened made smaller until all fit."""
    widths = list(natural)
    for _ in range(_together([natural[i] for i in shown]) - limit):
        able = [i for i in shown if widths[i] > least[i]]
        if not able:
            break
        widths[max(able, key=lambda i: widths[i])] -= 1
    return widths


def _together(widths: Sequence[int]) -> int:
    """The width of columns of these widths side by side."""
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _line(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int], shown: Collection[int]) -> str:
    """A row's cells, each padded to its column's width."""
    padded = []
    for i in shown:
        room = " " * (widths[i] - cells(texts[i]))
        padded.append(room + texts[i] if columns[i].right else texts[i] + room)
    return GAP.join(padded).rstrip()


def _left_out(columns: Sequence[Column], shown: Collection[int], limit: int) -> list[str]:
    """The line that names the columns that are not shown; none if all are."""
    left_out = [column for i, column in enumerate(columns) if i not in shown]
    names = [column.title if column.called is None else column.called for column in left_out]
    text = ", ".join(filter(None, names))
    return wrapped(f"left out at {limit} columns: {text}", limit) if text else []


def wrapped(text: str, width: int | None) -> list[str]:
    """The lines of a text, broken between words so that it fits the width, see `terminal_width`."""
    return [text] if width is None else textwrap.wrap(text, max(width, LEAST), break_on_hyphens=False)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """What is printed for characters that an encoding has not: '-' for '─' and the like, and the code of others."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(LETTERS)
    return text.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error(STAND_INS, _stand_in)
