"""Data sets: classes, and images with their labels to train on and to hold out."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import random
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from ..data.autoaugment import auto_augment, rand_augment
from ..data.crop import SMALLEST, official_crop, random_resized_crop
from ..data.preprocessing import ImageError, Preprocessing, read_image
from ..data.timm_augment import timm_rand_augment
from ..errors import InputError, extra
from .mix import random_erasing
from .recipe import Recipe

if TYPE_CHECKING:
    from .shards import Member

with extra("train"):
    from PIL import Image, ImageOps
    from rich.progress import track

SPLIT = "split.csv"  # of a run folder: which image is in which part
GRACE = 10  # seconds
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class DataError(InputError):
    """A folder that cannot be trained on."""


class Sample(NamedTuple):
    image: Path | Member | Image.Image
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

    def split(self) -> list[tuple[str, str, str, int]]:
        """Which image is in which part: (part, class, file or number, bytes) of each."""
        return [
            (part, self.classes[label], *((str(i), 0) if isinstance(image, Image.Image) else file_of(image)))
            for part, samples in (("train", self.train), ("held out", self.held_out))
            for i, (image, label) in enumerate(samples)
        ]

    def class_weights(self) -> Tensor:
        """(classes,): how much an image of a class counts, so that all classes count the same, and an image 1 in the mean."""
        counts = torch.bincount(torch.tensor([label for _, label in self.train]), minlength=len(self.classes))
        return len(self.train) / (len(self.classes) * counts.clamp(min=1))


def digits() -> Data:
    """scikit-learn's 1,797 scanned digits, 8x8, dark ink on white paper; the first of every five of a class is held out.

    >>> from warmnet import training
    >>> data = training.digits()
    >>> len(data.train), len(data.held_out), data.classes[:3]
    (1433, 364, ('0', '1', '2'))
    """
    with extra("train"):
        from sklearn.datasets import load_digits
    scans = load_digits()
    images = (255 - scans.images * (255 / 16)).round().astype(np.uint8)
    samples = [Sample(Image.fromarray(image), int(label)) for image, label in zip(images, scans.target)]
    return Data("digits", tuple(map(str, range(10))), *hold_out(samples))


def folder(root: str | os.PathLike[str], strict: bool = False, workers: int = 0, run: Path | None = None) -> Data:
    """The images of a folder of class folders, or of its train and val, each a folder of the same class folders.

    Without val, the first of every five of a class, in the order of their names, is held out. Every image is decoded once, so
    that training does not end on an unreadable one: those are left out and named in `skipped`, or with `strict` an error.

    - `workers`: processes that read them; 0 is this one.
    - `run`: a run folder to go on with. Images that its split.csv has are not decoded again.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder." if root.exists() else f"{root} does not exist.")
    split = {"train", "val"} <= {path.name for path in _folders(root)}
    parts = [root / "train", root / "val"] if split else [root]
    classes, *others = [[path.name for path in _folders(part)] for part in parts]
    if others and classes != others[0]:
        raise DataError(f"{root}: train and val hold different classes: {', '.join(sorted({*classes} ^ {*others[0]}))}.")
    if "train" in classes and {*classes} <= {"train", "test", "val", "valid", "validation"}:
        raise DataError(
            f"{root} holds {', '.join(classes)}. What is held out is expected in {root / 'val'}, beside {root / 'train'}."
        )
    if len(classes) < 2:
        raise DataError(
            f"{root} holds {len(classes)} class folders, {classes}, and 2 is the least. What is expected: "
            f"{root}/cat/1.jpg, {root}/dog/1.jpg, or the same below {root}/train and {root}/val."
        )
    _check_not_mixed(root, split)
    found = [[list(_images(part / name)) for name in classes] for part in parts]
    every = [path for part in found for paths in part for path in paths]
    skipped = unreadable(every, workers, run)
    if skipped and strict:
        raise DataError(f"unreadable image, which --strict refuses: {first_of(skipped.values())}")
    samples = [[Sample(p, i) for i, paths in enumerate(part) for p in paths if p not in skipped] for part in found]
    for part, of_part in zip(parts, samples):
        _check_classes(part, classes, of_part, least=1 if split else 2)
    files = sum(path.is_file() for part in parts for path in part.rglob("*"))
    train, held_out = samples if split else hold_out(samples[0])
    return Data(root.resolve().name, tuple(classes), train, held_out, tuple(skipped.values()), files - len(every))


