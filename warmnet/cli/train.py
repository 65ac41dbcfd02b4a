"""Train on a folder of class folders of images, or without one on scikit-learn's 1,797 scanned digits."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..authoring.source_code import find_source_code
from ..authoring.user_networks import find_network, load_network
from ..errors import InputError
from ..networks.classifier import Classifier
from ..networks.families import NAMES, find_family
from ..networks.names import choose_one
from ..weights.identification import identify
from ..weights.reading import read
from .arguments import add_device, add_lineage, add_model, add_reading, positive, setting, whole_number
from .images import check_outside, read_images
from .messages import model_file_traceback, warn

if TYPE_CHECKING:
    from ..data import Data
    from ..training import Recipe, Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", nargs="?", metavar="FOLDER", help="FOLDER/cat/1.jpg, FOLDER/dog/1.jpg, ...; or the same below FOLDER/train "
        "and FOLDER/val; or train-{000..009}.tar. Without val a fifth is held out")  # fmt: skip
    add("--out", metavar="RUN", help="the run folder to make. Default: runs/NAME-1, -2, ...")
    add(
        "--variant",
        metavar="VARIANT",
        help=f"{', '.join(NAMES)}, or one of your own network's. Default: b0, or your network's",
    )
    add_model(parser, "train a network of your own, which `warmnet new mymodel.py` writes")
    add(
        "--weights",
        metavar="SOURCE",
        help="start from these: a file, a run folder, a name such as lite0, a Hugging Face Hub id",
    )
    add_lineage(parser, "SOURCE")
    recipes = "small", "paper", "timm-b0", "sgd", "finetune"
    add("--recipe", choices=recipes, help="default: small, or with --weights finetune")
    add("--epochs", type=whole_number(1), metavar="N", help="passes over the images")
    add("--resolution", type=whole_number(1, 10_000), metavar="N", help="side of the images as the network sees them")
    add("--batch-size", type=whole_number(2), metavar="N", help="images in a step, of all processes together")
    add("--lr", type=positive, metavar="X", help="peak learning rate")
    augmentations = "autoaugment", "randaugment", "randaugment-timm"
    add("--augment", choices=augmentations, help="change colours and shapes at random")
    add("--patience", type=whole_number(1), metavar="N", help="stop after N epochs without a lower held-out loss")
    add("--set", action="append", type=setting, default=[], metavar="KEY=VALUE", help="any other setting of the recipe: "
        "mixup=0.2, ema=paper, network={'dropout': 0.5}")  # fmt: skip
    add("--seed", type=whole_number(0), default=0, metavar="N", help="same seed, same weights. Default: 0")
    add("--resume", action="store_true", help="go on with the run in --out, from where it was saved last")
    add("--preview", action="store_true", help="write preview.png, or --out: images as they are trained on")
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="default: fp32")
    add("--accumulate", type=whole_number(1), default=1, metavar="N", help="compute a step in N parts: less memory")
    checkpointing = "compute activations again going back: less memory, slower"
    add("--activation-checkpointing", action="store_true", help=checkpointing)
    add("--compile", action="store_true", help="by torch.compile; the first steps take minutes")
    add_reading(parser)
    add_device(parser)


def run(arguments: argparse.Namespace) -> None:
    from .. import training

    _check_variant(arguments)
    _check_out(arguments)
    network = find_network(arguments.model) if arguments.model else find_family(arguments.variant)
    source = _source(arguments, network)
    network = type(source) if source else network
    recipe = _recipe(arguments)
    execution = training.Execution(
        device=arguments.device, workers=arguments.workers, precision=arguments.precision, accumulate=arguments.accumulate,
        checkpointing=arguments.activation_checkpointing, compile=arguments.compile,
    )  # fmt: skip
    execution.fabric()  # the processes of a run find each other, so that they share the reading
    data = read_images(arguments, run=Path(arguments.out) if arguments.resume else None)
    model = source or _empty_network(network, arguments.variant)
    sized = recipe.sized_for(model, data, from_weights=source is not None)
    if arguments.preview:
        path = training.preview(data, sized, arguments.seed, arguments.out or "preview.png")
        print(f"{path} is written. Look at it.")
        return
    folder = Path(arguments.out) if arguments.out else training.new_folder(data.name)
    if _is_first_process():
        reason = "" if recipe.resolution else _reason(data, source)
        _print_start(arguments, data, sized, source, reason)
    start = time.perf_counter()
    try:
        result = training.fit(
            data, recipe, folder, variant=arguments.variant, source=source, seed=arguments.seed, execution=execution,
            resume=arguments.resume, network=network,
        )  # fmt: skip
    except BaseException as error:
        if _is_first_process():
            _leave(folder, arguments, error)
        raise
    if _is_first_process():
        _print_result(result, recipe, time.perf_counter() - start)
        _print_files(data, folder, network)


def _is_first_process() -> bool:
    """Whether this is the process of a run that speaks for all."""
    return int(os.environ.get("RANK", 0)) == 0


def _check_variant(arguments: argparse.Namespace) -> None:
    """Ends with the usage for a variant that there is not; a network of the user's own knows its own variants."""
    if arguments.variant and not arguments.model and arguments.variant not in NAMES:
        names = choose_one(arguments.variant, NAMES)
        arguments.parser.error(f"argument --variant: invalid choice: {arguments.variant!r}. {names}")


