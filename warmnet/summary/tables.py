"""A table of a network's blocks and layers: path, call, output, stride, parameters, multiply-adds, activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..terminal import Column, table, terminal_width
from ..text import bar, count, indented, last_name, megabytes, number
from .html import call_cell, cell, column_widths, folding_rows, name_cell

HEAD = "output", "stride", "parameters", "multiply-adds", "output MB"


class Row(NamedTuple):
    """One block or layer with all that is in it.

    - `call`: as it is written, without what is left at its default.
    - `shape`: of its (last) output; None if this forward does not call it.
    - `stride`: how many rows of the input one row of the output stands for; None where the output is no such map.
    - `macs`: multiply-adds, see `tabulate`.
    - `activations`: bytes of what the layers in it output.
    """

    path: str
    call: str
    shape: tuple[int, ...] | None
    stride: float | None
    parameters: int
    macs: int
    activations: int


@dataclass(frozen=True, repr=False)
class Table:
    """A network's rows, blocks before what is in them, and its totals for `inputs`. It shows as text, in Jupyter as HTML."""

    call: str
    inputs: tuple[tuple[int, ...], ...]
    rows: tuple[Row, ...]
    parameters: int
    macs: int
    macs_with_bias: int
    activations: int

    def __repr__(self) -> str:
        deeper = self.deeper_than(2)
        note = f"\n{deeper:,} rows are deeper: text(depth=None)" if deeper else ""
        return self.text(2, terminal_width()) + note

    def text(self, depth: int | None = 2, width: int | None = None) -> str:
        """The rows down to `depth` names in a path, or all for None, as aligned columns, and the totals.

        - `width`: of the terminal that it is to fit. Columns are shortened or left out for it, and the last line names those.
        """
        parameters, macs, activations = self._totals()
        lines = table(
            [
                Column(self.call, least=14), Column("", drop=2, least=18, called="calls"),
                Column("output", right=True, drop=5), Column("stride", right=True, drop=3),
                Column("parameters", right=True), Column("", drop=1),
                Column("multiply-adds", right=True, drop=6), Column("", drop=1),
                Column("output MB", right=True, drop=4), Column("", drop=1),
            ],
            [
                *(("input", "", str(shape), *[""] * 7) for shape in self.inputs),
                *(self._text_cells(row) for row in self.rows if depth is None or row.path.count(".") < depth),
            ],
            width,
            totals=[
                ("total", "", "", "", parameters, "", macs, "", activations, ""),
                ("with biases", "", "", "", "", "", f"{self.macs_with_bias:,}", "", "", ""),
            ],
        )  # fmt: skip
        return "\n".join(lines)

    def deeper_than(self, depth: int | None) -> int:
        """How many rows `text` leaves out at that depth."""
        return 0 if depth is None else sum(row.path.count(".") >= depth for row in self.rows)

    def _text_cells(self, row: Row) -> list[str]:
        cells = [indented(row.path), row.call, str(row.shape or ""), number(row.stride)]
        for text, share in self._shares(row):
            cells += [text, bar(share) if text else ""]
        return cells

    def _repr_html_(self) -> str:
        """All rows, those of a block folded into it."""
        totals = ["", "", *self._totals()]
        rows, figures = [], [[*HEAD], totals]
        for row in self.rows:
            texts, html = [str(row.shape or ""), number(row.stride)], name_cell(last_name(row.path)) + call_cell(row.call)
            html += "".join(map(cell, texts))
            for text, share in self._shares(row):
                texts.append(text)
                html += cell(text, share)
            rows.append((row.path, html))
            figures.append(texts)
        inputs = "input " + ", ".join(map(str, self.inputs))
        return folding_rows(
            "minmax(8em,1fr) " + column_widths(figures),
            name_cell(self.call) + call_cell(inputs) + "".join(map(cell, HEAD)),
            rows,
            name_cell("total") + call_cell("") + "".join(map(cell, totals)),
            [f"{self.macs_with_bias:,} multiply-adds with biases"],
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, each row as a dict."""
        return {**vars(self), "rows": [row._asdict() for row in self.rows]}

    def _totals(self) -> list[str]:
        return [f"{self.parameters:,}", f"{self.macs:,}", megabytes(self.activations)]

    def _shares(self, row: Row) -> list[tuple[str, float]]:
        """The row's parameters, multiply-adds and activations as text, '' for 0, and as shares of the total."""
        return [
            (count(row.parameters), row.parameters / (self.parameters or 1)),
            (count(row.macs), row.macs / (self.macs or 1)),
            (megabytes(row.activations), row.activations / (self.activations or 1)),
        ]
