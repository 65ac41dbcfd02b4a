"""Data sets: classes, and images with their labels to train on and to hold out."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ..errors import InputError, extra
from ..preprocessing import ImageError, Preprocessing, read_image
from .recipe import Recipe

with extra("train"):
    from PIL import Image, ImageOps
    from rich.progress import track

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class DataError(InputError):
    """A folder that cannot be trained on."""


class Sample(NamedTuple):
    image: Path | Image.Image
    label: int


@dataclass(frozen=True)
class Data:
    """Two lists of samples, and what was left out of them: messages on unreadable images, a count of files of other kinds."""

    name: str
    classes: tuple[str, ...]
    train: list[Sample]
    held_out: list[Sample]
    skipped: tuple[str, ...] = ()
    ignored: int = 0


def digits() -> Data:
    """scikit-learn's 1,797 scanned digits, 8x8, dark ink on white paper; the first of every five of a class is held out."""
    with extra("train"):
        from sklearn.datasets import load_digits
    scans = load_digits()
    images = (255 - scans.images * (255 / 16)).round().astype(np.uint8)
    samples = [Sample(Image.fromarray(image), int(label)) for image, label in zip(images, scans.target)]
    return Data("digits", tuple(map(str, range(10))), *hold_out(samples))


def folder(root: str | os.PathLike[str], strict: bool = False) -> Data:
    """The images of a folder of class folders, or of its train and val, each a folder of the same class folders.

    Without val, the first of every five of a class, in the order of their names, is held out. Every image is decoded once, so
    that training does not end on an unreadable one: those are left out and named in `skipped`, or with `strict` an error.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder." if root.exists() else f"{root} does not exist.")
    split = {"train", "val"} <= {path.name for path in _folders(root)}
    parts = [root / "train", root / "val"] if split else [root]
    classes, *others = [[path.name for path in _folders(part)] for part in parts]
    if others and classes != others[0]:
        raise DataError(f"{root}: train and val hold different classes: {', '.join(sorted({*classes} ^ {*others[0]}))}.")
    if len(classes) < 2:
        raise DataError(
            f"{root} holds {len(classes)} class folders, {classes}, and 2 is the least. What is expected: "
            f"{root}/cat/1.jpg, {root}/dog/1.jpg, or the same below {root}/train and {root}/val."
        )
    _check_not_mixed(root, split)
    found = [[list(_images(part / name)) for name in classes] for part in parts]
    readable, skipped = _readable([path for part in found for paths in part for path in paths], strict)
    samples = [[Sample(p, i) for i, paths in enumerate(part) for p in paths if p in readable] for part in found]
    for part, of_part in zip(parts, samples):
        _check_classes(part, classes, of_part, least=1 if split else 2)
    files = sum(path.is_file() for part in parts for path in part.rglob("*"))
    train, held_out = samples if split else hold_out(samples[0])
    return Data(root.resolve().name, tuple(classes), train, held_out, skipped, files - len(readable) - len(skipped))


def write_samples(data: Data, folder: Path) -> Path:
    """A held-out image file to try the network on. Images that are not files yet are written, one of a class."""
    for name, image in {data.classes[label]: image for image, label in data.held_out}.items():
        if isinstance(image, Path):
            return image
        path = folder / "samples" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        image.save(path)
    return path


def hold_out(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """`samples` without the first of every five of a class, and those: the same whenever the samples are."""
    seen: dict[int, int] = {}
    parts: tuple[list[Sample], list[Sample]] = [], []
    for sample in samples:
        place = seen.get(sample.label, 0)
        parts[place % 5 == 0].append(sample)
        seen[sample.label] = place + 1
    return parts


def _folders(path: Path) -> list[Path]:
    """The folders in `path` by name, without hidden ones and what archives leave."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _images(path: Path) -> Iterator[Path]:
    return (p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _check_not_mixed(root: Path, split: bool) -> None:
    loose = [path.name for path in root.iterdir() if path.suffix.lower() in SUFFIXES]
    others = [path.name for path in _folders(root) if path.name not in ("train", "val", "test")] if split else []
    if loose or others:
        what = (
            f"images beside its class folders, such as {min(loose)}" if loose else f"train and val beside {', '.join(others)}"
        )
        raise DataError(f"{root} is mixed: it holds {what}. Move them: each image's folder says its class.")


def _check_classes(part: Path, classes: Sequence[str], samples: Sequence[Sample], least: int) -> None:
    counts = [sum(sample.label == label for sample in samples) for label in range(len(classes))]
    for name, count in zip(classes, counts):
        if count < least:
            raise DataError(f"{part / name} holds {count} readable images, and {least} is the least. Add some, or remove it.")


def _readable(paths: Sequence[Path], strict: bool) -> tuple[set[Path], tuple[str, ...]]:
    """The paths of images that can be decoded to their end, and a message on each of the others."""
    readable, skipped = set(), []
    for path in track(paths, "reading images", transient=True, disable=not sys.stdout.isatty()):
        try:
            read_image(path)
            readable.add(path)
        except ImageError as error:
            skipped.append(str(error))
    if skipped and strict:
        more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        raise DataError(f"unreadable image, which --strict refuses: {skipped[0]}{more}")
    return readable, tuple(skipped)


class Images(Dataset[tuple[Tensor, int]]):
    """Samples as tensors and labels: preprocessed, or with a recipe as random parts of themselves, as `Shuffled` asks."""

    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing, recipe: Recipe | None = None):
        self.samples, self.preprocessing, self.recipe = samples, preprocessing, recipe

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Tensor, int]:
        index, seed = (index, 0) if self.recipe is None else index
        image, label = self.samples[index]
        image = read_image(image) if isinstance(image, Path) else image.convert("RGB")
        if self.recipe is None:
            return self.preprocessing(image), label
        return augment(image, self.preprocessing, self.recipe, torch.Generator().manual_seed(seed)), label


class Shuffled(Sampler[Any]):
    """Every index once an epoch, each with the seed of its augmentation: the same for any number of worker processes."""

    def __init__(self, length: int, seed: int):
        self.length, self.generator = length, torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = torch.randperm(self.length, generator=self.generator)
        seeds = torch.randint(2**62, (self.length,), generator=self.generator)
        return zip(order.tolist(), seeds.tolist())


def augment(image: Image.Image, preprocessing: Preprocessing, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """An RGB image as the recipe trains on it: a random part of it, or all of it moved a little."""
    if recipe.area:
        x = preprocessing.tensor(image, random_part(*image.size, recipe.area, generator))
    else:
        margin = math.ceil(recipe.shift * max(image.size))
        right, down = ((2 * torch.rand(2, generator=generator) - 1) * recipe.shift * max(image.size)).tolist()
        box = margin + right, margin + down, margin + right + image.width, margin + down + image.height
        x = preprocessing.tensor(ImageOps.expand(image, margin, "white"), box)
    return x.flip(2) if recipe.flip and torch.rand((), generator=generator) < 0.5 else x


def random_part(
    width: int, height: int, area: tuple[float, float], generator: torch.Generator
) -> tuple[float, float, float, float]:
    """The box of a random part with a share of the area in `area` and sides like 3:4 to 4:3, or after ten misses of all."""
    for _ in range(10):
        share, shape, x, y = torch.rand(4, generator=generator).tolist()
        pixels = width * height * (area[0] + share * (area[1] - area[0]))
        ratio = math.exp((2 * shape - 1) * math.log(4 / 3))
        w, h = math.sqrt(pixels * ratio), math.sqrt(pixels / ratio)
        if 1 <= w <= width and 1 <= h <= height:
            left, top = x * (width - w), y * (height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height
