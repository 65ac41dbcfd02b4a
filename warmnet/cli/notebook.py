"""Copy warmnet's notebooks to a folder of yours and start Jupyter there; what follows -- is for Jupyter."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..authoring.notebooks import copy_notebooks, start_jupyter
from .messages import warn
from .parser import Parser


def add_arguments(parser: Parser) -> None:
    parser.usage = "%(prog)s [FOLDER] [OPTIONS] [-- OF JUPYTER]"
    parser.add_argument("folder", nargs="?", default="warmnet-notebooks", metavar="FOLDER", help="default: warmnet-notebooks")
    parser.add_argument("--copy-only", action="store_true", help="do not start Jupyter. Default: start it")
    parser.hint = " Jupyter's options follow two dashes: warmnet notebook -- --port 8889."
    parser.epilog = "example: warmnet notebook -- --port 8889"


def run(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.folder)
    written, kept = copy_notebooks(folder)
    print(f"{folder} has the notebooks: {len(written)} new.", flush=True)
    if kept:
        warn(f"not as warmnet has them, and left as they are: {', '.join(path.name for path in kept)}.")
    if not arguments.copy_only:
        start_jupyter(folder, arguments.rest)
