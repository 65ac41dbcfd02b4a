"""Data sets of images in memory: arrays, tensors and PIL images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import numpy as np
import torch

from ..errors import extra
from .assembly import sort_classes
from .errors import DataError
from .images import image_in_memory
from .modes import brightest_of_16_bits, darkness, has_16_bits
from .samples import SHARE, Data, Sample, hold_out

with extra("train"):
    from PIL import Image


def arrays(
    images: Iterable[Any], labels: Iterable[Any], classes: Iterable[Any] | None = None, *, val_share: float = SHARE
) -> Data:  # fmt: skip
    """A data set of images in memory, of which a share of each class is held out.

    - `images`: an array or a tensor (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4), or arrays, tensors or PIL images of
      any sizes. Of uint8, bool, uint16, whose white is 65535, or floats from 0 to 1.
    - `labels`: N numbers or names of classes.
    - `classes`: the names of the classes, which numbers count from 0. Default: what the labels are, sorted.
    - `val_share`: what is held out, above 0 and below 1; of 0.2 the first of every five of a class.

    An image that is none is an ImageError with its number; DataError says what else is wrong.

    >>> import numpy as np
    >>> from warmnet import training
    >>> data = training.arrays(np.zeros((10, 8, 8), np.uint8), ["cat", "dog"] * 5)
    >>> len(data.train), len(data.held_out), data.classes
    (8, 2, ('cat', 'dog'))
    """
    images, labels = list(images), _to_list(labels)
    if len(images) != len(labels):
        raise DataError(f"There are {len(images)} images and {len(labels)} labels. Each image has one label.")
    if not 0 < val_share < 1:
        raise DataError(f"The share to hold out is {val_share:g}. It is above 0 and below 1, such as {SHARE}.")
    names = [str(label) for label in labels] if classes is None else _names(labels, tuple(map(str, classes)))
    order = sort_classes(names) if classes is None else tuple(map(str, classes))
    _check_counts(names, order)
    label_of = {name: label for label, name in enumerate(order)}
    samples, brightest = [], []
    for number, (image, name) in enumerate(zip(images, names)):
        pixels = _pixels(image, number)
        deep = has_16_bits(pixels)
        samples.append(Sample(image_in_memory(pixels, f"images[{number}]"), label_of[name]))
        if deep:
            brightest.append(brightest_of_16_bits(pixels))
    train, held_out = hold_out(samples, val_share)
    return Data("arrays", order, train, held_out, notes=tuple(filter(None, [darkness(brightest)])))


def _to_list(labels: Any) -> list[str | int]:
    """Labels (N,) or (N, 1) as a list of names and whole numbers."""
    if isinstance(labels, (np.ndarray, torch.Tensor)):
        if labels.ndim == 2 and labels.shape[1] == 1:  # as Keras has them
            labels = labels[:, 0]
        if labels.ndim != 1:
            raise DataError(f"labels are {tuple(labels.shape)}, and (N,) is expected: of one-hot labels, labels.argmax(1).")
        labels = labels.tolist()
    labels = list(labels)
    for number, label in enumerate(labels):
        if isinstance(label, bool) or not isinstance(label, (str, int, np.integer)):
            raise DataError(f"labels[{number}] is {label!r}. A label is a whole number or the name of a class.")
    return labels


def _names(labels: Sequence[str | int], classes: Sequence[str]) -> list[str]:
    """The names of the classes that labels are: all are names, or all count them from 0. DataError if both can be, or none."""
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise DataError(f"The class {twice[0]} is in classes twice. Name each once.")
    by_name = [str(label) for label in labels if str(label) in classes]
    by_number = [classes[label] for label in labels if _counts(label, classes)]
    readings = [names for names in (by_name, by_number) if len(names) == len(labels)]
    if not readings:
        raise DataError(_stray(labels, classes))
    if readings[0] != readings[-1]:
        raise DataError(
            f"The labels are numbers, and the classes {_some(classes)} are called by numbers in another order: is 0 the first "
            f"or the one called 0? Pass names, [str(label) for label in labels], or classes in their order."
        )
    return readings[0]


def _counts(label: str | int, classes: Sequence[str]) -> TypeGuard[int]:
    """Whether a label is the number of a class, from 0."""
    return not isinstance(label, str) and 0 <= label < len(classes)


def _stray(labels: Sequence[str | int], classes: Sequence[str]) -> str:
    """What is wrong with labels that are neither all names of classes nor all numbers of them."""
    for number, label in enumerate(labels):
        if str(label) not in classes and not _counts(label, classes):
            return f"labels[{number}] is {label!r}, and the classes are {_some(classes)}."
    return "Some labels are names of classes, and others numbers. Pass names alone."


def _some(classes: Sequence[str]) -> str:
    """The first classes, and how many there are."""
    return f"{', '.join(classes[:5])}: {len(classes)}"


def _check_counts(names: Iterable[str], order: Sequence[str]) -> None:
    """Raise a DataError if there are too few classes, or images of one."""
    counts = Counter(names)
    few = [name for name in order if counts[name] < 2]
    if few or len(order) < 2:
        content = f"The class {few[0]} has {counts[few[0]]} images" if few else f"There are {len(order)} classes"
        raise DataError(f"{content}, and 2 is the least.")


def _pixels(image: Any, number: int) -> Image.Image | np.ndarray:
    """An image as a PIL image or an array."""
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, torch.Tensor):
        exact = image.float() if image.is_floating_point() else image  # NumPy has no bfloat16
        return exact.numpy(force=True)
    if isinstance(image, (str, os.PathLike)):
        raise DataError(
            f"images[{number}] is a path, {image}. Files are read by training.folder(root, labels='FILE.csv'), or one by one "
            f"by warmnet.data.read_image."
        )
    return np.asarray(image)
