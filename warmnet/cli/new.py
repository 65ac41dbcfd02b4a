"""Write a model file: the whole network as functions, to be edited and trained with train --model."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ..authoring.model_files import write_model_file
from .arguments import add_force, check_free


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the file to write, such as mymodel.py")
    add_force(parser)


def run(arguments: argparse.Namespace) -> None:
    file = arguments.file
    check_free([Path(file)], arguments.force)
    write_model_file(Path(file))
    print(f"{file} is written. Open it, and after an edit:")
    print(f"  {shlex.join(['python', file])}")
    print(f"  {shlex.join(['warmnet', 'train', '--model', f'{file}:Net'])}")
