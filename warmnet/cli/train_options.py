"""The options of commands that train: what they are, and the network, weights and recipe that they stand for."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..authoring.user_networks import load_network
from ..data.files import is_json
from ..errors import InputError
from ..networks.classifier import Classifier
from ..networks.families import NAMES
from ..networks.names import choose_one
from ..weights.identification import identify
from ..weights.reading import read
from .arguments import add_device, add_lineage, add_model, augmentation, positive, setting, whole_number
from .config import add_config

if TYPE_CHECKING:
    from ..training import Execution, Recipe


def add_network(parser: argparse.ArgumentParser) -> None:
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


def add_recipe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("recipe").add_argument
    recipes = "small", "paper", "timm-b0", "sgd", "finetune"
    add("--recipe", choices=recipes, help="default: small, or with --weights finetune")
    add("--epochs", type=whole_number(1), metavar="N", help="passes over the images. Default: the recipe's")
    add("--resolution", type=whole_number(1, 10_000), metavar="N", help="side of the images as the network sees them. "
        "Default: that of the weights, or from scratch by the images' median short side")  # fmt: skip
    add("--batch-size", type=whole_number(2), metavar="N", help="images in a step, of all processes together")
    add("--lr", type=positive, metavar="X", help="peak learning rate")
    add("--augment", type=augmentation, metavar="POLICY", help="change colours and shapes at random: autoaugment, randaugment, "
        "randaugment-timm, or the policy.json that a search has found")  # fmt: skip
    add("--patience", type=whole_number(1), metavar="N", help="stop after N epochs without a lower held-out loss")
    add("--set", action="append", type=setting, default=[], metavar="KEY=VALUE", help="any other setting of the recipe: "
        "mixup=0.2, ema=paper, network={'dropout': 0.5}")  # fmt: skip
    add("--seed", type=whole_number(0), default=0, metavar="N", help="same seed, same weights. Default: 0")


def add_computation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("computation")
    add = group.add_argument
    add_device(group)
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="default: fp32")
    add("--accumulate", type=whole_number(1), default=1, metavar="N", help="compute a step in N parts: less memory. Default: 1")
    checkpointing = "compute activations again going back: less memory, slower"
    add("--activation-checkpointing", action="store_true", help=checkpointing)
    add("--compile", action="store_true", help="by torch.compile; the first steps take minutes")


def with_options_of_file(arguments: argparse.Namespace, file: Path | None) -> argparse.Namespace:
    """The arguments with the options of a file, run.json or the like, if there is one; those that are given go before."""
    arguments.recipe_settings, arguments.weights_sha256, arguments.facts = {}, None, {}
    return add_config(arguments, file) if file else arguments


def check_variant(arguments: argparse.Namespace) -> None:
    """Ends with the usage for a variant that there is not; a network of the user's own knows its own variants."""
    if arguments.variant and not arguments.model and arguments.variant not in NAMES:
        names = choose_one(arguments.variant, NAMES)
        arguments.parser.error(f"argument --variant: invalid choice: {arguments.variant!r}. {names}")


def source_of(arguments: argparse.Namespace, network: type[Classifier]) -> Classifier | None:
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


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe that is named, with the settings that are given: options that are called like one of its fields, and --set."""
    from .. import training
    from ..data.policy_file import SETTINGS, read_policy

    settings = training.from_json(arguments.recipe_settings)
    name = settings.pop("name", None) or arguments.recipe or ("finetune" if arguments.weights else "small")
    if name == "finetune" and not arguments.weights:
        raise InputError("The recipe finetune keeps the statistics of weights that are there. Name them with --weights.")
    names = {field.name for field in fields(training.Recipe)} - {"name"}
    given = {key: value for key, value in vars(arguments).items() if key in names and value is not None}
    given |= dict(arguments.set)
    policy = read_policy(given.pop("augment")) if is_json(given.get("augment")) else {}
    if given.keys() & {*SETTINGS}:
        policy["found"] = {}  # it is another policy now than the one that was found
    given = policy | given
    if name in training.RECIPES:
        recipe = training.DIGITS if name == "small" and not arguments.folder else training.RECIPES[name]
    elif settings.keys() >= names - {"found"}:  # one of the user's own, whole
        recipe = training.Recipe(name, **settings)
    else:
        raise InputError(
            f"{arguments.config or arguments.out} is of the recipe {name!r}. {choose_one(str(name), training.RECIPES)}."
        )
    return recipe.with_settings(settings | given)


def execution_of(arguments: argparse.Namespace) -> Execution:
    from ..training import Execution

    return Execution(**{field.name: getattr(arguments, field.name) for field in fields(Execution)})


def check_weights(arguments: argparse.Namespace, source: Classifier | None) -> None:
    """Raises InputError if the weights are not those of the run whose options are taken."""
    from ..training import digest

    if arguments.weights_sha256 and source and digest(source) != arguments.weights_sha256:
        raise InputError(
            f"{arguments.weights} has changed since the run of {arguments.config or arguments.out} started from it."
        )
