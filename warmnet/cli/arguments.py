"""Types of arguments, and options that several commands share."""

from __future__ import annotations

import argparse
import ast
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..data.files import check_writable, is_json
from ..deployment.devices import available_devices
from ..errors import InputError
from ..networks.families import NAMES
from ..networks.names import choose_one
from ..spelling import with_choices
from ..weights import LINEAGES

AUGMENTATIONS = "autoaugment", "randaugment", "randaugment-timm"
DEVICES = "auto", "cpu", "cuda", "mps"
Options = argparse._ActionsContainer  # a parser, or a group of its options


def whole_number(least: int, most: int = 10**9) -> Callable[[str], int]:
    """The type of a whole number from `least` to `most`."""

    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def positive(text: str) -> float:
    """A number above 0."""
    number = _number(text)
    if number is None or not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def share(text: str) -> float:
    """A number from 0 to 1."""
    number = _number(text)
    if number is None or not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def share_to_hold_out(text: str) -> float:
    """A number above 0 and below 1."""
    number = _number(text)
    if number is None or not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below 1, such as 0.2")
    return number


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def setting(text: str) -> tuple[str, Any]:
    """The key and the value of KEY=VALUE, which is Python's if it can be, and else text."""
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as mixup=0.2")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def augmentation(text: str) -> str:
    """The name of a policy, or of a file of one."""
    if text not in AUGMENTATIONS and not is_json(text):
        names = choose_one(text, (*AUGMENTATIONS, "policy.json"))
        raise argparse.ArgumentTypeError(f"{text!r} is no policy. {names}")
    return text


def variant(text: str) -> str:
    """The name of a variant of any family."""
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is no variant. {choose_one(text, NAMES)}")
    return text


def variant_or_model_file(text: str) -> str:
    """The name of a variant, or of a network in a Python file."""
    if text not in NAMES and ".py" not in text:
        file = ", and no network of a file, such as mymodel.py:Net"
        raise argparse.ArgumentTypeError(f"{text!r} is no variant{file}. {choose_one(text, NAMES)}")
    return text


def device(text: str) -> str:
    """The name of a device, which may not be there."""
    if text not in DEVICES:
        here = "auto", *available_devices()
        raise argparse.ArgumentTypeError(f"{text!r} is no device. {with_choices('', here)}")
    return text


def add_model(parser: Options, purpose: str = "the network that RUN is of, if it is your own") -> None:
    """Add --model, a network of the user's own."""
    parser.add_argument("--model", metavar="FILE.py:CLASS", help=f"{purpose}, such as mymodel.py:Net; the file is run")


def add_lineage(parser: Options, source: str = "RUN") -> None:
    """Add --lineage, of a command that reads weights."""
    parser.add_argument(
        "--lineage",
        choices=LINEAGES,
        metavar="LIBRARY",
        help=f"whose names and layout {source} has: {', '.join(LINEAGES)}. Default: told from it where it can be",  # fmt: skip
    )


def add_force(parser: Options) -> None:
    """Add --force, see `check_free`."""
    parser.add_argument("--force", action="store_true", help="write over files that are there. Default: refuse to")


def check_free(files: Iterable[Path], force: bool) -> None:
    """Raise InputError if one of the files that a command writes cannot be, or is there and is not to be written over."""
    for file in files:
        check_writable(file)
        if file.exists() and not force:
            raise InputError(f"{file} is there already. Name another file, or write over it with --force.")


def add_device(parser: Options) -> None:
    """Add --device."""
    help = f"{', '.join(DEVICES)}. Default: auto, the best there is"
    parser.add_argument("--device", type=device, default="auto", metavar="DEVICE", help=help)
