"""Draw what a network sees in a photograph: the most probable classes, and where it sees signs of the first two (Grad-CAM)."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data.errors import ImageError
from ..data.files import check_ending
from ..data.images import read_image
from ..deployment.devices import find_device
from ..errors import InputError
from ..inspection.explaining import explain
from ..terminal import terminal_width
from ..text import one_line, shortened
from .arguments import add_device, add_force, check_free
from .messages import warn
from .networks import add_network_to_follow, check_run, open_model
from .predictions import TOP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network_to_follow(parser)
    parser.add_argument("photo", metavar="PHOTO", help="an image file")
    parser.epilog = "example: warmnet explain lite0 cat.jpg"
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="FILE.png", help="the picture. Default: cat-explained.png of cat.jpg, in this folder")
    add_force(output)
    add_device(parser.add_argument_group("computation"))


def run(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out or f"{Path(arguments.photo).stem}-explained.png")
    check_ending(out, ".png")
    check_free([out], arguments.force)
    check_run(arguments)  # before the photo is read, which may be the network's name
    try:
        photo = read_image(arguments.photo)
        if out.exists() and out.samefile(arguments.photo):
            raise InputError(f"--out {out} is the photo itself. Name another file.")
        network = open_model(arguments).to(find_device(arguments.device))
        explanation = explain(network, photo)
    except ImageError as error:
        warn(error)
        return 1
    explanation.save(out)
    width = terminal_width()
    for name, share in [*explanation.probabilities.items()][:TOP]:
        label = one_line(name)
        print(f"{share:6.1%}  {shortened(label, width - 8) if width else label}")
    print(f"\n  {out}")
    return 0
