"""What an edit changed in a network: two tables side by side, where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from .show import aligned, count, indented, last, name, nested, shortened, widths
from .table import Network, Row, Table, tabulate

COLUMNS = "output", "→", "parameters", "→", "change", "multiply-adds", "→", "change"


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
        return self.text()

    def text(self) -> str:
        """The changes as aligned columns, + and - before their names, without what is in new or lost blocks; the totals."""
        whole = {change.path for change in self.changes if change.mark in ("+", "-")}
        shown = [change for change in self.changes if change.path.rpartition(".")[0] not in whole]
        lines = aligned(
            [
                ("", self._title(), *COLUMNS),
                *((change.mark, indented(change.path), *_cells(change)) for change in shown),
                ("", "total", *_cells(self._total())),
            ],
            left=2,
        )
        rule = "─" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *self._notes()])

    def _repr_html_(self) -> str:
        """The changes, those of a block folded into it if it is new or gone, or there are many."""
        head = [COLUMNS[0], *COLUMNS[2:]]
        *figures, total = (_one_shape(_cells(change)) for change in (*self.changes, self._total()))
        rows = [(c.path, name(last(c.path), c.mark) + _html(texts)) for c, texts in zip(self.changes, figures)]
        unfolded = {c.path for c in self.changes if c.mark not in ("+", "-")} if len(rows) < 60 else ()
        return nested(
            "1em " + widths([head, total, *figures]),
            name(self._title(), "") + _html(head),
            rows,
            name("total", "") + _html(total),
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
        """The two networks as rows, whose shapes are those of their inputs."""
        before, after = (
            Row("total", t.call, t.inputs[0], None, t.parameters, t.macs, t.activations) for t in (self.before, self.after)
        )
        return Change("total", before, after)

    def _notes(self) -> list[str]:
        if not self.settings:
            return [] if self.changes else ["no difference"]
        path = self.settings[0]
        call = next(row.call for row in self.after.rows if row.path == path)
        return [f"{len(self.settings)} rows differ in settings alone, such as {path}, now {shortened(call, 80)}"]


def _figures(row: Row) -> tuple[Any, ...]:
    return row.shape, row.parameters, row.macs


def _cells(change: Change) -> list[str]:
    """The cells of a row: each figure before and after, the latter only where it differs, and by how much."""
    before, after = (row or Row(change.path, "", None, None, 0, 0, 0) for row in change[1:])
    shapes = [str(row.shape or "") for row in (before, after)]
    cells = [shapes[0], shapes[1] if shapes[0] != shapes[1] else ""]
    for a, b in (before.parameters, after.parameters), (before.macs, after.macs):
        cells += [count(a), count(b) if a != b else "", f"{b - a:+,}" if a != b else ""]
    return cells


def _one_shape(cells: list[str]) -> list[str]:
    """The same cells with both shapes in the first."""
    return [" → ".join(filter(None, cells[:2])), *cells[2:]]


def _html(texts: list[str]) -> str:
    """Cells as HTML, those that say by how much in the colour of more or less."""
    classes = {"+": ' class="p"', "-": ' class="m"'}
    return "".join(f"<i{classes.get(text[:1], '')}>{text}</i>" for text in texts)


def diff(before: Network, after: Network, input: Any = None) -> Difference:
    """What is different in `after`: the rows of the two networks' tables that differ in shape, parameters or multiply-adds.

    Rows are the same if their paths are. Networks and `input` are as in `tabulate`.

    >>> import warmnet, warmnet.functional as W
    >>> change = warmnet.diff(lambda x: W.linear(x, 2), lambda x: W.linear(W.linear(x, 2), 3), (1, 4))
    >>> [(c.mark, c.path, c.after.shape) for c in change.changes]
    [('+', 'linear_2', (1, 3))]
    """
    tables = tabulate(before, input), tabulate(after, input)
    rows = [{row.path: row for row in table.rows} for table in tables]
    changes = [Change(path, rows[0].get(path), rows[1].get(path)) for path in _merged(*map(list, rows))]
    wanted = {path for change in changes if change.mark for path in accumulate(change.path.split("."), "{}.{}".format)}
    settings = [c.path for c in changes if c.before and c.after and not c.mark and c.before.call != c.after.call]
    return Difference(*tables, tuple(change for change in changes if change.path in wanted), tuple(settings))


def _merged(before: list[str], after: list[str]) -> list[str]:
    """The paths of both, each in the block that it is in, in the order of `after`; what is gone stands where it was."""
    places, last = {path: (i, 0) for i, path in enumerate(after)}, (-1, 0)
    for i, path in enumerate(before):
        last = places.setdefault(path, (last[0], i + 1))
    return sorted(places, key=lambda path: [places[part] for part in accumulate(path.split("."), "{}.{}".format)])
