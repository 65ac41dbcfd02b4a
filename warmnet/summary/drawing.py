"""A network as a picture: its blocks as boxes whose three sides are the three dimensions that compound scaling scales."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ..data.files import check_ending
from ..text import cells
from .measuring import Network, tabulate
from .tables import Table

BLOCK, PIXEL, CHANNEL = 12, 0.5, 0.08  # points that one block, one row of a map and one channel take: the same in all pictures
BACK = 0.8, 0.6  # how far a point of depth goes across and up
MARGIN, LINE, LETTER = 16, 15, 7.1  # points around the picture, of a line of text, and of a letter
GREY = "#777"  # can be read on white and on black
IN_A_PAGE = ".warmnet-draw text{fill:var(--jp-content-font-color1,currentColor)}"


class Box(NamedTuple):
    """A top-level block or layer: the function of the blocks in it, how many they are, its output's channels, height, width."""

    name: str
    function: str
    blocks: int
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Picture:
    """An SVG. It shows in Jupyter; `save` writes it to a file."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div class="warmnet-draw"><style>{IN_A_PAGE}</style>{self.svg}</div>'

    def __repr__(self) -> str:
        return f"Picture(<{len(self.svg):,} characters of SVG>)"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as SVG, which browsers and word processors show. Raises InputError if the path does not end in .svg."""
        check_ending(Path(path), ".svg")
        Path(path).write_text(self.svg, encoding="utf-8")


def draw(model: Network, input: Any = None) -> Picture:
    """A network's blocks as boxes from left to right: long as they have blocks, high as their maps, deep as they have channels.

    That is depth, resolution and width, after which a network is scaled. All pictures have the same scale, so that two can be
    compared. `model` and `input` are as in `tabulate`.

    >>> import tempfile, warmnet
    >>> warmnet.draw('b0').save(tempfile.mkdtemp() + '/b0.svg')
    """
    table = tabulate(model, input)
    return Picture(_svg(table, [*_boxes(table)]))


def _boxes(table: Table) -> Iterator[Box]:
    """The top-level rows that have parameters."""
    paths = {row.path.rpartition(".")[0] for row in table.rows}  # of what has something in it
    for row in table.rows:
        if "." in row.path or row.shape is None or not row.parameters:
            continue
        blocks = [path for path in paths if path.rpartition(".")[0] == row.path]
        functions = {other.call.partition("(")[0] for other in table.rows if other.path in blocks}
        function = functions.pop() if len(functions) == 1 else row.call.partition("(")[0]
        channels, height, width = (*row.shape[1:4], 1, 1, 1)[:3]
        yield Box(row.path, function, max(1, len(blocks)), channels, height, width)


def _svg(table: Table, boxes: list[Box]) -> str:
    """The boxes side by side, each with its name, its blocks and its output below it, and the totals."""
    up = max((_side(box.height) / 2 + _depth(box)[1] for box in boxes), default=0)
    down = max((_side(box.height) / 2 for box in boxes), default=0)
    axis, parts, x = MARGIN + 2 * LINE + up, list[str](), float(MARGIN)
    for box in boxes:
        caption = _caption(box)
        parts += _cuboid(box, x, axis)
        parts += _lines(caption, x, axis + down + LINE)
        x += max(LETTER * max(map(cells, caption)), box.blocks * BLOCK + _depth(box)[0]) + 12
    input = "×".join(map(str, table.inputs[0][1:]))
    title = f"{table.call}: input {input}, {table.parameters:,} parameters, {table.macs:,} multiply-adds"
    parts += _lines([title], MARGIN, MARGIN + LINE - 4)
    width, height = max(x, MARGIN + LETTER * len(title)) + MARGIN, axis + down + 4 * LINE
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    style = 'style="max-width:100%;height:auto"'  # no wider than the page
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} font-family="sans-serif" font-size="11">'
    return f"{start}{''.join(parts)}</svg>"


def _side(pixels: int) -> float:
    return max(2, pixels * PIXEL)


def _depth(box: Box) -> tuple[float, float]:
    """How far its far side is across and up from its near one, in points."""
    return box.channels * CHANNEL * BACK[0], box.channels * CHANNEL * BACK[1]


def _cuboid(box: Box, x: float, axis: float) -> Iterator[str]:
    """The near, upper and right face, with a line on the near and upper one where a block ends and the next begins."""
    long, high, (across, up) = box.blocks * BLOCK, _side(box.height), _depth(box)
    top = axis - high / 2
    yield f'<g stroke="#2a6db0" stroke-width=".7" stroke-linejoin="round"><title>{escape(box.function)}</title>'
    yield f'<path fill="#8fbdf0" d="M{x:.1f} {top:.1f}l{across:.1f} {-up:.1f}h{long}l{-across:.1f} {up:.1f}z"/>'
    yield f'<path fill="#3c7cc4" d="M{x + long:.1f} {top:.1f}l{across:.1f} {-up:.1f}v{high:.1f}l{-across:.1f} {up:.1f}z"/>'
    yield f'<path fill="#5f9fe6" d="M{x:.1f} {top:.1f}h{long}v{high:.1f}h{-long}z"/>'
    for i in range(1, box.blocks):
        yield f'<path fill="none" d="M{x + i * BLOCK:.1f} {top + high:.1f}v{-high:.1f}l{across:.1f} {-up:.1f}"/>'
    yield "</g>"


def _caption(box: Box) -> list[str]:
    """The lines below a box: its name, its blocks, its output."""
    blocks = f"{box.function} ×{box.blocks}" if box.blocks > 1 else box.function
    sides = [box.channels, box.height, box.width] if box.height * box.width > 1 else [box.channels]
    return [box.name, blocks, "×".join(map(str, sides))]


def _lines(texts: list[str], x: float, y: float) -> Iterator[str]:
    """Lines of text below each other; the first is bold."""
    for i, text in enumerate(texts):
        weight = ' font-weight="bold"' if i == 0 else ""
        yield f'<text x="{x:.1f}" y="{y + i * LINE:.1f}"{weight} fill="{GREY}">{escape(text)}</text>'
