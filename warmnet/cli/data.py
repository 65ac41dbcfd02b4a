"""Report on the images of a folder before training: classes, sizes, copies, and what was left out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..data.files import check_ending
from ..terminal import terminal_width
from .arguments import add_force, check_free
from .images import add_images, check_outside, read_images
from .messages import warn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_images(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="PNG", help="write a picture of a few images of each class there")
    output.add_argument("--json", action="store_true", help="for programs, with all copies by name")
    add_force(output)
    parser.epilog = "example: warmnet data pets --out pets.png"


def run(arguments: argparse.Namespace) -> None:
    from .. import training

    if arguments.out:
        check_ending(Path(arguments.out), ".png")
        check_outside(arguments.out, arguments.folder)
        check_free([Path(arguments.out)], arguments.force)
    data = read_images(arguments)
    report = training.report_data(data)
    print(json.dumps(report.to_dict()) if arguments.json else report.text(terminal_width()))
    if arguments.out:
        training.plot_classes(data, Path(arguments.out))
        warn(f"{arguments.out} is written. Look at it.")
