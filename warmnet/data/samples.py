"""Samples and data sets: images with their labels; `hold_out` decides which are not trained on."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from .image_facts import ImageFacts, facts_of_pixels, read_facts
from .tar_members import Member

if TYPE_CHECKING:
    from PIL.Image import Image

SHARE = 0.2  # of a class that is held out


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
    - `facts`: what decoding found out of each image that is a file, see `facts_of`.
    """

    name: str
    classes: tuple[str, ...]
    train: list[Sample]
    held_out: list[Sample]
    skipped: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    facts: Mapping[Path | Member, ImageFacts] = field(default_factory=dict)

    def __repr__(self) -> str:
        images = f"{len(self.train):,} images to train on, {len(self.held_out):,} held out"
        return f"<Data {self.name!r}: {len(self.classes):,} classes, {images}>"

    def facts_of(self, image: Path | Member | Image) -> ImageFacts:
        """What is known of an image of a sample; a file that was not decoded yet is decoded for it."""
        if not isinstance(image, (Path, Member)):
            return facts_of_pixels(image)
        return self.facts.get(image) or read_facts(image, Path())

    @property
    def median_short_side(self) -> float:
        """The median of the shorter sides of the images to train on, in pixels."""
        facts = [self.facts_of(sample.image) for sample in self.train]
        return statistics.median(min(image.width, image.height) for image in facts)

    def class_weights(self) -> Tensor:
        """(classes,): how much an image of a class counts, so that all classes count the same, and an image 1 in the mean."""
        counts = torch.bincount(torch.tensor([label for _, label in self.train]), minlength=len(self.classes))
        return len(self.train) / (len(self.classes) * counts.clamp(min=1))


def check_is_data(data: Any) -> None:
    """Raise InputError for what is no data set."""
    if not isinstance(data, Data):
        raise InputError(f"data is {data!r:.60}, and not a data set. For a folder of images it is training.folder('pets').")


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
