"""Data sets of images in memory: arrays, tensors and PIL images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import numpy as np
import torch

from ..errors import extra
from ..text import shortened
from .assembly import check_same_classes, sort_classes
from .errors import DataError
from .images import image_in_memory
from .modes import brightest_of_16_bits, darkness, has_16_bits
from .samples import SHARE, Data, Sample, hold_out

with extra("train"):
    from PIL import Image

LONGEST = 40  # letters of a label in a message


def arrays(
    images: Iterable[Any], labels: Iterable[Any], classes: Iterable[Any] | None = None, *,
    val: tuple[Iterable[Any], Iterable[Any]] | None = None, val_share: float | None = None,
) -> Data:  # fmt: skip
    """A data set of images in memory: of each class a share is held out, or `val` is.

    - `images`: an array or a tensor (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4), or arrays, tensors or PIL images of
      any sizes. Of uint8, bool, uint16, whose white is 65535, or floats from 0 to 1.
    - `labels`: N numbers or names of classes.
    - `classes`: the names of the classes, which numbers count from 0. Default: what the labels are, sorted.
    - `val`: the images and the labels that are held out, such as `(x_test, y_test)`.
    - `val_share`: how much is held out without `val`, above 0 and below 1. Default: 0.2, the first of every five of a class.

    Raises ImageError, with the number, for what is not an image, and DataError for anything else that is wrong.

    >>> import numpy as np
    >>> from warmnet import training
    >>> data = training.arrays(np.zeros((10, 8, 8), np.uint8), ["cat", "dog"] * 5)
    >>> len(data.train), len(data.held_out), data.classes
    (8, 2, ('cat', 'dog'))
    """
    _check_share(val, val_share)
    parts = [_Part("", images, labels)] + ([] if val is None else [_Part(" of val", *_pair(val))])
    train_names, val_names = _all_names(parts, classes)
    order = sort_classes(train_names) if classes is None else tuple(map(str, classes))
    _check_counts(train_names, order, least=2 if val is None else 1)
    if val is not None:
        check_same_classes(("images", "val"), order, val_names, "leave out val, and a share of images is held out")
    label_of = {name: label for label, name in enumerate(order)}
    brightest: list[int] = []
    samples = [
        part.samples([label_of[name] for name in names], brightest) for part, names in zip(parts, (train_names, val_names))
    ]
    train, held_out = samples if val is not None else hold_out(samples[0], SHARE if val_share is None else val_share)
    return Data("arrays", order, train, held_out, notes=tuple(filter(None, [darkness(brightest)])))


class _Part:
    """Images and as many labels; `of` goes after "images" and "labels" in messages."""

    def __init__(self, of: str, images: Iterable[Any], labels: Iterable[Any]):
        for what, values in ("images", images), ("labels", labels):
            if not isinstance(values, Iterable):
                raise DataError(f"The {what}{of} are of type {type(values).__name__}. Pass images, and a label for each.")
        self.of, self.images, self.labels = of, list(images), _to_list(labels, of)
        if len(self.images) != len(self.labels):
            raise DataError(
                f"There are {len(self.images)} images{of} and {len(self.labels)} labels{of}. Each image has one label."
            )

    def samples(self, labels: Sequence[int], brightest: list[int]) -> list[Sample]:
        """The images with these labels; what is brightest in those of 16 bits is added to `brightest`."""
        found = []
        for number, (image, label) in enumerate(zip(self.images, labels)):
            name = f"images[{number}]{self.of}"
            pixels = _pixels(image, name)
            deep = has_16_bits(pixels)
            found.append(Sample(image_in_memory(pixels, name), label))
            if deep:
                brightest.append(brightest_of_16_bits(pixels))
        return found


def _pair(val: Any) -> tuple[Iterable[Any], Iterable[Any]]:
    """Images and labels. Raises DataError if it is no pair."""
    if not isinstance(val, (tuple, list)) or len(val) != 2:
        raise DataError(f"val is a {type(val).__name__}. It is a pair of images and labels: val=(x_test, y_test).")
    return val[0], val[1]


def _check_share(val: Any, val_share: float | None) -> None:
    """Raise a DataError if there is no such share, or nothing to take it of."""
    if val_share is None:
        return
    if val is not None:
        raise DataError(f"val is held out already, and not a share of {val_share:g}. Leave out one of them.")
    if not 0 < val_share < 1:
        raise DataError(f"The share to hold out is {val_share:g}. It is above 0 and below 1, such as {SHARE}.")


def _all_names(parts: Sequence[_Part], classes: Iterable[Any] | None) -> tuple[list[str], list[str]]:
    """The names of the classes of the first part's labels and of the others', which are all of one kind."""
    labels = [label for part in parts for label in part.labels]
    places = [f"labels[{number}]{part.of}" for part in parts for number in range(len(part.labels))]
    names = [*map(str, labels)] if classes is None else _names(labels, tuple(map(str, classes)), places)
    first = len(parts[0].labels)
    return names[:first], names[first:]


def _to_list(labels: Any, of: str) -> list[str | int]:
    """Labels (N,) or (N, 1) as a list of names and whole numbers."""
    if isinstance(labels, (np.ndarray, torch.Tensor)):
        if labels.ndim == 2 and labels.shape[1] == 1:  # as Keras has them
            labels = labels[:, 0]
        if labels.ndim != 1:
            raise DataError(f"labels{of} are {tuple(labels.shape)}, and (N,) is expected: of one-hot labels, labels.argmax(1).")
        labels = labels.tolist()
    labels = list(labels)
    for number, label in enumerate(labels):
        if isinstance(label, bool) or not isinstance(label, (str, int, np.integer)):
            value = shortened(" ".join(repr(label).split()), LONGEST)
            raise DataError(f"labels[{number}]{of} is {value}. A label is a whole number or the name of a class.")
    return labels


def _names(labels: Sequence[str | int], classes: Sequence[str], places: Sequence[str]) -> list[str]:
    """The names of the classes that labels are: all are names, or all count them from 0. DataError if both can be, or none.

    `places`: what messages call each label.
    """
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise DataError(f"The class {twice[0]} is in classes twice. Name each once.")
    by_name = [str(label) for label in labels if str(label) in classes]
    by_number = [classes[label] for label in labels if _counts(label, classes)]
    readings = [names for names in (by_name, by_number) if len(names) == len(labels)]
    if not readings:
        raise DataError(_stray(labels, classes, places))
    if readings[0] != readings[-1]:
        raise DataError(
            f"The labels are numbers, and the classes {_some(classes)} are called by numbers in another order: is 0 the first "
            f"or the one called 0? Pass names, [str(label) for label in labels], or classes in their order."
        )
    return readings[0]


def _counts(label: str | int, classes: Sequence[str]) -> TypeGuard[int]:
    """Whether a label is the number of a class, from 0."""
    return not isinstance(label, str) and 0 <= label < len(classes)


def _stray(labels: Sequence[str | int], classes: Sequence[str], places: Sequence[str]) -> str:
    """What is wrong with labels that are neither all names of classes nor all numbers of them."""
    for place, label in zip(places, labels):
        if str(label) not in classes and not _counts(label, classes):
            return f"{place} is {label!r}, and the classes are {_some(classes)}."
    return "Some labels are names of classes, and others numbers. Pass names alone."


def _some(classes: Sequence[str]) -> str:
    """The first classes, and how many there are."""
    return f"{', '.join(classes[:5])}: {len(classes)}"


def _check_counts(names: Iterable[str], order: Sequence[str], least: int) -> None:
    """Raise a DataError if there are fewer than two classes, or fewer images than `least` of one."""
    counts = Counter(names)
    few = [name for name in order if counts[name] < least]
    if few:
        raise DataError(f"The class {few[0]} has {counts[few[0]]} images, and {least} is the least.")
    if len(order) < 2:
        raise DataError(f"There are {len(order)} classes, and 2 is the least.")


def _pixels(image: Any, name: str) -> Image.Image | np.ndarray:
    """An image as a PIL image or an array."""
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, torch.Tensor):
        exact = image.float() if image.is_floating_point() else image  # NumPy has no bfloat16
        return exact.numpy(force=True)
    if isinstance(image, (str, os.PathLike)):
        raise DataError(
            f"{name} is a path, {image}. Files are read by training.folder(root, labels='FILE.csv'), or one by one "
            f"by warmnet.data.read_image."
        )
    return np.asarray(image)
