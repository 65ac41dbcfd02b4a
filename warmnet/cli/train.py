"""Train on a folder of class folders of images, or without one on scikit-learn's 1,797 scanned digits."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from ..authoring.user_networks import find_network
from ..errors import InputError
from ..networks.families import find_family
from .config import recorded
from .images import add_images, check_outside, print_reading, read_images
from .messages import warn
from .train_options import (
    add_computation,
    add_network,
    add_recipe,
    check_variant,
    check_weights,
    execution_of,
    recipe_of,
    source_of,
    with_options_of_file,
)
from .train_words import print_end, print_files, print_result, print_start, resolution_reason


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: warmnet train pets --variant lite0 --epochs 20"
    add_images(parser)
    add_network(parser)
    add_recipe(parser)
    add_computation(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="RUN", help="the run folder to make. Default: runs/NAME-1, -2, ...")
    output.add_argument("--resume", action="store_true", help="go on with the run in --out, by its own options: from where it "
                        "was saved last, or once it is finished to more --epochs")  # fmt: skip
    output.add_argument("--preview", action="store_true", help="write preview.png, or --out: images as they are trained on")
    output.add_argument("--config", metavar="FILE", help="take the options of a run's run.json, or of a JSON file of your own; "
                        "those that are given here go before")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    from .. import training

    arguments = with_options_of_file(arguments, _options_file(arguments))
    check_variant(arguments)
    _check_out(arguments)
    network = find_network(arguments.model) if arguments.model else find_family(arguments.variant)
    source = source_of(arguments, network)
    check_weights(arguments, source)
    recipe, execution = recipe_of(arguments), execution_of(arguments)
    going_on = Path(arguments.out) if arguments.resume else None
    tried, note = training.check_run(
        recipe, execution, network=network, variant=arguments.variant, source=source, seed=arguments.seed, resume=going_on
    )
    execution.fabric()  # the processes of a run find each other, so that they share the reading
    data = read_images(arguments, run=going_on)
    speaks = int(os.environ.get("RANK", 0)) == 0  # one of the processes of a run for all
    if speaks:
        print_reading(data)
    sized = recipe.sized_for(source or tried, data, from_weights=source is not None)
    reason = "" if recipe.resolution else resolution_reason(data, source)
    if arguments.preview:
        path = training.preview(data, sized, arguments.seed, arguments.out or "preview.png")
        print(f"{path} is written, of images at {sized.resolution}x{sized.resolution}{reason}. Look at it.")
        return
    folder = Path(arguments.out) if arguments.out else training.new_folder(data.name)
    if speaks:
        print_start(arguments, data, sized, tried, reason, note)
    start, saved_before = time.perf_counter(), training.saved_step(folder)
    try:
        result = training.fit(
            data, recipe, folder, variant=arguments.variant, source=source, seed=arguments.seed, execution=execution,
            resume=arguments.resume, network=type(tried), options=recorded(arguments),
        )  # fmt: skip
    except BaseException as error:
        if speaks:
            print_end(folder, arguments, error, saved_before)
        raise
    if speaks:
        print_result(result, recipe, time.perf_counter() - start)
        print_files(data, folder, type(tried))


def _options_file(arguments: argparse.Namespace) -> Path | None:
    """The file of --config, or of the run to go on with."""
    from ..training import RECORD

    if arguments.config:
        file = Path(arguments.config)
        return file / RECORD if file.is_dir() else file
    file = Path(arguments.out or "", RECORD)
    return file if arguments.resume and arguments.out and file.exists() else None


def _check_out(arguments: argparse.Namespace) -> None:
    """Raises InputError for a run folder or a preview that cannot be, now and not when all images have been read."""
    from .. import training

    if arguments.preview:
        training.check_preview(Path(arguments.out or "preview.png"))
        return
    if not arguments.out and (arguments.resume or "RANK" in os.environ):
        raise InputError("Name the run folder with --out RUN: it is to be there already, or the same for all processes.")
    if arguments.resume:
        training.read_checkpoint(Path(arguments.out), lazily=True)
        if not Path(arguments.out, training.RECORD).exists():
            warn(
                f"{arguments.out} has no {training.RECORD}, so that it goes on by the options that are given here, all of them."
            )
    elif arguments.out:
        training.check_free(Path(arguments.out))
    training.check_can_be_written(Path(arguments.out or "runs"))
    check_outside(arguments.out or "runs", arguments.folder)
