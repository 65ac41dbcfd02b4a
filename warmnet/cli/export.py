"""Write weights as a network for an engine: ONNX Runtime, OpenVINO, torch, or AOTInductor's machine code."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .. import deployment
from ..authoring.user_networks import load_network
from ..errors import InputError
from .arguments import add_force, add_lineage, add_model, check_free, share
from .images import add_images, check_outside, print_reading, read_images

if TYPE_CHECKING:
    from ..data import Data
    from ..networks.classifier import Classifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, a weights file, a name such as lite0 or a Hugging Face Hub id")
    add("out", metavar="OUT", help="the file to write; its ending, such as .onnx, may be left out")
    add_images(parser, "images as for training, to compare on; int8 is calibrated on them. Default: synthetic images")
    network = parser.add_argument_group("network")
    add_model(network)
    add_lineage(network)
    output = parser.add_argument_group("output").add_argument
    output("--to", choices=deployment.ENGINES, help="default: the engine of OUT's ending, or onnx")
    output("--precision", choices=deployment.PRECISIONS, default="fp32", help="default: fp32")
    output("--dynamic-size", action="store_true", help="let height and width be free. Default: as the weights' images are")
    output("--max-top1-drop", type=share, default=0.01, metavar="X", help="of top-1 on FOLDER's held-out images that "
           "bf16 and int8 may lose. Default: 0.01, one in a hundred")  # fmt: skip
    add_force(parser)
    parser.epilog = "example: warmnet export runs/pets-1 pets.onnx"


def run(arguments: argparse.Namespace) -> None:
    check_outside(arguments.out, arguments.folder)
    to = deployment.engine_for(arguments.out, arguments.to)
    out = deployment.exported_path(arguments.out, to)
    check_free(deployment.exported_files(out, to), arguments.force)
    deployment.check_precision(to, arguments.precision)
    data = read_images(arguments) if arguments.folder else None
    if data:
        print_reading(data)
    model = load_network(arguments.run, arguments.model, arguments.words, arguments.lineage)
    if arguments.precision == "int8" and not arguments.folder:
        data = _digits_for(model, arguments)
    verification = deployment.export(
        model, out, to, data=data, precision=arguments.precision, dynamic_size=arguments.dynamic_size,
        max_top1_drop=arguments.max_top1_drop,
    )  # fmt: skip
    print(f"Compared on {verification}\n\n  {out}")


def _digits_for(model: Classifier, arguments: argparse.Namespace) -> Data:
    """scikit-learn's digits, for a network that was trained on them. Raises InputError for any other."""
    from ..data import digits

    data = digits()
    if model.classes != data.classes:
        raise InputError(
            f"int8 is calibrated on images, and measured on their labels. Name a folder of images of the classes that "
            f"{arguments.run} was trained on, after {arguments.out}."
        )
    return data
