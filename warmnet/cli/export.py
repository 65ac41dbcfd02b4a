"""Write weights as a network for an engine: ONNX Runtime, OpenVINO, torch, or AOTInductor's machine code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .. import deployment
from ..authoring.user_networks import load_network
from ..errors import InputError
from .arguments import add_model, add_reading, share
from .images import check_outside, read_images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, a weights file, a name such as lite0 or a Hugging Face Hub id")
    add("out", metavar="OUT", help="the file to write; its ending, such as .onnx, may be left out")
    add("folder", nargs="?", metavar="FOLDER", help="images as for training, to compare on; int8 is calibrated on them. "
        "Default: synthetic images; with int8 the digits")  # fmt: skip
    add("--to", choices=deployment.ENGINES, default="onnx", help="default: onnx")
    add("--precision", choices=deployment.PRECISIONS, default="fp32", help="default: fp32")
    add("--dynamic-size", action="store_true", help="let height and width be free")
    add("--max-top1-drop", type=share, default=0.01, metavar="X", help="of top-1 that bf16 and int8 may lose. Default: 0.01, "
        "one in a hundred")  # fmt: skip
    add_model(parser)
    add_reading(parser)


def run(arguments: argparse.Namespace) -> None:
    check_outside(arguments.out, arguments.folder)
    data = read_images(arguments) if arguments.folder or arguments.precision == "int8" else None
    out = deployment.exported_path(arguments.out, arguments.to)
    _check_free(deployment.exported_files(out, arguments.to))
    model = load_network(arguments.run, arguments.model, arguments.words)
    verification = deployment.export(
        model, out, arguments.to, data=data, precision=arguments.precision, dynamic_size=arguments.dynamic_size,
        max_top1_drop=arguments.max_top1_drop,
    )  # fmt: skip
    print(f"Compared on {verification}\n\n  {out}")


def _check_free(files: Sequence[Path]) -> None:
    """Raise InputError if one of the files that would be written exists."""
    for file in files:
        if file.exists():
            raise InputError(f"{file} is there already, and nothing is written over. Name another file, or remove it.")
