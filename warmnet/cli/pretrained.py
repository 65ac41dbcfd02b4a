"""List the names of pretrained weights: source, top-1, resolution, licence, and which are at hand."""

from __future__ import annotations

import argparse
import json

from ..weights.listing import pretrained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs; with what gets each. Default: a table")
    parser.epilog = "example: warmnet pretrained --json"


def run(arguments: argparse.Namespace) -> None:
    table = pretrained()
    print(json.dumps(table.to_list(), indent=2) if arguments.json else table)
