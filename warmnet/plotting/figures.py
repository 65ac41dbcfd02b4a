"""Figures of matplotlib as PNG files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..data.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120


def write(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole at any moment."""
    with replacing(path) as temporary:
        save(figure, temporary)


def save(figure: Figure, file: Path | BinaryIO) -> None:
    """Write a figure as a PNG into a file, which may be open."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that no font has is shown as a box
        figure.savefig(file, format="png", dpi=DPI)
