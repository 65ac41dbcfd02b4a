"""What became of every tensor when weights were loaded into a network, as text, as HTML, as data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from typing import Any, NamedTuple

from ..spelling import choose_one

STATUSES = {
    "kept": "as they are in the source",
    "reshaped": "changed to fit",
    "new": "in the model alone, as they were",
    "dropped": "in the source alone",
}
MOST_LISTED = 10  # tensors in a list for people


class Row(NamedTuple):
    """One tensor: its status, its path, its name in the source, and its shape in the model and in the source.

    `parameters` are its numbers that are learned, in the model or if dropped in the source; `loaded`, those of them that are
    from the source. `change` says how it was reshaped.
    """

    status: str
    path: str
    name: str
    shape: tuple[int, ...] | None
    source_shape: tuple[int, ...] | None
    parameters: int
    loaded: int = 0
    change: str = ""

    @property
    def matters(self) -> bool:
        """Whether outputs depend on it, as on all but a count of batches."""
        return not self.path.endswith(("num_batches_tracked", "n_averaged"))

    def __str__(self) -> str:
        text = {"new": "- ", "dropped": "+ "}.get(self.status, "") + self.path
        if self.name not in ("", self.path):
            text += f" ({self.name})"
        text += f" {self.shape or self.source_shape}"
        return f"{text}: {self.change}" if self.change else text


@dataclass(frozen=True, repr=False)
class Report:
    """Which weights were loaded. It prints as text, shows itself as a table in Jupyter, and `to_dict` gives its rows.

    Tensors are kept, reshaped, new (-: the model has them, the source does not) or dropped (+: the source has them, the model
    does not). One that has another shape in the model is both new and dropped.

    - `parameters`: the model's number; `loaded`: how many of them are from the source; `share`: that part, in 0..1.
    - `notes`: what else there is to know, such as a precision that was changed.
    - `new_blocks`: the blocks of which all is new, which the notes name.
    """

    source: str
    model: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    new_blocks: tuple[str, ...] = ()

    def __getitem__(self, status: str) -> tuple[Row, ...]:
        """The rows of 'kept', 'reshaped', 'new' or 'dropped'."""
        if status not in STATUSES:
            raise KeyError(f"Unknown status {status!r}. {choose_one(status, STATUSES)}.")
        return tuple(row for row in self.rows if row.status == status)

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows if row.status != "dropped")

    @property
    def share(self) -> float:
        return self.loaded / max(1, self.parameters)

    @property
    def loaded(self) -> int:
        return sum(row.loaded for row in self.rows)

    def __repr__(self) -> str:
        lines = [self._headline()]
        for status, meaning in STATUSES.items():
            rows = self[status]
            if rows:
                lines.append(f"  {status:8}  {_count(rows)}, {meaning}")
            if status != "kept":
                lines += [f"    {line}" for line in limit([str(row) for row in rows if row.matters], "more")]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        parts = [f"<b>{escape(self._headline())}</b>"]
        for status, meaning in STATUSES.items():
            rows = self[status]
            if rows:
                is_open = " open" if status != "kept" and len(rows) <= MOST_LISTED else ""
                summary = f"<summary><b>{status}</b>: {_count(rows)}, {meaning}</summary>"
                parts.append(f"<details{is_open}>{summary}{_html_table(rows)}</details>")
        return "\n".join([*parts, *(f"<div>{escape(note)}</div>" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON can hold."""
        return {
            "source": self.source,
            "model": self.model,
            "parameters": self.parameters,
            "share": self.share,
            "rows": [row._asdict() for row in self.rows],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """A line on everything that is not simply as in the source; on tensors of new blocks none beside the blocks' own."""
        lines, in_new_blocks = [*self.notes], tuple(f"{path}." for path in self.new_blocks)
        for status in "reshaped", "new", "dropped":
            rows = [row for row in self[status] if row.matters and not (status == "new" and row.path.startswith(in_new_blocks))]
            lines += limit([str(row) for row in rows], f"more are {status}")
        return lines

    def _headline(self) -> str:
        percent = math.floor(self.share * 1000) / 10  # which is 100 for all of them alone
        return f"{self.loaded:,} of the {self.model}'s {self.parameters:,} parameters ({percent:.1f} %) are from {self.source}."


def _html_table(rows: tuple[Row, ...]) -> str:
    head = "".join(f"<th>{title}</th>" for title in ("model", "shape", "source", "shape", "parameters", ""))
    cells = "".join(
        f"<tr><td style='text-align:left'><code>{escape(row.path)}</code></td><td>{row.shape or ''}</td>"
        f"<td style='text-align:left'><code>{escape(row.name)}</code></td><td>{row.source_shape or ''}</td>"
        f"<td>{row.parameters:,}</td><td style='text-align:left'>{escape(row.change)}</td></tr>"
        for row in rows
    )
    return f"<div style='overflow-x:auto'><table><tr>{head}</tr>{cells}</table></div>"


def _count(rows: tuple[Row, ...]) -> str:
    parameters = sum(row.parameters for row in rows)
    tensors = "1 tensor" if len(rows) == 1 else f"{len(rows):,} tensors"
    return f"{tensors}, 1 parameter" if parameters == 1 else f"{tensors}, {parameters:,} parameters"


def limit(lines: list[str], more: str) -> list[str]:
    """The first `MOST_LISTED` of the lines, and how many there are besides."""
    left = len(lines) - MOST_LISTED
    return [*lines[:MOST_LISTED], f"and {left} {more}"] if left > 0 else lines


def nearest(row: Row, others: Iterable[Row]) -> str:
    """The path in `others` that is most like the row's; one with the same shape goes first."""

    def likeness(other: Row) -> tuple[bool, float]:
        has_shape = (row.shape or row.source_shape) == (other.shape or other.source_shape)
        return has_shape, SequenceMatcher(None, row.path, other.path).ratio()

    best = max(others, key=likeness, default=None)
    return best.path if best else ""
