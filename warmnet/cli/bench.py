"""Measure warmnet beside timm, torchvision, lukemelas, Keras and ResNet-50; for a clone, with the peers installed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError

FOLDER = Path(__file__).parents[2] / "benchmarks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All options are the benchmark's own, see `benchmarks/bench.py`."""
    parser.usage = "%(prog)s [OPTIONS]"
    parser.epilog = (
        "example: warmnet bench --rows build. OPTIONS are listed here where the peers are installed, and are in parser() of "
        "benchmarks/bench.py."
    )


def run(arguments: argparse.Namespace) -> int:
    try:
        benchmark = _benchmark()
    except InputError:
        if "-h" in arguments.rest or "--help" in arguments.rest:
            arguments.parser.print_help()  # for the benchmark's own cannot be had
            return 0
        raise
    return benchmark(arguments.rest)


def _benchmark() -> Callable[[list[str]], int]:
    """The benchmark's main. Raises InputError without a clone or without the peers."""
    if not (FOLDER / "bench.py").exists():
        raise InputError(f"bench compares with the peers in a clone of warmnet's repository, and {FOLDER} is not there.")
    sys.path.insert(0, str(FOLDER))
    try:
        from bench import main  # type: ignore[import-not-found]
    except ImportError as error:
        raise InputError(f"bench needs the peers; CONTRIBUTING.md says how to install them. {error}") from error
    return main
