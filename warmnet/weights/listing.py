"""`pretrained`: the checkpoints that have a name, as a table."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

from ..terminal import Column, table, terminal_width
from . import hub, packages
from .checkpoints import CHECKPOINTS, NamedCheckpoint

HEAD = "name", "source", "top1", "px", "licence"
COLUMNS = (
    Column(" name"), Column("source", drop=1), Column("top1", right=True), Column("px", right=True, drop=2),
    Column("licence", drop=3),
)  # fmt: skip


class Pretrained(NamedTuple):
    """A name of weights.

    - `source`: a repository of the Hugging Face Hub, or a package of pip's.
    - `top1`: of ImageNet's validation images in percent, as published; `top1_source`: where that was read.
    - `resolution`: the side, in pixels, of the images for it.
    - `is_at_hand`: whether the package is installed, or the Hub's cache has it; `command`: what gets it.
    """

    name: str
    source: str
    top1: float | None
    top1_source: str
    resolution: int
    licence: str
    is_at_hand: bool
    command: str


class PretrainedTable(tuple[Pretrained, ...]):
    """The rows; it shows as text, in Jupyter as HTML."""

    def __repr__(self) -> str:
        """A line a name, those at hand marked; and where the figures were read."""
        rows = [_cells(row) for row in self]
        marked = [(f"{'*' if row.is_at_hand else ' '}{name}", *others) for row, (name, *others) in zip(self, rows)]
        lines = table(COLUMNS, marked, terminal_width())
        where = [f"Top-1 of {names}: {source}" for source, names in self._top1_sources().items()]
        return "\n".join([*lines, "", "* at hand. Top-1 is in percent of ImageNet's validation images.", *where])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{text}</th>" for text in (*HEAD, "at hand"))
        rows = [(*_cells(row), "yes" if row.is_at_hand else row.command) for row in self]
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows)
        where = "<br>".join(f"Top-1 of {names}: {escape(source)}" for source, names in self._top1_sources().items())
        return f"<div style='overflow-x:auto'><table><tr>{head}</tr>{body}</table></div><small>{where}</small>"

    def to_list(self) -> list[dict[str, Any]]:
        """Each row as a dict of plain values."""
        return [row._asdict() for row in self]

    def _top1_sources(self) -> dict[str, str]:
        """Where top-1 was read -> of which names: at last 'all others', of most."""
        names: dict[str, list[str]] = {}
        for row in self:
            names.setdefault(row.top1_source, []).append(row.name)
        *few, most = sorted(names, key=lambda source: len(names[source]))
        return {source: ", ".join(names[source]) for source in few} | {most: "all others"}


def pretrained() -> PretrainedTable:
    """The names that `from_pretrained` takes, each of one fixed checkpoint of ImageNet-1k. The Hub is not asked.

    >>> import warmnet
    >>> warmnet.pretrained()[0].name
    'b0'
    """
    return PretrainedTable(map(_row, CHECKPOINTS.values()))


def _row(named: NamedCheckpoint) -> Pretrained:
    is_at_hand = packages.find_file(named) is not None if named.file else hub.is_cached(named.source)
    return Pretrained(
        named.name, named.source, named.top1, named.top1_source, named.preprocessing.resolution, named.licence, is_at_hand,
        named.command,
    )  # fmt: skip


def _cells(row: Pretrained) -> tuple[str, ...]:
    top1 = "" if row.top1 is None else f"{row.top1:.1f}"
    return row.name, row.source, top1, str(row.resolution), row.licence
