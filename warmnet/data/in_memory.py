"""Data sets of images in memory: arrays, tensors and PIL images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..errors import extra
from .assembly import sort_classes
from .errors import DataError
from .modes import to_8_bits, upright_rgb
from .samples import Data, Sample, hold_out

with extra("train"):
    from PIL import Image


def arrays(images: Any, labels: Any, classes: Sequence[str] | None = None) -> Data:
    """A data set of images in memory; the first of every five of a class is held out.

    - `images`: an array or a tensor (N, H, W), (N, H, W, 3) or (N, H, W, 4), or a list of arrays or PIL images of any sizes.
      Arrays are of uint8, of uint16, or of floats from 0 to 1.
    - `labels`: N numbers or names of classes.
    - `classes`: the names of the classes, which numbers count from 0. Default: what the labels are, sorted.

    >>> import numpy as np
    >>> from warmnet import training
    >>> data = training.arrays(np.zeros((10, 8, 8), np.uint8), ["cat", "dog"] * 5)
    >>> len(data.train), len(data.held_out), data.classes
    (8, 2, ('cat', 'dog'))
    """
    if len(images) != len(labels):
        raise DataError(f"There are {len(images)} images and {len(labels)} labels. Each image has one label.")
    names = [_class_name(label, number, classes) for number, label in enumerate(_to_list(labels))]
    order = sort_classes(names) if classes is None else tuple(map(str, classes))
    counts = Counter(names)
    few = [name for name in order if counts[name] < 2]
    if few or len(order) < 2:
        content = f"The class {few[0]} has {counts[few[0]]} images" if few else f"There are {len(order)} classes"
        raise DataError(f"{content}, and 2 is the least.")
    label_of = {name: label for label, name in enumerate(order)}
    samples = [Sample(_to_pil(image, number), label_of[name]) for number, (image, name) in enumerate(zip(images, names))]
    train, held_out = hold_out(samples)
    return Data("arrays", order, train, held_out)


def _to_list(labels: Any) -> list[Any]:
    """Labels as a list of Python's own values."""
    if isinstance(labels, (np.ndarray, torch.Tensor)):
        if labels.ndim != 1:
            raise DataError(f"labels are {tuple(labels.shape)}, and (N,) is expected: of one-hot labels, labels.argmax(1).")
        return labels.tolist()
    return list(labels)


def _class_name(label: Any, number: int, classes: Sequence[str] | None) -> str:
    """The name of the class that a label is: a name, or the number of one."""
    is_number = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
    if not is_number and not isinstance(label, str):
        raise DataError(f"labels[{number}] is {label!r}. A label is a whole number or the name of a class.")
    if classes is None:
        return str(label)
    if is_number and 0 <= label < len(classes):
        return str(classes[label])
    if label in list(classes):
        return str(label)
    raise DataError(f"labels[{number}] is {label!r}, and the classes are {', '.join(map(str, classes[:5]))}: {len(classes)}.")


def _to_pil(image: Any, number: int) -> Image.Image:
    """An image in RGB; DataError, with its number, if it is none."""
    if isinstance(image, Image.Image):
        return upright_rgb(image)
    pixels = image.numpy(force=True) if isinstance(image, torch.Tensor) else np.asarray(image)
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,), (4,)) or 0 in pixels.shape:
        cure = ""
        if pixels.shape[:1] in ((1,), (3,), (4,)):
            cure = (
                " Its channels come first: permute(0, 2, 3, 1) of a tensor, or transpose(0, 2, 3, 1) of an array, moves them."
            )
        raise DataError(f"images[{number}] is {pixels.shape}, and an image is (H, W), (H, W, 3) or (H, W, 4).{cure}")
    if pixels.dtype.kind == "f":
        if not (pixels >= 0).all() or not (pixels <= 1).all():
            raise DataError(
                f"images[{number}] is of floats from {pixels.min():g} to {pixels.max():g}, and 0 to 1 is allowed. Scale "
                f"them, or pass uint8."
            )
        pixels = (pixels * 255).round().astype(np.uint8)
    elif pixels.dtype == np.uint16:
        pixels = to_8_bits(pixels)
    elif pixels.dtype != np.uint8:
        raise DataError(f"images[{number}] is of {pixels.dtype}, and uint8, uint16 and floats from 0 to 1 are allowed.")
    return upright_rgb(Image.fromarray(pixels))
