"""The images that a command is for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..data import Data


def read_images(arguments: argparse.Namespace, run: Path | None = None) -> Data:
    """The images of FOLDER, of its shards if it is named like them, and without it scikit-learn's digits.

    `run` is the folder of a run that goes on with the images that it began with.
    """
    from .. import data

    if not arguments.folder:
        return data.digits()
    read = data.shards if arguments.folder.endswith(".tar") else data.folder
    return read(arguments.folder, arguments.strict, arguments.workers, run)


def check_outside(out: str, folder: str | None) -> None:
    """Raises InputError if `out`, which a command writes, lies inside of `folder`, among the images."""
    if folder and Path(out).resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(f"{out} is inside of {folder}, among the images. Choose an --out elsewhere.")
