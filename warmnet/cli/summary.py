"""Print a network's layers with their output shapes, strides, parameters, multiply-adds and activations."""

from __future__ import annotations

import argparse
from typing import Any

from ..authoring.user_networks import find_network
from ..errors import InputError
from ..networks.families import NAMES
from ..terminal import terminal_width
from .arguments import variant_or_model_file, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = f"{', '.join(NAMES)}; or a network of your own, mymodel.py:Net"
    parser.add_argument("model", type=variant_or_model_file, metavar="VARIANT", help=names)
    network = parser.add_argument_group("network").add_argument
    network("--resolution", type=whole_number(1, 10_000), metavar="N", help="side of the input. Default: the variant's own")
    network("--num-classes", type=whole_number(0), default=1000, metavar="N", help="0 for no classifier. Default: 1000")
    output = parser.add_argument_group("output").add_argument
    output("--depth", type=_depth, default=2, metavar="N", help="blocks in blocks down to the N-th, or all. Default: 2")
    parser.epilog = "example: warmnet summary b0 --depth all"


def run(arguments: argparse.Namespace) -> None:
    from ..summary import tabulate

    settings: dict[str, Any] = {"num_classes": arguments.num_classes, "device": "meta"}
    if arguments.model in NAMES:
        model = NAMES[arguments.model](arguments.model, **settings)
    else:
        model = find_network(arguments.model)(**settings)
    side = arguments.resolution or model.resolution
    try:
        table = tabulate(model, (1, model.in_channels, side, side))
    except ValueError as error:
        raise InputError(str(error).partition("\n")[0]) from error  # without the lines of code below it
    print(table.text(arguments.depth, terminal_width()))
    deeper = table.deeper_than(arguments.depth)
    if deeper:
        print(f"{deeper:,} rows are deeper: --depth {arguments.depth + 1}, or --depth all")


def _depth(text: str) -> int | None:
    """The type of --depth: None is all."""
    if text == "all":
        return None
    try:
        return whole_number(0, 100)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or all") from None
