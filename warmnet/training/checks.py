"""What can be told of a run before an image is read: whether its network computes, and whether steps are large enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..authoring.source_code import find_source_code
from ..errors import InputError
from ..networks.classifier import Classifier
from ..weights.pruned import check_sizes, cut
from .execution import Execution
from .freezing import first_to_learn
from .initial_network import build_network, check_classifier, digest
from .recipe import Recipe
from .resolution import network_resolution
from .resumption import check_resume
from .run_record import run_settings

IMAGES, CLASSES = 3, 7  # that a network is tried with: numbers that no network of the user's own has by chance
TRIED = f"It was tried with {CLASSES} classes, so that outputs that are fixed are found before the images are read."


def check_run(
    recipe: Recipe, execution: Execution, *,
    network: type[Classifier] | None = None, variant: Any = None, source: Classifier | None = None, seed: int = 0,
    resume: Path | None = None,
) -> tuple[Classifier, str]:  # fmt: skip
    """The network of a run on 'meta', tried with a few images; and what there is to say of the run to go on with in `resume`.

    Raises InputError for all that keeps a run from being trained, as far as it can be told before an image is read; and
    whatever the user's own network raises.
    """
    check_batch_size(recipe, execution)
    model = _try_on_meta(network, variant, source, recipe) or _try(network, variant, source, recipe, "cpu")
    if resume is None:
        return model, ""
    code = find_source_code(type(model))
    settings = run_settings(recipe, model.variant_name, seed, code, digest(source) if source else None)
    return model, check_resume(resume, settings)


def check_images(model: Classifier, resolution: int) -> None:
    """Raise InputError if RGB images of this side are no input of the network."""
    if model.in_channels != 3:
        raise InputError(f"The network takes {model.in_channels} channels, and images are RGB. Build it with in_channels=3.")
    if resolution < model.reduction:
        raise InputError(f"resolution is {resolution}; the network's total stride, {model.reduction}, is the least.")


def check_freeze(model: Classifier, recipe: Recipe, source: Classifier | None) -> None:
    """Raise InputError if the network has no part of the name that is frozen, or nothing to keep in it."""
    if recipe.freeze is not None and source is None:
        raise InputError("freeze keeps the weights that are there, and there are none. Name them with --weights (source=).")
    first_to_learn(model, recipe.freeze)


def check_batch_size(recipe: Recipe, execution: Execution) -> None:
    """Raise InputError if a step of the recipe's batch size cannot be dealt out, see `data.loading.Batches`."""
    world = execution.processes
    if recipe.batch_size and recipe.batch_size < 2 * world * execution.accumulate:
        raise InputError(
            f"A batch size of {recipe.batch_size} is too small for {world * execution.accumulate} parts, --accumulate "
            f"{execution.accumulate} times {world} processes: batch normalization needs 2 images in each. Choose a larger "
            f"--batch-size, or a smaller --accumulate."
        )


def check_logits(logits: Any, images: int, classes: int, advice: str = "") -> None:
    """Raise InputError if a network's output is no tensor (images, classes) that it can learn from; `advice` goes with it."""
    found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
    if found != (images, classes):
        raise InputError(
            f"The network gives {found} for {images} images of {classes} classes, and ({images}, {classes}) is expected: a "
            f"score for each class. Let its last layer have self.num_classes outputs. {advice}".rstrip()
        )
    if not logits.is_floating_point():
        raise InputError(f"The network gives {logits.dtype}, from which it cannot learn. Let it give its scores as they are.")
    if torch.is_grad_enabled() and not logits.requires_grad:
        raise InputError(
            "The network's output has no gradient, so that it cannot learn: .detach(), torch.no_grad() or NumPy is on the way "
            "there. Take it out of the forward."
        )


def _try_on_meta(
    network: type[Classifier] | None, variant: Any, source: Classifier | None, recipe: Recipe
) -> Classifier | None:
    """As `_try` on 'meta'; None if that fails by anything else than an InputError, such as a forward that looks at numbers."""
    try:
        return _try(network, variant, source, recipe, "meta")
    except InputError:
        raise
    except Exception:
        return None


def _try(network: type[Classifier] | None, variant: Any, source: Classifier | None, recipe: Recipe, device: str) -> Classifier:
    """The network, or that of the source, for a few classes, after it has gone forward and back with a few images."""
    settings: dict[str, Any] = {"num_classes": CLASSES, "device": device, "seed": 0}
    if source is None:
        model = build_network(network, variant, recipe, **settings)
    else:
        options = {name: value for name, value in source.options.items() if name not in recipe.network}
        settings["in_channels"] = source.in_channels
        model = build_network(type(source), source.variant, recipe, **settings, **options)
        if source._is_adopted:
            check_sizes(model, source.variant, source.options)
            cut(model, source.state_dict())
    check_freeze(model, recipe, source)
    side = recipe.resolution or network_resolution(source or model)
    check_images(model, side)
    images = torch.zeros(IMAGES, model.in_channels, side, side, device=device)
    with torch.enable_grad(), torch.random.fork_rng([]):
        logits = model.train()(images)
        check_logits(logits, IMAGES, CLASSES, TRIED)
        logits.float().sum().backward()
    model.zero_grad()
    if source or recipe.zero_classifier:
        check_classifier(model)
    return model
