"""What `warmnet train` says of a run: at its start, at its end, and if it ends early."""

from __future__ import annotations

import argparse
import os
import shlex
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..authoring.source_code import find_source_code
from ..errors import InputError
from ..networks.classifier import Classifier
from .messages import is_out_of_memory, model_file_traceback, warn

if TYPE_CHECKING:
    from ..data import Data
    from ..training import Recipe, Run


def print_start(
    arguments: argparse.Namespace, data: Data, recipe: Recipe, tried: Classifier, reason: str, note: str
) -> None:  # fmt: skip
    """Say what is trained on what, and how.

    - `reason`: of the resolution, if nobody chose it. `note`: on the run that goes on.
    """
    from ..data.copies import held_out_copies
    from ..training import count_learning, plain
    from ..training.freezing import ALL

    copies = held_out_copies(data)
    if copies:
        warn(
            f"held-out images that are exact copies of images to train on: {len(copies):,}. Accuracy will look better than it "
            f"is. `warmnet data`, of the same folder, names them."
        )
    if note:
        warn(note)
    if recipe.found.get("resolution") not in (None, recipe.resolution):
        side = recipe.found["resolution"]
        warn(f"The policy was found at {side}x{side}: --config of the search's search.json trains with all its options.")
    if arguments.config and arguments.recipe_settings == plain(asdict(recipe)):
        _warn_of_other_computation(arguments)
    counts = f"{len(data.train):,} images to train on, {len(data.held_out):,} held out, {len(data.classes)} classes"
    names = [arguments.model, tried.variant_name] if arguments.model else [tried.variant_name]
    start = f"from {arguments.weights}" if arguments.weights else "from scratch"
    side = recipe.resolution
    print(f"{' '.join(filter(None, names))} {start} on {data.name}: {counts}, {side}x{side}{reason}.")
    print(recipe)
    if recipe.freeze:
        frozen = "All but the classifier is frozen" if recipe.freeze == ALL else f"Frozen up to {recipe.freeze}"
        print(f"{frozen}: {count_learning(tried, recipe.freeze, len(data.classes))}.")
    print()


def _warn_of_other_computation(arguments: argparse.Namespace) -> None:
    """Say what keeps a run that is repeated from ending with the very weights."""
    from ..training import count_processes_and_threads

    facts = arguments.facts
    if facts.get("extended"):
        epochs = " and ".join(map(str, facts["extended"]))
        warn(f"The run of {arguments.config} was made longer after {epochs} epochs: this one ends with other weights.")
    for name, now in count_processes_and_threads().items():
        if facts.get(name) not in (None, now):
            warn(f"The run of {arguments.config} had {facts[name]} {name}, and this one has {now}: its weights will differ.")


def resolution_reason(data: Data, source: Classifier | None) -> str:
    """Why the images are trained on at the side that the rule in training/resolution.py chose."""
    reason = "as the weights" if source else f"the median short side is {data.median_short_side:.0f}"
    return f" ({reason}; another: --resolution N)"


def print_result(result: Run, recipe: Recipe, seconds: float) -> None:
    correct, total = int(result.confusion.trace()), int(result.confusion.sum())
    kept = f" (the best epoch, {result.kept}, is kept: patience {recipe.patience})" if recipe.patience else ""
    print(f"\nHeld out: {correct:,} of {total:,} right, {correct / total:.1%}, in {seconds:.0f} s{kept}.\n")


def print_files(data: Data, folder: Path, network: type[Classifier]) -> None:
    """Write samples into the run folder, list what is in it, and say how to predict with it."""
    from .. import training

    sample = training.write_samples(data, folder)
    for path in sorted(folder.iterdir()):
        print(f"  {path}{os.sep if path.is_dir() else ''}")
    command = ["warmnet", "predict", str(folder), str(sample)]
    code = find_source_code(network)
    if code:
        command += ["--model", str(folder / code.name)]  # the file as it was when the run began, which the run keeps
    print(f"\nNext:\n  {shlex.join(command)}")


def print_end(folder: Path, arguments: argparse.Namespace, error: BaseException, saved_before: int) -> None:
    """Say how a run that ended early goes on, if it does; or remove its folder, if nothing is in it."""
    from ..training import CHECKPOINT, saved_step

    if (folder / CHECKPOINT).exists():
        if can_go_on(error, arguments, saved_step(folder) > saved_before):
            warn(
                f"{folder} holds the run as far as it came. It goes on with: {shlex.join(_resuming(folder, arguments, error))}"
            )
    elif folder.exists() and not any(folder.iterdir()):
        with suppress(OSError):
            folder.rmdir()


def can_go_on(error: BaseException, arguments: argparse.Namespace, has_come_farther: bool) -> bool:
    """Whether it helps to go on: not after a mistake in the command or the model file, nor if it failed where it began."""
    from ..data import ImageError, WorkerError

    if isinstance(error, InputError):
        return isinstance(error, (ImageError, WorkerError))
    if not isinstance(error, Exception) or isinstance(error, OSError) or is_out_of_memory(error):
        return True
    return has_come_farther and not model_file_traceback(error, arguments)


def _resuming(folder: Path, arguments: argparse.Namespace, error: BaseException) -> list[str]:
    """The command that goes on with a run, whose options are in its run.json; after an error of memory with less of it."""
    from ..data import WorkerError

    words = ["warmnet", "train", "--resume", "--out", str(folder)]
    if arguments.model:
        words += ["--model", arguments.model]  # code runs only if it is named
    if isinstance(error, WorkerError):
        words += ["--workers", str(arguments.workers // 2)]
    elif isinstance(error, Exception) and is_out_of_memory(error):
        words += ["--accumulate", str(2 * arguments.accumulate)]
    return words
