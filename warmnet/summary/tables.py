"""A table of a network's blocks and layers: path, call, output, stride, parameters, multiply-adds, activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from .html import call_cell, cell, column_widths, folding_rows, name_cell
from .text import aligned, bar, count, indented, last_name, megabytes, number, shortened

HEAD = "output", "stride", "parameters", "multiply-adds", "MB put out"


class Row(NamedTuple):
    """One block or layer with all that is in it.

    - `call`: as it is written, without what is left at its default.
    - `shape`: of its (last) output; None if this forward does not call it.
    - `stride`: how many rows of the input one row of the output stands for; None where the output is no such map.
    - `macs`: multiply-adds, see `tabulate`.
    - `activations`: bytes of what the layers in it put out.
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
        return self.text()

    def text(self, depth: int | None = 2) -> str:
        """The rows down to `depth` names in a path, or all for None, as aligned columns, and the totals."""
        room = " " * 4  # where other rows have their bars
        *left, parameters, macs, activations = HEAD
        lines = aligned(
            [
                (self.call, "", *left, parameters + room, macs + room, activations + room),
                *(("input", "", str(shape), "", "", "", "") for shape in self.inputs),
                *(self._text_cells(row) for row in self.rows if depth is None or row.path.count(".") < depth),
                ("total", "", "", "", *(text + room for text in self._totals())),
                ("with biases", "", "", "", "", f"{self.macs_with_bias:,}{room}", ""),
            ],
            left=2,
        )
        rule = "─" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-2], rule, *lines[-2:]])

    def _text_cells(self, row: Row) -> list[str]:
        cells = [indented(row.path), shortened(row.call, 26), str(row.shape or ""), number(row.stride)]
        for text, share in self._shares(row):
            cells.append(f"{text} {bar(share)}" if text else "")
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
