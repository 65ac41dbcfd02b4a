"""A picture of many images with captions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..data.files import replacing
from ..errors import extra
from ..plotting.fonts import font_file
from ..text import cells, one_line, shortened

with extra("train"):
    from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP, LINE, TOP = 16, 18, 60  # pixels: between images, of a caption's line, above the first row


class _Tile(NamedTuple):
    image: Image.Image
    caption: list[str]


def plot_grid(tiles: Sequence[tuple[Image.Image, str]], path: Path, title: str, columns: int | None = None) -> None:
    """A PNG of one or more images with a caption of a few lines below each. Small images are enlarged without smoothing.

    - `columns`: default: about as many as rows.
    """
    columns = min(columns or math.ceil(math.sqrt(len(tiles))), len(tiles))
    side = max(150, min(300, 1200 // columns))
    fitted = [_tile(image, caption, side) for image, caption in tiles]
    rows = [fitted[first : first + columns] for first in range(0, len(fitted), columns)]
    below = [6 + LINE * max(len(tile.caption) for tile in row) + GAP for row in rows]
    title = shortened(one_line(title), 100)
    heading = _font(title, 20)
    width = max(columns * (side + GAP), math.ceil(heading.getlength(title)) + GAP) + GAP
    sheet = Image.new("RGB", (width, TOP + sum(map(_height, rows)) + sum(below)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 18), title, "black", heading)
    y = TOP
    for row, captions in zip(rows, below):
        y += _height(row)
        for column, tile in enumerate(row):
            x = GAP + column * (side + GAP)
            sheet.paste(tile.image, (x + (side - tile.image.width) // 2, y - tile.image.height))
            for number, line in enumerate(tile.caption):
                draw.text((x + side / 2, y + LINE * (number + 1)), line, "#333333", _font(line), "ms")
        y += captions
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG")


def _font(text: str, size: int = 14) -> ImageFont.FreeTypeFont:
    return _opened(font_file(text), size)


@cache
def _opened(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def _tile(image: Image.Image, caption: str, side: int) -> _Tile:
    """The image in a thin frame and the lines of its caption, neither wider than `side`."""
    framed = ImageOps.expand(_sized(image.convert("RGB"), side - 2), 1, "#dddddd")
    return _Tile(framed, [_fitted(line, side) for line in caption.splitlines()])


def _height(row: Sequence[_Tile]) -> int:
    return max(tile.image.height for tile in row)


def _sized(image: Image.Image, side: int) -> Image.Image:
    """An image that fits into a square: pixels enlarged by a whole number, or a large one made smaller."""
    if max(image.size) <= side:
        return ImageOps.scale(image, side // max(image.size), Image.Resampling.NEAREST)
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _fitted(text: str, width: float) -> str:
    """The text in one line, its beginning and end where it is wider than `width` pixels."""
    text = line = shortened(one_line(text), 100)
    font = _font(text)
    while font.getlength(line) > width:
        line = shortened(text, cells(line) - 1)
    return line