def unreadable(images: Sequence[Path | Member], workers: int = 0, run: Path | None = None) -> dict[Path | Member, str]:
    """The images that cannot be decoded to their end, and why. All processes of a run call it and share the work."""
    known = {row[2:] for row in read_split(run)} if run else set()
    unknown = [image for image in images if not known or _described(image) not in known]
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)
    mine = unknown[rank::world]
    batches = loader(_Decoded(mine), workers, batch_size=64, collate_fn=list)
    shown = sys.stdout.isatty() and rank == 0
    read = (message for batch in track(batches, "reading images", transient=True, disable=not shown) for message in batch)
    found = {image: message for image, message in zip(mine, read) if message}
    if world > 1:
        parts: list[Any] = [None] * world
        distributed.all_gather_object(parts, found)
        found = {image: message for part in parts for image, message in part.items()}
    return {image: found[image] for image in unknown if image in found}


def first_of(messages: Iterable[str]) -> str:
    """The first of messages, and how many more there are."""
    first, *others = messages
    return f"{first} and {len(others)} more" if others else first


def read_split(run: Path) -> list[tuple[str, ...]]:
    """The rows of a run's split.csv, if it has one: (part, class, file, bytes) of each image."""
    if not (run / SPLIT).is_file():
        return []
    with open(run / SPLIT, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [tuple(row) for row in csv.reader(file)][1:]
    if any(len(row) != 4 for row in rows):
        raise DataError(f"{run / SPLIT} is damaged: a row of it has other than four fields, part, class, file, bytes.")
    return rows


def loader(images: Dataset[Any], workers: int, **options: Any) -> DataLoader[Any]:
    """A DataLoader whose worker processes do not hear the signals that are sent to all: this process ends them."""
    return DataLoader(images, num_workers=workers, worker_init_fn=_deaf, persistent_workers=workers > 0, **options)


def _deaf(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))  # by then the run has saved, and ended this process


def write_samples(data: Data, folder: Path) -> Path:
    """A held-out image file to try the network on. Images that are not files yet are written, one of a class."""
    for name, image in {data.classes[label]: image for image, label in data.held_out}.items():
        if isinstance(image, Path):
            return image
        path = folder / "samples" / (re.sub(r"[^\w.-]", "_", name) + ".png")
        path.parent.mkdir(exist_ok=True)
        (image if isinstance(image, Image.Image) else opened(image)).save(path)
    return path


def preview(data: Data, recipe: Recipe, seed: int = 0, path: str | os.PathLike[str] = "preview.png") -> Path:
    """A picture of images as they are trained on: eight of the set, each as it is and five times changed."""
    from .plots import plot_grid

    tiles: list[tuple[Image.Image, str]] = []
    for index in torch.linspace(0, len(data.train) - 1, 8).long().tolist():
        image, label = data.train[index]
        image = opened(image)
        tiles.append((image, data.classes[label]))
        for n in range(5):
            tiles.append((augmented(image, recipe.preprocessing, recipe, random.Random(seeded(seed, index, n))), ""))
    if Path(path).exists():
        raise InputError(f"{path} is there already, and nothing is written over. Name another file with --out, or remove it.")
    plot_grid(tiles, Path(path), f"{data.name} by the recipe {recipe.name}", columns=6)
    return Path(path)


