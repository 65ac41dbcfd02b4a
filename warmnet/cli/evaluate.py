"""Evaluate weights, or an exported network, on a folder of class folders of images, but for those that it was trained on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..networks.classifier import Classifier
from .arguments import add_device, add_force, check_free, whole_number
from .images import add_images, check_outside, print_reading, read_images
from .messages import warn
from .networks import add_network, open_network

if TYPE_CHECKING:
    from ..data import Data, Sample
    from ..deployment import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    add_images(parser, "as for training: its val is evaluated, or else all of it. Default: the digits")
    parser.add_argument("--all", action="store_true", help="evaluate what FOLDER has beside its val, too")
    parser.epilog = "example: warmnet evaluate runs/pets-1 pets --out report"
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="DIR", help="write evaluation.json, per-class.csv and pictures there")
    output.add_argument("--json", action="store_true", help="write JSON to stdout, for programs")
    add_force(output)
    computation = parser.add_argument_group("computation")
    computation.add_argument("--batch-size", type=whole_number(1), default=64, metavar="N", help="default: 64")
    add_device(computation)


def run(arguments: argparse.Namespace) -> None:
    from .. import training

    if arguments.out:
        check_outside(arguments.out, arguments.folder)
        check_free(training.report_files(Path(arguments.out)), arguments.force)
    model = open_network(arguments)
    if not arguments.folder:
        _check_digits(arguments.run, model)
    data = read_images(arguments, share=0)
    evaluation = training.evaluate(
        model,
        _samples(arguments, data), data.classes, batch_size=arguments.batch_size, workers=arguments.workers,
        device=arguments.device, strict=arguments.strict,
    )  # fmt: skip
    print_reading(data)
    for message in evaluation.skipped:
        warn(message)
    print(json.dumps(evaluation.to_dict()) if arguments.json else evaluation)
    if arguments.out:
        for path in training.report(evaluation, Path(arguments.out)):
            warn(f"{path} is written.")


def _check_digits(run: str, model: Classifier | Predictor) -> None:
    """Raise InputError unless a network says digits, on which it is evaluated without a FOLDER; say that it is."""
    digits = [str(digit) for digit in range(10)]
    if list(model.classes) != digits and (model.classes or model.num_classes not in (None, len(digits))):
        raise InputError(
            f"{run} says other classes than digits, which are all that is at hand. Give a FOLDER of class folders of images: "
            f"warmnet evaluate {run} FOLDER"
        )
    warn("without a FOLDER it is evaluated on scikit-learn's scanned digits, those held out.")


def _samples(arguments: argparse.Namespace, data: Data) -> list[Sample]:
    """The images to evaluate, without those that the run trained on, which are said."""
    from ..data.split_csv import has_split
    from ..training import trained_on

    run = Path(arguments.run)
    samples = [*data.train, *data.held_out] if arguments.all or not data.held_out else data.held_out
    if run.exists() and not has_split(run):
        warn(f"nothing says what {run} was trained on: if these images are among it, the figures are too good.")
    seen = trained_on(run, data, samples)
    if seen and len(seen) == len(samples):
        raise InputError(f"{arguments.run} was trained on all of these images. Evaluate it on others, which it has not seen.")
    if seen:
        file = data.facts_of(seen[0].image).file
        example = f", such as {file}" if file else ""
        warn(f"{len(seen):,} of these images were trained on{example}: they are left out.")
    left_out = {id(sample) for sample in seen}
    return [sample for sample in samples if id(sample) not in left_out]
