"""Samples and data sets: images with their labels; `hold_out` decides which are not trained on."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .errors import DataError
from .images import read_image
from .tar_members import Member

if TYPE_CHECKING:
    from PIL.Image import Image

SHARE = 0.2  # of a class that is held out
SPLIT = "split.csv"  # of a run folder: which image is in which part


class Sample(NamedTuple):
    """An image, or the file that it is in, and the number of its class."""

    image: Path | Member | Image
    label: int


@dataclass(frozen=True)
class Data:
    """Two lists of samples, and what is to be said of them.

    - `skipped`: a message on each image that cannot be used.
    - `left_out`: how many files are no images, by their kind, such as {'.txt': 12}.
    - `notes`: how the folder was read, where it can be read in more than one way.
    """

    name: str
    classes: tuple[str, ...]
    train: list[Sample]
    held_out: list[Sample]
    skipped: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def split(self) -> list[tuple[str, str, str, int]]:
        """Which image is in which part: (part, class, file or number, bytes) of each."""
        rows = []
        for part, samples in ("train", self.train), ("held out", self.held_out):
            for number, (image, label) in enumerate(samples):
                name, size = file_of(image) if isinstance(image, (Path, Member)) else (str(number), 0)
                rows.append((part, self.classes[label], name, size))
        return rows

    def class_weights(self) -> Tensor:
        """(classes,): how much an image of a class counts, so that all classes count the same, and an image 1 in the mean."""
        counts = torch.bincount(torch.tensor([label for _, label in self.train]), minlength=len(self.classes))
        return len(self.train) / (len(self.classes) * counts.clamp(min=1))


def hold_out(samples: Sequence[Sample], share: float = SHARE) -> tuple[list[Sample], list[Sample]]:
    """`samples` without a share of each class, and those: the same whenever the samples are.

    The first of every five of a class, if the share is 0.2; of two images one.

    - `share`: above 0 and below 1.
    """
    counts: dict[int, int] = {}
    train: list[Sample] = []
    held_out: list[Sample] = []
    for sample in samples:
        count = counts.get(sample.label, 0)
        is_next = count == 0 or int(count * share) > int((count - 1) * share)
        part = held_out if is_next else train
        part.append(sample)
        counts[sample.label] = count + 1
    return train, held_out


def open_image(image: Path | Member | Image) -> Image:
    """The image of a sample, in RGB."""
    if isinstance(image, Path):
        return read_image(image)
    if isinstance(image, Member):
        return read_image(image.open())
    return image.convert("RGB")


def file_of(image: Path | Member) -> tuple[str, int]:
    """The name of an image's file, and its size in bytes."""
    if isinstance(image, Path):
        return os.path.abspath(image), image.stat().st_size if image.exists() else 0
    return f"{os.path.abspath(image.tar)}: {image.name}", image.size


def read_split(run: Path) -> list[tuple[str, ...]]:
    """The rows of a run's split.csv, if it has one: (part, class, file, bytes) of each image."""
    if not (run / SPLIT).is_file():
        return []
    with open(run / SPLIT, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [tuple(row) for row in csv.reader(file)][1:]
    if any(len(row) != 4 for row in rows):
        raise DataError(f"{run / SPLIT} is damaged: a row of it has other than four fields, part, class, file, bytes.")
    return rows
