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


def notebook_files() -> list[Path]:
    """warmnet's notebooks, in their order: inside an installed package, beside it in a clone."""
    inside = sorted(PACKAGE.glob("notebooks/*.ipynb"))
    return inside or sorted(PACKAGE.parent.glob("notebooks/*.ipynb"))


def copy_notebooks(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the notebooks that `folder` lacks: the copies, and the files there that differ from warmnet's, which are kept."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file. Name a folder for the notebooks.")
    folder.mkdir(parents=True, exist_ok=True)
    written, kept = [], []
    for notebook in notebook_files():
        copy, content = folder / notebook.name, notebook.read_bytes()
        if not copy.exists():
            copy.write_bytes(content)
            written.append(copy)
        elif copy.read_bytes() != content:
            kept.append(copy)
    return written, kept


def start_jupyter(folder: Path, options: Sequence[str] = ()) -> NoReturn:
    """Become Jupyter, with its own options, in that folder. Raises MissingExtra if Jupyter is not installed."""
    installed = [name for name in JUPYTERS if _is_installed(name)]
    if not installed:
        raise MissingExtra(
            f"The notebooks are in {folder}, and Jupyter is missing. Install it: pip install 'warmnet[notebook]'"
        )
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", installed[0], *options])


def _is_installed(name: str) -> bool:
    """Whether a module can be run; a mere folder of that name, a namespace package, cannot."""
    spec = find_spec(name)
    return spec is not None and spec.origin is not None
