"""Write weights as another library's: timm, torchvision, lukemelas, keras, or warmnet."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import weights
from ..authoring.source_code import recorded_source_code
from ..errors import InputError
from .arguments import add_force, add_lineage, check_free


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="IN",
        help="a weights file or run folder of any of these, a name such as lite0, or a Hugging Face Hub id",
    )
    parser.add_argument("out", metavar="OUT", help=".safetensors; .pth, torch's; .h5 or .weights.h5, Keras'")
    network = parser.add_argument_group("network")
    add_lineage(network, "IN")
    network.add_argument("--revision", metavar="REV", help="of a Hub id: a branch, a tag or a commit. Default: main")
    output = parser.add_argument_group("output")
    libraries = ", ".join(weights.LIBRARIES)
    output.add_argument(
        "--to", choices=weights.LIBRARIES, default="warmnet", metavar="LIBRARY",
        help=f"whose names and layout OUT has: {libraries}. Default: warmnet",
    )  # fmt: skip
    add_force(output)
    parser.epilog = "example: warmnet convert lite0 lite0.pth --to timm"


def run(arguments: argparse.Namespace) -> None:
    check_free([Path(arguments.out)], arguments.force)
    code = recorded_source_code(arguments.source, arguments.revision)
    if code:
        raise InputError(f"{arguments.source} is of {code}, a network that no other library has.")
    call = weights.convert(
        arguments.source, arguments.out, arguments.to, lineage=arguments.lineage, revision=arguments.revision
    )
    print(f"{arguments.out} is written. It is loaded with\n  {call}")