def _check_out(arguments: argparse.Namespace) -> None:
    """Raises InputError for a run folder that cannot be, now and not when all images have been read."""
    from .. import training

    if arguments.out and not arguments.resume and not arguments.preview:
        training.check_free(Path(arguments.out))
    if not arguments.out and (arguments.resume or "RANK" in os.environ):
        raise InputError("Name the run folder with --out RUN: it is to be there already, or the same for all processes.")
    check_outside(arguments.out or "runs", arguments.folder)


def _source(arguments: argparse.Namespace, network: type[Classifier]) -> Classifier | None:
    """The model whose weights to start from; in a network of the user's own those that fit."""
    if not arguments.weights:
        if arguments.lineage:
            raise InputError("--lineage says whose names weights have, and there are none. Name them with --weights.")
        return None
    variant = network.variants.get(arguments.variant, arguments.variant)
    if variant and identify(read(arguments.weights), arguments.lineage).description.variant != variant:
        raise InputError(f"{arguments.weights} holds weights of another variant than {arguments.variant}. Leave out --variant.")
    if arguments.model:
        return network.from_pretrained(arguments.weights, strict=False, lineage=arguments.lineage)
    return load_network(arguments.weights, None, arguments.words, arguments.lineage)


def _empty_network(network: type[Classifier], variant: str | None) -> Classifier:
    """A network without weights, to know what it is for."""
    settings: dict[str, Any] = {"device": "meta"}
    if variant:
        settings["variant"] = variant
    return network(**settings)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe that is named, with the settings that are given: options that are called like one of its fields, and --set."""
    from .. import training

    name = arguments.recipe or ("finetune" if arguments.weights else "small")
    if name == "finetune" and not arguments.weights:
        raise InputError("The recipe finetune keeps the statistics of weights that are there. Name them with --weights.")
    recipe = training.DIGITS if name == "small" and not arguments.folder else training.RECIPES[name]
    names = {field.name for field in fields(recipe)}
    given = {key: value for key, value in vars(arguments).items() if key in names and value is not None}
    return recipe.with_settings(given | dict(arguments.set))


def _print_start(arguments: argparse.Namespace, data: Data, recipe: Recipe, source: Classifier | None, reason: str) -> None:
    """Say what is trained on what, how, and which files were left out."""
    for message in data.skipped:
        warn(message)
    if data.skipped:
        warn(f"unreadable images, skipped: {len(data.skipped)}. With --strict they are refused.")
    if data.ignored:
        warn(f"files not named like images, ignored: {data.ignored}.")
    counts = f"{len(data.train):,} images to train on, {len(data.held_out):,} held out, {len(data.classes)} classes"
    variant = source.variant_name if source else arguments.variant
    names = [arguments.model, variant] if arguments.model else [variant or "b0"]
    start = f"from {arguments.weights}" if source else "from scratch"
    side = recipe.resolution
    print(f"{' '.join(filter(None, names))} {start} on {data.name}: {counts}, {side}x{side}{reason}.")
    print(f"{recipe}\n")


def _reason(data: Data, source: Classifier | None) -> str:
    """Why the images have the side that they have, if nobody chose it."""
    reason = "as the weights" if source else f"the median short side is {data.median_short_side:.0f}"
    return f" ({reason}; another: --resolution N)"


def _print_result(result: Run, recipe: Recipe, seconds: float) -> None:
    correct, total = int(result.confusion.trace()), int(result.confusion.sum())
    kept = f" (the best epoch, {result.best}, is kept: patience {recipe.patience})" if recipe.patience else ""
    print(f"\nHeld out: {correct:,} of {total:,} right, {correct / total:.1%}, in {seconds:.0f} s{kept}.\n")


def _print_files(data: Data, folder: Path, network: type[Classifier]) -> None:
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


def _leave(folder: Path, arguments: argparse.Namespace, error: BaseException) -> None:
    """Say how a run that ended early goes on; or remove its folder, if nothing is in it."""
    from ..training import CHECKPOINT

    if (folder / CHECKPOINT).exists():
        if not _fails_again(error, arguments):
            words = [word for word in arguments.words if word != "--resume"]
            if not arguments.out:
                words += ["--out", str(folder)]
            warn(f"{folder} holds the run as far as it came. It goes on with: {shlex.join(['warmnet', *words, '--resume'])}")
    elif folder.exists() and not any(folder.iterdir()):
        with suppress(OSError):
            folder.rmdir()


def _fails_again(error: BaseException, arguments: argparse.Namespace) -> bool:
    """Whether the same command would end with the same error: a mistake in it or in the model file, but not in an image."""
    from ..data import ImageError

    if isinstance(error, InputError):
        return not isinstance(error, ImageError)
    return bool(model_file_traceback(error, arguments))
