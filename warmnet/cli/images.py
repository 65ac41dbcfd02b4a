"""The images that a command is for: its arguments, the reading, and what there is to say of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import share_to_hold_out, whole_number
from .messages import warn

if TYPE_CHECKING:
    from ..data import Data

FOLDER = (
    "FOLDER/cat/1.jpg, FOLDER/dog/1.jpg, ...; or the same below FOLDER/train and FOLDER/val (or valid, test, ...); "
    "or shards, 'train-{000..009}.tar'"
)


def add_images(parser: argparse.ArgumentParser, help: str = f"{FOLDER}. Default: the digits") -> None:
    """Add FOLDER and the options of commands that read images, see `read_images`."""
    add = parser.add_argument_group("images").add_argument
    add("folder", nargs="?", metavar="FOLDER", help=help)
    add("--val", metavar="FOLDER", help="hold these out: a folder of the same class folders")
    add(
        "--val-share",
        type=share_to_hold_out,
        metavar="X",
        help="without a val, hold out this share of each class. Default: 0.2",
    )
    add("--labels", metavar="FILE.csv", help="classes of the files in FOLDER: columns file and label, and perhaps split")
    add("--strict", action="store_true", help="refuse unreadable images instead of leaving them out")
    add("--workers", type=whole_number(0), default=0, metavar="N", help="processes that read images. Default: 0, this one")


def read_images(arguments: argparse.Namespace, run: Path | None = None, share: float | None = None) -> Data:
    """The images of FOLDER, of its shards if it is named like them, and without it scikit-learn's digits.

    - `run`: the folder of a run that goes on with the images that it began with.
    - `share`: what is held out of each class without a val and --val-share.
    """
    from .. import data

    folder, val_share = arguments.folder, share if arguments.val_share is None else arguments.val_share
    options = {"val_share": val_share, "strict": arguments.strict, "workers": arguments.workers, "run": run}
    of_folders = {name: getattr(arguments, name) for name in ("val", "labels") if getattr(arguments, name) is not None}
    if folder is None:
        if of_folders or arguments.val_share:
            raise InputError("--val, --val-share and --labels are for the images of a FOLDER. Name it.")
        return data.digits()
    if not folder.endswith(".tar"):
        return data.folder(folder, **of_folders, **options)
    if of_folders:
        raise InputError(
            f"--{' and --'.join(of_folders)} is for folders. Of shards those are held out that have val in their names: "
            f"'{{train,val}}-*.tar'."
        )
    return data.shards(folder, **options)


def print_reading(data: Data) -> None:
    """Say on stderr how the images were read, and what was left out of them."""
    from ..data.walk import left_out_text

    for message in (*data.notes, *data.skipped):
        warn(message)
    if data.skipped:
        warn(f"images that cannot be used, left out: {len(data.skipped)}. With --strict they are refused.")
    if data.left_out:
        warn(f"left out: {left_out_text(data.left_out)}.")


def check_outside(out: str, folder: str | None) -> None:
    """Raises InputError if `out`, which a command writes, lies inside of `folder`, among the images."""
    if folder and Path(out).resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(f"{out} is inside of {folder}, among the images. Choose an --out elsewhere.")
