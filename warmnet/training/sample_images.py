"""Images of a data set to look at, or to try a network on."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from ..data.files import check_ending
from ..data.images import to_image
from ..data.loading import derive_seed
from ..data.samples import Data, Sample, check_is_data
from ..errors import InputError, extra
from ..plotting.fonts import class_labels
from .image_grid import plot_grid
from .recipe import Recipe, check_is_recipe
from .run_folder import check_can_be_written

with extra("train"):
    from PIL.Image import Image

IMAGES, VERSIONS = 8, 5  # of a preview
MOST_TILES, MOST_OF_CLASS, COLUMNS = 48, 6, 8  # of a picture of the classes
T = TypeVar("T")


def check_preview(path: Path) -> None:
    """Raise if a preview cannot be written at that path."""
    if path.exists():
        raise InputError(f"{path} is there already, and nothing is written over. Name another file with --out, or remove it.")
    check_ending(path, ".png")
    check_can_be_written(path)


def preview(data: Data, recipe: Recipe, seed: int = 0, path: str | os.PathLike[str] = "preview.png") -> Path:
    """A picture of images as they are trained on: eight of the set, each as it is and five times augmented.

    >>> import tempfile
    >>> from warmnet import training
    >>> data = training.digits()
    >>> recipe = training.DIGITS.sized(len(data.train), data.median_short_side)
    >>> training.preview(data, recipe, path=tempfile.mkdtemp() + '/preview.png').name
    'preview.png'
    """
    check_is_data(data)
    check_is_recipe(recipe)
    path = Path(path)
    check_preview(path)
    labels = class_labels(data.classes, 24)
    tiles: list[tuple[Image, str]] = []
    for index in torch.linspace(0, len(data.train) - 1, IMAGES).long().tolist():
        image, label = data.train[index]
        image = to_image(image)
        tiles.append((image, labels[data.classes[label]]))
        for version in range(VERSIONS):
            rng = random.Random(derive_seed(seed, index, version))
            tiles.append((recipe.augmentation.pixels(image, recipe.preprocessing, rng), ""))
    plot_grid(tiles, path, f"{data.name} by the recipe {recipe.name}", columns=1 + VERSIONS)
    return path


def plot_classes(data: Data, path: Path) -> None:
    """A picture of a few images of each class, with their sizes; of many classes, of some from the first to the last."""
    of_class: dict[int, list[Sample]] = {}
    for sample in (*data.train, *data.held_out):
        of_class.setdefault(sample.label, []).append(sample)
    shown = spread(sorted(of_class), MOST_TILES)
    each = max(1, min(MOST_OF_CLASS, MOST_TILES // len(shown)))
    tiles = []
    for label in shown:
        for sample in spread(of_class[label], each):
            image = to_image(sample.image)
            tiles.append((image, f"{data.classes[label]}\n{image.width}x{image.height}"))
    title = data.name if len(shown) == len(of_class) else f"{data.name}: {len(shown)} of {len(of_class):,} classes"
    plot_grid(tiles, path, title, columns=each * (COLUMNS // each))


def spread(items: Sequence[T], most: int) -> list[T]:
    """All items, or `most` of them, evenly from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in torch.linspace(0, len(items) - 1, most).long().tolist()]


def write_samples(data: Data, folder: Path) -> Path:
    """A held-out image file to try the network on. Images that are not files yet are written, one of a class."""
    images = {data.classes[label]: image for image, label in data.held_out}
    for name, image in images.items():
        if isinstance(image, Path):
            return image
        path = folder / "samples" / (re.sub(r"[^\w.-]", "_", name) + ".png")
        path.parent.mkdir(exist_ok=True)
        to_image(image).save(path)
    return path
