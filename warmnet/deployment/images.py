"""Images as users have them: a path, a PIL image, an array of uint8, or a list of these; as pixels for a network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..data.images import read_image, upright_rgb
from ..data.preprocessing import Preprocessing
from ..errors import InputError, extra


def is_one(images: Any) -> bool:
    """Whether it is one image, and not several."""
    if isinstance(images, (str, os.PathLike)) or not isinstance(images, Iterable):
        return True
    return getattr(images, "ndim", 0) in (2, 3)


def to_pixels(image: Any, preprocessing: Preprocessing) -> np.ndarray:
    """(resolution, resolution, 3) uint8: an image as `preprocessing` cuts and resizes it, before it is normalized."""
    return np.asarray(preprocessing.pixels(to_pil(image)))


def to_pil(image: Any) -> Any:
    """A PIL image, upright and in RGB.

    - `image`: a path, a PIL image, an array (H, W) or (H, W, 3) of uint8, or what has `open()`, which gives a file.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    with extra("train"):
        from PIL import Image
    if isinstance(image, Image.Image):
        return upright_rgb(image)
    if not isinstance(image, np.ndarray):
        return read_image(image.open())
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise InputError(f"An image is an array (H, W, 3) of uint8, not {image.shape} of {image.dtype}.")
    return Image.fromarray(image).convert("RGB")
