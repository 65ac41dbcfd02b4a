"""The network that a run starts with: new, or with weights that are there, for the classes of the images."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from traceback import extract_tb
from typing import Any

import torch
from torch import nn

from ..engine.frames import PACKAGE, is_users
from ..errors import InputError
from ..networks.classifier import CLASSIFIER, Classifier
from ..networks.families import find_family
from ..weights import WeightsWarning
from ..weights.classifier_rows import keep_known_rows
from ..weights.pruned import rebuilt
from ..weights.reading import Source
from .recipe import Recipe


def build_network(network: type[Classifier] | None, variant: Any, recipe: Recipe, **settings: Any) -> Classifier:
    """A new network of the class, or of the family of the variant, with the recipe's options.

    Raises InputError for a variant or options that there are not; and whatever the user's own network raises.
    """
    if variant is not None:
        settings["variant"] = variant
    try:
        model = (network or find_family(variant))(**settings, **recipe.network)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        if recipe.network and _can_be_built(network, variant, settings):
            raise _wrong_options(recipe, error) from error
        if _is_users(error):
            raise
        raise InputError(_first_line(error)) from error
    if next(model.parameters(), None) is None:
        name = type(model).__name__
        raise InputError(f"{name} has no layers yet. Let its __init__ end with self.warm_up(device, seed), which makes them.")
    return model


def _can_be_built(network: type[Classifier] | None, variant: Any, settings: Mapping[str, Any]) -> bool:
    """Whether there is such a network without the recipe's options."""
    try:
        (network or find_family(variant))(**{**settings, "device": "meta"})
    except (TypeError, ValueError):
        return False
    return True


def _is_users(error: Exception) -> bool:
    """Whether an error comes from the user's own code, whose lines Python shows."""
    files = [frame.filename for frame in extract_tb(error.__traceback__)]
    return any(is_users(file) and not file.startswith(PACKAGE) for file in files)


def _wrong_options(recipe: Recipe, error: Exception) -> InputError:
    """The error for options of the recipe that the network has not."""
    advice = "A recipe without options of the network: replace(recipe, network={}), or --set network={}."
    return InputError(f"network is {dict(recipe.network)}: {_first_line(error)} {advice}")


def _first_line(error: Exception) -> str:
    """An error's message without the lines of code below it."""
    return str(error).partition("\n")[0]


def load_source(source: Source, network: type[Classifier] | None, variant: Any) -> Classifier:
    """The network that the weights to start from are of. Raises InputError if it is of another variant than `variant`."""
    loaded = source if isinstance(source, Classifier) else (network or Classifier).from_pretrained(source)
    expected = loaded.variants.get(variant, variant) if isinstance(variant, str) else variant
    if expected is not None and loaded.variant != expected:
        raise InputError(
            f"The weights to start from are of the variant {loaded.variant_name}, not of {variant}. "
            f"Leave out the variant, or start from weights of {variant}."
        )
    return loaded


def take_over(source: Classifier, classes: Sequence[str], recipe: Recipe, seed: int) -> Classifier:
    """The source's network for these classes, with its weights; of the classifier those of the classes that it knows by name.

    New classes start at zero if the recipe says so, else at random. What became of the classifier is said in a WeightsWarning.
    """
    settings = {"num_classes": len(classes), "seed": seed, "device": "cpu"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightsWarning)  # that the classifier has another size, which is said below
        try:
            model = type(source).from_pretrained(source, **settings, **recipe.network)
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError) or not recipe.network:
                raise
            raise _wrong_options(recipe, error) from error
    check_classifier(model)
    if recipe.zero_classifier:
        zero_classifier(model)
    elif source.num_classes == len(classes):  # the rows are the source's
        new = rebuilt(model, len(classes), "cpu", seed)
        model.load_state_dict({key: value for key, value in new.state_dict().items() if key in CLASSIFIER}, strict=False)
    message = keep_known_rows(model, source, classes)
    if message:
        warnings.warn(message, WeightsWarning, stacklevel=4)
    return model


def check_classifier(model: Classifier) -> None:
    """Raise InputError if the last layer, whose rows are the classes, is not called `classifier`."""
    tensors = model.state_dict()
    if CLASSIFIER[0] not in tensors or len(tensors[CLASSIFIER[0]]) != model.num_classes:
        *_, last = tensors or ["nothing"]
        raise InputError(
            f"{type(model).__name__} has no layer 'classifier' with {model.num_classes} outputs, one for each class; its last "
            f"tensor is {last}. Let its forward end with W.linear(x, self.num_classes, name='classifier')."
        )


def zero_classifier(model: Classifier) -> None:
    """Start the classifier at zero. Raises InputError if the network has none."""
    check_classifier(model)
    for name, parameter in model.named_parameters():
        if name in CLASSIFIER:
            nn.init.zeros_(parameter)


def digest(model: Classifier) -> str:
    """The SHA-256 of all names and values of a network, in hexadecimal digits."""
    sha = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        sha.update(name.encode())
        sha.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
