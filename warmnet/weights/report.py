"""What became of every tensor when weights moved from one network to another, as text, as HTML, as data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from typing import Any, NamedTuple

FATES = {
    "kept": "as they are in the source",
    "reshaped": "changed to fit",
    "new": "in the model alone, as they were",
    "dropped": "in the source alone",
}
SHOWN = 10  # tensors in a list for people


class Row(NamedTuple):
    """One tensor: what became of it, its path, its name in the source, and its shape in the model and in the source.

    `parameters` are its numbers that are learned, in the model or if dropped in the source; `taken`, those of them that are
    from the source.
    """

    fate: str
    path: str
    name: str
    shape: tuple[int, ...] | None
    given: tuple[int, ...] | None
    parameters: int
    taken: int = 0
    how: str = ""

    @property
    def matters(self) -> bool:
        """Whether outputs depend on it, as on all but a count of batches."""
        return not self.path.endswith(("num_batches_tracked", "n_averaged"))

    def __str__(self) -> str:
        sign, other = {"new": "- ", "dropped": "+ "}.get(self.fate, ""), f" ({self.name})" * (self.name not in ("", self.path))
        return f"{sign}{self.path}{other} {self.shape or self.given}" + f": {self.how}" * bool(self.how)


@dataclass(frozen=True, repr=False)
class Report:
    """What weights moved. It prints as text, shows itself as a table in Jupyter, and `to_dict` gives its rows.

    Tensors are kept, reshaped, new (-: the model has them, the source does not) or dropped (+: the source has them, the model
    does not). One that has another shape in the model is both new and dropped.

    - `parameters`: the model's number; `taken`: how many of them are from the source; `share`: that part, in 0..1.
    - `notes`: what else there is to know, such as a precision that was changed.
    """

    source: str
    model: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, fate: str) -> tuple[Row, ...]:
        """The rows of 'kept', 'reshaped', 'new' or 'dropped'."""
        if fate not in FATES:
            raise KeyError(f"Unknown fate {fate!r}. Choose one of {', '.join(FATES)}.")
        return tuple(row for row in self.rows if row.fate == fate)

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows if row.fate != "dropped")

    @property
    def share(self) -> float:
        return self.taken / max(1, self.parameters)

    @property
    def taken(self) -> int:
        return sum(row.taken for row in self.rows)

    def __repr__(self) -> str:
        lines = [self._headline()]
        for fate, meaning in FATES.items():
            if rows := self[fate]:
                lines.append(f"  {fate:8}  {_count(rows)}, {meaning}")
                told = [str(row) for row in rows if row.matters and fate != "kept"]
                told[SHOWN:] = [f"and {len(told) - SHOWN} more"] * (len(told) > SHOWN)
                lines += [f"    {line}" for line in told]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        parts = [f"<b>{escape(self._headline())}</b>"]
        for fate, meaning in FATES.items():
            if rows := self[fate]:
                cells = "".join(
                    f"<tr><td style='text-align:left'><code>{escape(row.path)}</code></td><td>{row.shape or ''}</td>"
                    f"<td style='text-align:left'><code>{escape(row.name)}</code></td><td>{row.given or ''}</td>"
                    f"<td>{row.parameters:,}</td><td style='text-align:left'>{escape(row.how)}</td></tr>"
                    for row in rows
                )
                head = "".join(f"<th>{title}</th>" for title in ("model", "shape", "source", "shape", "parameters", ""))
                opened = " open" if fate != "kept" and len(rows) <= SHOWN else ""
                parts.append(
                    f"<details{opened}><summary><b>{fate}</b>: {_count(rows)}, {meaning}</summary>"
                    f"<table><tr>{head}</tr>{cells}</table></details>"
                )
        return "\n".join([*parts, *(f"<div>{escape(note)}</div>" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON can hold."""
        rows = [row._asdict() for row in self.rows]
        facts = {"source": self.source, "model": self.model, "parameters": self.parameters, "share": self.share}
        return {**facts, "rows": rows, "notes": list(self.notes)}

    def _headline(self) -> str:
        share = f"{math.floor(self.share * 1000) / 10:.1f} %"  # which is 100 for all of them alone
        return f"{self.taken:,} of the {self.model}'s {self.parameters:,} parameters ({share}) are from {self.source}."


def _count(rows: tuple[Row, ...]) -> str:
    numbers = sum(row.parameters for row in rows)
    return f"{len(rows):,} tensor{'s' * (len(rows) != 1)}, {numbers:,} parameter{'s' * (numbers != 1)}"


def nearest(row: Row, others: Iterable[Row]) -> str:
    """The path in `others` that is most like the row's; one with the same shape goes first."""

    def likeness(other: Row) -> tuple[bool, float]:
        return (row.shape or row.given) == (other.shape or other.given), SequenceMatcher(None, row.path, other.path).ratio()

    best = max(others, key=likeness, default=None)
    return best.path if best else ""
