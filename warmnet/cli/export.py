"""Write weights as a network for an engine: ONNX Runtime, OpenVINO, torch, or AOTInductor's machine code."""

from __future__ import annotations

import argparse

from .. import deployment
from ..authoring.user_networks import load_network
from .arguments import add_force, add_lineage, add_model, check_free, share
from .images import add_images, check_outside, print_reading, read_images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, a weights file, a name such as lite0 or a Hugging Face Hub id")
    add("out", metavar="OUT", help="the file to write; its ending, such as .onnx, may be left out")
    add_images(parser, "images as for training, to compare on; int8 is calibrated on them. Default: synthetic "
        "images; with int8 the digits")  # fmt: skip
    add("--to", choices=deployment.ENGINES, default="onnx", help="default: onnx")
    add("--precision", choices=deployment.PRECISIONS, default="fp32", help="default: fp32")
    add("--dynamic-size", action="store_true", help="let height and width be free")
    add("--max-top1-drop", type=share, default=0.01, metavar="X", help="of top-1 that bf16 and int8 may lose. Default: 0.01, "
        "one in a hundred")  # fmt: skip
    add_model(parser)
    add_lineage(parser)
    add_force(parser)


def run(arguments: argparse.Namespace) -> None:
    check_outside(arguments.out, arguments.folder)
    data = read_images(arguments) if arguments.folder or arguments.precision == "int8" else None
    if data:
        print_reading(data)
    out = deployment.exported_path(arguments.out, arguments.to)
    check_free(deployment.exported_files(out, arguments.to), arguments.force)
    model = load_network(arguments.run, arguments.model, arguments.words, arguments.lineage)
    verification = deployment.export(
        model, out, arguments.to, data=data, precision=arguments.precision, dynamic_size=arguments.dynamic_size,
        max_top1_drop=arguments.max_top1_drop,
    )  # fmt: skip
    print(f"Compared on {verification}\n\n  {out}")
