"""What a policy does to images, for people to look at."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.images import to_image
from ...data.loading import derive_seed
from ...data.policy import Policy, Step, official
from ...data.samples import Data
from ...errors import extra
from ...plotting.fonts import class_labels
from ..image_grid import plot_grid
from ..recipe import Recipe
from ..sample_images import spread

with extra("train"):
    from PIL.Image import Image

IMAGES = 4
MOST_COLUMNS = 8  # of a band; more are put below
TOGETHER = 3  # columns of images as they are trained on
NAMED = 6  # operations of a step that are named
LETTERS = 20  # in a line of a caption
Change = Callable[[Image, random.Random], Image]


class Column(NamedTuple):
    """How images are changed in a column of the picture, and what is said of it."""

    caption: str
    change: Change


def plot_policy(data: Data, recipe: Recipe, seed: int, path: Path) -> None:
    """A PNG of images to train on: each as evaluated, by each sub-policy or step, always applied, and by the whole recipe.

    Under each is by how much it differs from the image as evaluated, which may be too little to see.
    """
    policy, labels = _policy_of(recipe), class_labels(data.classes, LETTERS)
    columns = columns_of(recipe, policy)
    across = min(MOST_COLUMNS - 1, len(columns))
    tiles: list[tuple[Image, str]] = []
    for first in range(0, len(columns), across):
        band = columns[first : first + across]
        band += [Column("", _white)] * (across - len(band))
        for number, sample in enumerate(spread(data.train, IMAGES)):
            image = to_image(sample.image)
            evaluated = recipe.preprocessing.pixels(image)
            tiles.append((evaluated, labels[data.classes[sample.label]]))
            for place, column in enumerate(band, first):
                changed = column.change(image, random.Random(derive_seed(seed, number, place)))
                words = [column.caption] if number == 0 else []
                if column.change is not _white:
                    words.append(difference(changed, evaluated))
                tiles.append((changed, "\n".join(words)))
    kind = "step" if policy is None or len(policy.sub_policies) == 1 else "sub-policy"
    parts = f" by each {kind} alone (%: its share in training)," if len(columns) > TOGETHER else ""
    plot_grid(tiles, path, f"{data.name}: as evaluated,{parts} as trained on", columns=1 + across)


def columns_of(recipe: Recipe, policy: Policy | None) -> list[Column]:
    """The columns beside the image as it is: a sub-policy each, or if there is one its steps; and the whole recipe."""

    def whole(image: Image, rng: random.Random) -> Image:
        return recipe.augmentation.pixels(image, recipe.preprocessing, rng)

    parts = () if policy is None else policy.sub_policies
    if len(parts) == 1:
        parts = tuple((step,) for step in parts[0])
    columns = [Column("\n".join(map(caption, part)), _always(part, recipe)) for part in parts]
    return columns + [Column("all together,\nas trained on", whole)] * TOGETHER


def caption(step: Step) -> str:
    """The operations of a step, how many of the images it is applied to, and how strongly, in a few lines."""
    names = [name.rpartition(" ")[2].replace("_", " ") for name in step.operations]
    operations = ", ".join(names) if len(names) <= NAMED else f"one of {len(names)}"
    degree = f"strength {step.strength:g}" if step.level is None else f"level {step.level:g}"
    return f"{textwrap.fill(operations, LETTERS)}\n{step.probability:.0%}, {degree}"


def difference(image: Image, other: Image) -> str:
    """By how much the pixels of an image differ from another's, in the mean, of all that there is from black to white."""
    apart = np.abs(np.asarray(image, np.float32) - np.asarray(other, np.float32)).mean() / 255
    if apart == 0:
        return "unchanged"
    return f"differs by {apart:.1%}" if apart >= 0.001 else "differs by < 0.1%"


def _policy_of(recipe: Recipe) -> Policy | None:
    """The policy of a recipe, if it can be written as one."""
    if recipe.augment in ("autoaugment", "randaugment"):
        return official(str(recipe.augment), recipe.magnitude)
    return recipe.augment if isinstance(recipe.augment, Policy) else None


def _always(steps: tuple[Step, ...], recipe: Recipe) -> Change:
    """All of the steps, each applied to every image, as it is evaluated otherwise."""
    policy = Policy((tuple(replace(step, probability=1.0) for step in steps),))
    return lambda image, rng: policy(recipe.preprocessing.pixels(image), rng)


def _white(image: Image, rng: random.Random) -> Image:
    """Nothing, where a band has no more columns."""
    return image.point(lambda value: 255)
