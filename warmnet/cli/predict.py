"""Print the class probabilities of images as a table, or with --json as JSON."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..authoring.user_networks import load_network
from ..deployment import Predictor, is_exported, open_exported
from ..errors import InputError
from ..networks.classifier import Classifier
from .arguments import add_lineage, add_model
from .messages import warn

TOP = 5  # classes in a row of the table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder, a weights file, a name such as lite0, or an exported network")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="files of images")
    parser.add_argument("--json", action="store_true", help="all probabilities, for programs")
    parser.add_argument(
        "--trust", action="store_true", help="open RUN though it is machine code (.aoti.pt2), which can do anything"
    )
    add_model(parser)
    add_lineage(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..data import ImageError

    network = _open(arguments)
    results: list[dict[str, Any]] = []
    for file in arguments.images:
        try:
            results.append({"file": file, "probabilities": network.predict(file)})
        except ImageError as error:
            results.append({"file": file, "error": str(error)})
            warn(error)
    predicted = [result for result in results if "error" not in result]
    if arguments.json:
        print(json.dumps(results, indent=2))
    elif predicted:
        print(_table(predicted))
    return 0 if len(predicted) == len(results) else 1


def _open(arguments: argparse.Namespace) -> Classifier | Predictor:
    """The exported network, or the model of a run or of weights."""
    if is_exported(arguments.run):
        if arguments.lineage:
            raise InputError(f"{arguments.run} is an exported network, which has no lineage. Leave out --lineage.")
        return open_exported(arguments.run, trust=arguments.trust)
    return load_network(arguments.run, arguments.model, arguments.words, arguments.lineage)


def _table(results: list[dict[str, Any]]) -> str:
    """A line for each image: its file and its most probable classes with their probabilities, aligned."""
    rows = [_cells(result) for result in results]
    head = ["image"]
    for rank in range(1, len(rows[0]) // 2 + 1):
        head += [f"#{rank}", ""]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    return "\n".join(_line(cells, widths) for cells in (head, *rows))


def _cells(result: dict[str, Any]) -> list[str]:
    """The file, then each of the most probable classes and its probability."""
    most_probable = list(result["probabilities"].items())[:TOP]
    cells = [result["file"]]
    for name, probability in most_probable:
        cells += [name, f"{probability:.1%}"]
    return cells


def _line(cells: list[str], widths: list[int]) -> str:
    """Cells in columns: probabilities, which are every other one, to the right, and names to the left."""
    file, *pairs = [cell.ljust(width) for cell, width in zip(cells, widths)]
    for i in range(1, len(pairs), 2):
        pairs[i] = cells[i + 1].rjust(widths[i + 1])
    return "  ".join([file, *pairs]).rstrip()