def opened(image: Path | Member | Image.Image) -> Image.Image:
    """The image of a sample, in RGB."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    return read_image(image if isinstance(image, Path) else image.open())


def hold_out(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """`samples` without the first of every five of a class, and those: the same whenever the samples are."""
    seen: dict[int, int] = {}
    parts: tuple[list[Sample], list[Sample]] = [], []
    for sample in samples:
        place = seen.get(sample.label, 0)
        parts[place % 5 == 0].append(sample)
        seen[sample.label] = place + 1
    return parts


def file_of(image: Path | Member) -> tuple[str, int]:
    """Its name and its size."""
    if isinstance(image, Path):
        return os.path.abspath(image), image.stat().st_size if image.exists() else 0
    return f"{os.path.abspath(image.tar)}: {image.name}", image.size


def _described(image: Path | Member) -> tuple[str, str]:
    name, size = file_of(image)
    return name, str(size)


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


class _Decoded(Dataset[str]):
    """Images as messages on why they cannot be decoded, '' if they can."""

    def __init__(self, images: Sequence[Path | Member]):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> str:
        try:
            opened(self.images[index])
        except ImageError as error:
            return str(error)
        return ""


class Images(Dataset[tuple[Tensor, int]]):
    """Samples as tensors and labels: preprocessed; or with a recipe, indexed by (index, seed), as it trains on them."""

    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing, recipe: Recipe | None = None):
        self.samples, self.preprocessing, self.recipe = samples, preprocessing, recipe

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Tensor, int]:
        index, seed = (index, 0) if self.recipe is None else index
        image, label = self.samples[index]
        image = opened(image)
        if self.recipe is None:
            return self.preprocessing(image), label
        return augment(image, self.preprocessing, self.recipe, random.Random(seed)), label


class Batches(Sampler[Any]):
    """The batches of one epoch after another for one of `world` processes: lists of (index, seed of its augmentation).

    An epoch is every image once, in an order that `seed` and the epoch decide, cut into steps that differ in size by one at
    most: nothing is left over. A step is dealt out to the processes, and what each gets is cut into `parts`. So the images of
    a step are the same for any number of processes, parts and worker processes, and from any step on.
    """

    def __init__(self, images: int, batch_size: int, seed: int, rank: int = 0, world: int = 1, parts: int = 1):
        self.images, self.seed, self.rank, self.world, self.parts = images, seed, rank, world, parts
        self.steps = -(-images // batch_size)  # of an epoch
        self.step = 0  # of the run: where the next iteration begins
        if images // self.steps < 2 * world * parts:
            raise InputError(
                f"{images // self.steps} images in a step are too few for {world} processes with {parts} parts each: batch "
                f"normalization needs 2 in each part. Choose a larger batch size."
            )

    def __len__(self) -> int:
        return (self.steps - self.step % self.steps) * self.parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, first = divmod(self.step, self.steps)
        generator = torch.Generator().manual_seed(seeded(self.seed, epoch))
        order = torch.randperm(self.images, generator=generator)
        seeds = torch.randint(2**62, (self.images,), generator=generator)
        for step in torch.tensor_split(order, self.steps)[first:]:
            for part in torch.tensor_split(step[self.rank :: self.world], self.parts):
                yield [(int(index), int(seeds[index])) for index in part]

    def size(self, step: int) -> int:
        """The number of images in a step of the run, of all processes together."""
        place = step % self.steps
        return self.images // self.steps + (place < self.images % self.steps)


def seeded(*numbers: int) -> int:
    """A seed that these numbers decide, for each list of numbers another."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest(), "big") >> 1


def augment(image: Image.Image, preprocessing: Preprocessing, recipe: Recipe, rng: random.Random) -> Tensor:
    """An RGB image as the recipe trains on it: a part of it, perhaps mirrored and changed, resized and normalized."""
    pixels = augmented(image, preprocessing, recipe, rng)
    x = preprocessing.normalized(pixels)
    return random_erasing(x, rng, recipe.erase) if recipe.erase else x


def augmented(image: Image.Image, preprocessing: Preprocessing, recipe: Recipe, rng: random.Random) -> Image.Image:
    """`augment` up to where a person can look at it."""
    box: tuple[float, float, float, float] | None = None
    if recipe.sampling == "shift":
        margin = math.ceil(recipe.shift * max(image.size))
        right, down = (margin + rng.uniform(-1, 1) * recipe.shift * max(image.size) for _ in range(2))
        box = right, down, right + image.width, down + image.height
        image = ImageOps.expand(image, margin, "white")
    elif recipe.sampling == "official":
        image = image.crop(official_crop(*image.size, rng, central=preprocessing.crop))  # type: ignore[arg-type]
    else:
        share = recipe.area if recipe.sampling == "part" else (SMALLEST, 1)
        image = image.crop(random_resized_crop(*image.size, rng, share))  # with a box, `resize` would look beyond it
    if recipe.interpolation == "random":
        preprocessing = replace(preprocessing, interpolation=rng.choice(("bilinear", "bicubic")))
    image = preprocessing.resized(image, box)
    if recipe.flip and rng.random() < 0.5:
        image = ImageOps.mirror(image)
    if recipe.augment is None:
        return image
    if recipe.augment == "autoaugment":
        return auto_augment(image, rng)
    changed = rand_augment if recipe.augment == "randaugment" else timm_rand_augment
    return changed(image, rng, recipe.magnitude)
