"""Samples and data sets: images with their labels; `hold_out` decides which are not trained on."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .errors import DataError
from .tar_members import Member

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}  # of image files
SPLIT = "split.csv"  # of a run folder: which image is in which part


class Sample(NamedTuple):
    """An image, or the file that it is in, and the number of its class."""

    image: Path | Member | Image
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


def hold_out(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """`samples` without the first of every five of a class, and those: the same whenever the samples are."""
    counts: dict[int, int] = {}
    train: list[Sample] = []
    held_out: list[Sample] = []
    for sample in samples:
        count = counts.get(sample.label, 0)
        part = held_out if count % 5 == 0 else train
        part.append(sample)
        counts[sample.label] = count + 1
    return train, held_out


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
