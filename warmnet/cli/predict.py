"""Print the most probable classes of images: files, folders, patterns, or names on stdin."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..data.errors import ImageError
from ..data.files import replacing
from ..deployment import Predictor
from ..deployment.devices import find_device
from ..deployment.prediction import computing
from ..deployment.probabilities import by_class, check_can_predict, probabilities
from ..errors import InputError
from ..kernels.memory import keep_memory
from ..networks.classifier import Classifier
from .arguments import add_device, add_force, check_free, whole_number
from .image_files import image_files
from .messages import warn
from .networks import add_network, open_network
from .predictions import TOP, Csv, Json, Table, Writer
from .progress import with_bar

STDOUT = "-"  # for --csv
MOST_THREADS = 8  # that read, by default


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a file, a folder with images anywhere below it, a pattern "
                        "such as 'pets/**/*.jpg', or - for names on stdin")  # fmt: skip
    parser.usage = "%(prog)s RUN IMAGE... [OPTIONS]"
    parser.epilog = "example: warmnet predict lite0 photos --csv photos.csv"
    output = parser.add_argument_group("output")
    output.add_argument(
        "--top", type=whole_number(1), metavar="N", help=f"the N most probable classes. Default: {TOP}; with --json all"
    )
    formats = output.add_mutually_exclusive_group()
    formats.add_argument(
        "--csv", nargs="?", const=STDOUT, metavar="FILE", help="write CSV: a FILE that ends in .csv, or to stdout"
    )
    formats.add_argument("--json", action="store_true", help="write JSON to stdout")
    add_force(output)
    computation = parser.add_argument_group("computation")
    computation.add_argument("--batch-size", type=whole_number(1), default=64, metavar="N", help="default: 64")
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    computation.add_argument(
        "--workers", type=whole_number(0), default=threads, metavar="N", help=f"threads that read images. Default: {threads}"
    )
    add_device(computation)


def run(arguments: argparse.Namespace) -> int:
    _check_csv(arguments)
    network = open_network(arguments)
    check_can_predict(network)
    files = image_files(arguments.images)
    if isinstance(network, Classifier) and find_device(arguments.device) == "cpu":
        keep_memory()
    failed = 0
    with _writer(arguments, files, network) as writer, computing(network, arguments.device) as logits:
        results = probabilities(files, network.preprocessing, logits, arguments.batch_size, arguments.workers)
        lines_are_seen = sys.stdout.isatty() and arguments.csv in (None, STDOUT)
        for file, result in with_bar(zip(files, results), len(files), "predicting", visible=not lines_are_seen):
            if isinstance(result, ImageError):
                warn(result)
                writer.add(file, {}, str(result))
                failed += 1
            else:
                writer.add(file, by_class(result.tolist(), network.classes))
    return 1 if failed else 0


def _check_csv(arguments: argparse.Namespace) -> None:
    """Raise InputError if --csv names no CSV, or one that is there."""
    csv = arguments.csv
    if csv not in (None, STDOUT):
        if not csv.endswith(".csv"):
            raise InputError(f"--csv {csv} does not end in .csv. Name a file that does, or end with --csv to write to stdout.")
        check_free([Path(csv)], arguments.force)


@contextmanager
def _writer(arguments: argparse.Namespace, files: list[str], network: Classifier | Predictor) -> Iterator[Writer]:
    """What writes the predictions, and ends what it wrote."""
    if arguments.json:
        writer = Json(arguments.top)
        yield writer
        writer.end()
    elif arguments.csv is None:
        yield Table(files, arguments.top)
    elif arguments.csv == STDOUT:
        yield Csv(sys.stdout, network.num_classes, arguments.top)
    else:
        with (
            replacing(Path(arguments.csv)) as path,
            open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            yield Csv(file, network.num_classes, arguments.top)
        warn(f"{arguments.csv} is written.")
