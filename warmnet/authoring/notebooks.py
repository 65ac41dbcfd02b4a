"""The notebooks as the user's own copies, and Jupyter to work in them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from ..errors import InputError, MissingExtra

PACKAGE = Path(__file__).parents[1]
JUPYTERS = "jupyterlab", "notebook"  # the first that is installed


def notebooks() -> list[Path]:
    """warmnet's notebooks, in their order: of an installed package in it, of a clone beside it."""
    return sorted(next(found for parent in (PACKAGE, PACKAGE.parent) if (found := [*parent.glob("notebooks/*.ipynb")])))


def copy(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the notebooks; those that are new in `folder`, and those that are there otherwise, which are left as they are."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file. Name a folder for the notebooks.")
    folder.mkdir(parents=True, exist_ok=True)
    new, left = [], []
    for notebook in notebooks():
        mine, content = folder / notebook.name, notebook.read_bytes()
        if not mine.exists():
            mine.write_bytes(content)
            new.append(mine)
        elif mine.read_bytes() != content:
            left.append(mine)
    return new, left


def start(folder: Path, options: Sequence[str] = ()) -> NoReturn:
    """Be Jupyter in that folder from now on, with its own options. Raises MissingExtra if it is not installed."""
    jupyter = next((name for name in JUPYTERS if (spec := find_spec(name)) and spec.origin), None)
    if jupyter is None:
        raise MissingExtra(
            f"The notebooks are in {folder}, and Jupyter is missing. Install it: pip install 'warmnet[notebook]'"
        )
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", jupyter, *options])
