"""Write a model file: the whole network as functions, to be edited and trained with train --model."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ..authoring.model_files import write_model_file
from ..networks.families import NAMES
from .arguments import add_force, check_free, variant


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the file to write, such as mymodel.py")
    network = parser.add_argument_group("network")
    network.add_argument("--network", type=variant, default="b0", metavar="NAME", help=f"{', '.join(NAMES)}. Default: b0")
    add_force(parser.add_argument_group("output"))
    parser.epilog = "example: warmnet new mymodel.py --network lite0"


def run(arguments: argparse.Namespace) -> None:
    file = arguments.file
    check_free([Path(file)], arguments.force)
    write_model_file(Path(file), arguments.network)
    print(f"{file} is written. Open it, and after an edit:")
    print(f"  {shlex.join(['python', file])}")
    print(f"  {shlex.join(['warmnet', 'train', '--model', f'{file}:Net'])}")
