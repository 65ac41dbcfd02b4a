"""Figures of matplotlib as PNG."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120


def write(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole at any moment."""
    with replacing(path) as temporary:
        temporary.write_bytes(png(figure))


def png(figure: Figure) -> bytes:
    """A figure as what a PNG file holds."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that no font has is shown as a box
        figure.savefig(file, dpi=DPI)
    return file.getvalue()
