"""Train on a folder of class folders of images, or without one on scikit-learn's 1,797 scanned digits."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..authoring.user_networks import find_network, load_network
from ..errors import InputError
from ..networks.classifier import Classifier
from ..networks.families import NAMES, find_family
from ..networks.names import choose_one
from ..weights.identification import identify
from ..weights.reading import read
from .arguments import add_device, add_lineage, add_model, positive, setting, whole_number
from .config import add_config, recorded
from .images import add_images, check_outside, print_reading, read_images
from .train_words import print_end, print_files, print_result, print_start, resolution_reason

if TYPE_CHECKING:
    from ..training import Execution, Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: warmnet train pets --variant lite0 --epochs 20"
    add_images(parser)
    _add_network(parser)
    _add_recipe(parser)
    _add_computation(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="RUN", help="the run folder to make. Default: runs/NAME-1, -2, ...")
    output.add_argument("--resume", action="store_true", help="go on with the run in --out, by its own options: from where it "
                        "was saved last, or once it is finished to more --epochs")  # fmt: skip
    output.add_argument("--preview", action="store_true", help="write preview.png, or --out: images as they are trained on")
    output.add_argument("--config", metavar="FILE", help="take the options of a run's run.json, or of a JSON file of your own; "
                        "those that are given here go before")  # fmt: skip


def _add_network(parser: argparse.ArgumentParser) -> None:
    network = parser.add_argument_group("network")
    names = f"{', '.join(NAMES)}, or one of your own network's. Default: b0, or your network's"
    network.add_argument("--variant", metavar="VARIANT", help=names)
    add_model(network, "train a network of your own, which `warmnet new mymodel.py` writes")
    weights = parser.add_argument_group("weights")
    sources = "start from these: a file, a run folder, a name such as lite0, a Hugging Face Hub id. Default: from scratch"
    weights.add_argument("--weights", metavar="SOURCE", help=sources)
    add_lineage(weights, "SOURCE")
    weights.add_argument("--freeze", metavar="STAGE", help="keep the weights up to this part of the network, such as stem or "
                         "stage_3; with all the classifier alone learns. Default: none")  # fmt: skip


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("recipe").add_argument
    recipes = "small", "paper", "timm-b0", "sgd", "finetune"
    add("--recipe", choices=recipes, help="default: small, or with --weights finetune")
    add("--epochs", type=whole_number(1), metavar="N", help="passes over the images. Default: the recipe's")
    add("--resolution", type=whole_number(1, 10_000), metavar="N", help="side of the images as the network sees them. "
        "Default: that of the weights, or from scratch by the images' median short side")  # fmt: skip
    add("--batch-size", type=whole_number(2), metavar="N", help="images in a step, of all processes together")
    add("--lr", type=positive, metavar="X", help="peak learning rate")
    augmentations = "autoaugment", "randaugment", "randaugment-timm"
    add("--augment", choices=augmentations, help="change colours and shapes at random")
    add("--patience", type=whole_number(1), metavar="N", help="stop after N epochs without a lower held-out loss")
    add("--set", action="append", type=setting, default=[], metavar="KEY=VALUE", help="any other setting of the recipe: "
        "mixup=0.2, ema=paper, network={'dropout': 0.5}")  # fmt: skip
    add("--seed", type=whole_number(0), default=0, metavar="N", help="same seed, same weights. Default: 0")


def _add_computation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("computation")
    add = group.add_argument
    add_device(group)
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="default: fp32")
    add("--accumulate", type=whole_number(1), default=1, metavar="N", help="compute a step in N parts: less memory. Default: 1")
    checkpointing = "compute activations again going back: less memory, slower"
    add("--activation-checkpointing", action="store_true", help=checkpointing)
    add("--compile", action="store_true", help="by torch.compile; the first steps take minutes")


def run(arguments: argparse.Namespace) -> None:
    from .. import training

    arguments = _with_options_of_file(arguments)
    _check_variant(arguments)
    _check_out(arguments)
    network = find_network(arguments.model) if arguments.model else find_family(arguments.variant)
    source = _source(arguments, network)
    _check_weights(arguments, source)
    recipe, execution = _recipe(arguments), _execution(arguments)
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


def _with_options_of_file(arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments with the options of --config, or of the run to go on with; those that are given go before."""
    from ..training import RECORD

    arguments.recipe_settings, arguments.weights_sha256, arguments.facts = {}, None, {}
    file = Path(arguments.config) if arguments.config else Path(arguments.out or "", RECORD)
    if file.is_dir():
        file = file / RECORD
    if arguments.config or (arguments.resume and arguments.out and file.exists()):
        return add_config(arguments, file)
    return arguments


def _check_variant(arguments: argparse.Namespace) -> None:
    """Ends with the usage for a variant that there is not; a network of the user's own knows its own variants."""
    if arguments.variant and not arguments.model and arguments.variant not in NAMES:
        names = choose_one(arguments.variant, NAMES)
        arguments.parser.error(f"argument --variant: invalid choice: {arguments.variant!r}. {names}")


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
    elif arguments.out:
        training.check_free(Path(arguments.out))
    training.check_can_be_written(Path(arguments.out or "runs"))
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
    if arguments.model:  # what is new in it is made from the seed
        options: dict[str, Any] = {"strict": False, "lineage": arguments.lineage, "seed": arguments.seed}
        return network.from_pretrained(arguments.weights, **options)
    return load_network(arguments.weights, None, arguments.words, arguments.lineage)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe that is named, with the settings that are given: options that are called like one of its fields, and --set."""
    from .. import training

    settings = training.from_json(arguments.recipe_settings)
    name = settings.pop("name", None) or arguments.recipe or ("finetune" if arguments.weights else "small")
    if name == "finetune" and not arguments.weights:
        raise InputError("The recipe finetune keeps the statistics of weights that are there. Name them with --weights.")
    names = {field.name for field in fields(training.Recipe)} - {"name"}
    given = {key: value for key, value in vars(arguments).items() if key in names and value is not None}
    if name in training.RECIPES:
        recipe = training.DIGITS if name == "small" and not arguments.folder else training.RECIPES[name]
    elif settings.keys() >= names:  # one of the user's own, whole
        recipe = training.Recipe(name, **settings)
    else:
        raise InputError(f"{arguments.config} is of the recipe {name!r}. {choose_one(str(name), training.RECIPES)}.")
    return recipe.with_settings(settings | given | dict(arguments.set))


def _execution(arguments: argparse.Namespace) -> Execution:
    from ..training import Execution

    return Execution(**{field.name: getattr(arguments, field.name) for field in fields(Execution)})


def _check_weights(arguments: argparse.Namespace, source: Classifier | None) -> None:
    """Raises InputError if the weights are not those of the run whose options are taken."""
    from ..training import digest

    if arguments.weights_sha256 and source and digest(source) != arguments.weights_sha256:
        raise InputError(
            f"{arguments.weights} has changed since the run of {arguments.config or arguments.out} started from it."
        )
