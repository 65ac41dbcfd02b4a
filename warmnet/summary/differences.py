"""The difference of two tables: the rows that changed, and how they show as text, HTML and plain values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

from ..terminal import Column, table, terminal_width
from ..text import count, indented, last_name, shortened
from .html import column_widths, folding_rows, name_cell
from .tables import Row, Table

HEAD = "output", "parameters", "change", "multiply-adds", "change"


class Change(NamedTuple):
    """A path in two tables; None where one has no such row."""

    path: str
    before: Row | None
    after: Row | None

    @property
    def mark(self) -> str:
        """'+' for a row that is new, '-' for one that is gone, '±' for one that differs, '' for one that has such in it."""
        if self.before is None or self.after is None:
            return "+" if self.before is None else "-"
        return "±" if _figures(self.before) != _figures(self.after) else ""


@dataclass(frozen=True, repr=False)
class Difference:
    """The rows of two networks that differ in shape, parameters or multiply-adds, after the blocks that they are in.

    `settings` are the paths of rows that differ in their call alone. It shows as text, in Jupyter as HTML.
    """

    before: Table
    after: Table
    changes: tuple[Change, ...]
    settings: tuple[str, ...]

    def __repr__(self) -> str:
        return self.text(terminal_width())

    def text(self, width: int | None = None) -> str:
        """The changes as aligned columns, + and - before their names, without what is in new or lost blocks; the totals.

        One line if figures are the same. `width` is as in `Table.text`.
        """
        if not self._differs():
            return f"{self._title()}, {self.before.inputs[0]}: {self._notes()[0]}"
        new_or_gone = {change.path for change in self.changes if change.mark in ("+", "-")}
        visible = [change for change in self.changes if change.path.rpartition(".")[0] not in new_or_gone]
        lines = table(
            [
                Column(""), Column(self._title(), least=14),
                Column("output", right=True, drop=3), Column("→", right=True, drop=3, called=""),
                Column("parameters", right=True), Column("→", right=True, drop=1, called="parameters after"),
                Column("change", right=True),
                Column("multiply-adds", right=True, drop=4), Column("→", right=True, drop=2, called="multiply-adds after"),
                Column("change", right=True, drop=4),
            ],
            [(change.mark, indented(change.path), *_text_cells(change)) for change in visible],
            width,
            totals=[("", "total", *_text_cells(self._total()))],
        )  # fmt: skip
        return "\n".join([*lines, *self._notes()])

    def _repr_html_(self) -> str:
        """The changes, those of a block folded into it if it is new or gone, or there are many."""
        if not self._differs():
            return f"<div>{escape(self.text())}</div>"
        total = _html_texts(self._total())
        rows, figures = [], [HEAD, total]
        for change in self.changes:
            texts = _html_texts(change)
            rows.append((change.path, name_cell(f"{change.mark} {last_name(change.path)}".strip()) + _html_cells(texts)))
            figures.append(texts)
        unfolded = set[str]()
        if len(rows) < 60:
            unfolded = {change.path for change in self.changes if change.mark not in ("+", "-")}
        return folding_rows(
            column_widths(figures),
            name_cell(self._title()) + _html_cells(HEAD),
            rows,
            name_cell("total") + _html_cells(total),
            self._notes(),
            unfolded,
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values: each change's row before and after as a dict, or None; and the totals."""
        totals = {key: (getattr(self.before, key), getattr(self.after, key)) for key in ("parameters", "macs", "activations")}
        changes = [
            {"path": c.path, "mark": c.mark, "before": c.before and c.before._asdict(), "after": c.after and c.after._asdict()}
            for c in self.changes
        ]
        return {**totals, "changes": changes, "settings": list(self.settings)}

    def _title(self) -> str:
        return " → ".join(dict.fromkeys((self.before.call, self.after.call)))

    def _total(self) -> Change:
        """The two networks as rows without shapes."""
        rows = [Row("total", t.call, None, None, t.parameters, t.macs, t.activations) for t in (self.before, self.after)]
        return Change("total", *rows)

    def _differs(self) -> bool:
        return bool(self.changes or self._total().mark)

    def _notes(self) -> list[str]:
        if not self.settings:
            return [] if self._differs() else ["no difference"]
        innermost = next(path for path in self.settings if not any(other.startswith(f"{path}.") for other in self.settings))
        before, after = (_call(table, innermost) for table in (self.before, self.after))
        rows = "1 row differs" if len(self.settings) == 1 else f"{len(self.settings)} rows differ"
        return [f"{rows} in settings alone, such as {innermost}: {_edit(before, after)}"]


def _call(table: Table, path: str) -> str:
    """The call of the row of that path."""
    return next(row.call for row in table.rows if row.path == path)


def _figures(row: Row) -> tuple[Any, ...]:
    return row.shape, row.parameters, row.macs


class Comparison(NamedTuple):
    """A figure before and after as text, and by how much it changed; the latter two '' where it is the same."""

    before: str
    after: str = ""
    change: str = ""

    @property
    def arrow(self) -> str:
        """'before → after', without what is ''."""
        return " → ".join(filter(None, (self.before, self.after)))


def _comparisons(change: Change) -> tuple[Comparison, Comparison, Comparison]:
    """A row's shape, parameters and multiply-adds."""
    absent = Row(change.path, "", None, None, 0, 0, 0)
    before, after = change.before or absent, change.after or absent
    shapes = [str(row.shape or "") for row in (before, after)]
    shape = Comparison(shapes[0], shapes[1] if shapes[0] != shapes[1] else "")
    return shape, _counts(before.parameters, after.parameters), _counts(before.macs, after.macs)


def _counts(before: int, after: int) -> Comparison:
    if before == after:
        return Comparison(count(before))
    return Comparison(count(before), count(after), f"{after - before:+,}")


def _text_cells(change: Change) -> list[str]:
    """The cells of a row of the text after its mark and name."""
    shape, *counts = _comparisons(change)
    cells = [shape.before, shape.after]
    for figure in counts:
        cells += figure
    return cells


def _html_texts(change: Change) -> list[str]:
    """The texts of a row's cells in HTML, each figure before and after in one."""
    shape, *counts = _comparisons(change)
    texts = [shape.arrow]
    for figure in counts:
        texts += [figure.arrow, figure.change]
    return texts


def _edit(before: str, after: str) -> str:
    """Two calls side by side; of one function, from the first setting that differs on."""
    calls = [call.partition("(") for call in (before, after)]
    if calls[0][0] == calls[1][0]:
        settings = [text.removesuffix(")") + ", " for *_, text in calls]
        same = len("".join(os.path.commonprefix(settings).rpartition(", ")[:2]))
        before, after = (text[same:].removesuffix(", ") or "default" for text in settings)
    return f"{shortened(before, 40)} → {shortened(after, 40)}"


def _html_cells(texts: Sequence[str]) -> str:
    """Cells as HTML, those that say by how much in the colour of more or less."""
    classes = {"+": ' class="p"', "-": ' class="m"'}
    return "".join(f"<i{classes.get(text[:1], '')}>{text}</i>" for text in texts)
