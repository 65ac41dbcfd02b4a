"""Types of arguments, and options that several commands share."""

from __future__ import annotations

import argparse
import ast
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..networks.families import NAMES
from ..networks.names import choose_one
from ..weights import LINEAGES


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


def variant_or_model_file(text: str) -> str:
    """The name of a variant, or of a network in a Python file."""
    if text not in NAMES and ".py" not in text:
        message = f"invalid choice: {text!r}. {choose_one(text, NAMES)}, or mymodel.py:Net"
        raise argparse.ArgumentTypeError(message)
    return text


def add_model(parser: argparse._ActionsContainer, purpose: str = "the network that RUN is of, if it is your own") -> None:
    """Add --model, a network of the user's own."""
    parser.add_argument("--model", metavar="FILE.py:CLASS", help=f"{purpose}, such as mymodel.py:Net; the file is run")


def add_lineage(parser: argparse._ActionsContainer, source: str = "RUN") -> None:
    """Add --lineage, of a command that reads weights."""
    parser.add_argument(
        "--lineage", choices=LINEAGES, help=f"whose names and layout {source} has. Default: told from it where it can be"
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add --force, see `check_free`."""
    parser.add_argument("--force", action="store_true", help="write over files that are there")


def check_free(files: Iterable[Path], force: bool) -> None:
    """Raise InputError if one of the files that a command writes is there already, unless they are to be written over."""
    for file in files:
        if file.exists() and not force:
            raise InputError(f"{file} is there already. Name another file, or write over it with --force.")


def add_reading(parser: argparse._ActionsContainer) -> None:
    """Add the options of commands that read images, see `images.read_images`."""
    parser.add_argument("--strict", action="store_true", help="refuse a folder with unreadable images instead of skipping them")
    parser.add_argument(
        "--workers", type=whole_number(0), default=0, metavar="N", help="processes that read images. Default: 0, this one"
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    """Add --device."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: the best there is")
