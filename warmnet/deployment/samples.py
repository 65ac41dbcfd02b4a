"""Pictures to calibrate and to compare on: those of a data set, or else drawn by a formula."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..data.images import read_image, upright_rgb
from ..data.preprocessing import Preprocessing
from ..errors import InputError
from .metadata import About

COMPARED, MEASURED, CALIBRATED = 16, 1000, 200  # images at most: without labels to look at, of held-out ones, of training ones


class Pictures(NamedTuple):
    """Inputs of a network (N, ...), their labels if they are known, and what they are, in words."""

    inputs: np.ndarray
    labels: np.ndarray | None
    source: str


def of_data(data: Any, samples: Sequence[Any], most: int, about: About, words: str) -> Pictures:
    """At most so many of the samples of a `warmnet.training.Data`, evenly chosen, labelled by the network's outputs."""
    if about.preprocessing is None:
        raise InputError("The network has no preprocessing of RGB images, so images cannot be made into its inputs.")
    names, outputs = about.classes or data.classes, int(about.network.get("num_classes", 0))
    if not samples or outputs and not 1 < outputs == len(names):
        raise InputError(
            f"The network has {outputs} outputs and {data.name} has {len(samples)} {words} of {len(data.classes)} "
            f"classes: that does not tell its accuracy. Pass images of the classes that it was trained on."
        )
    if unknown := [name for name in data.classes if name not in names]:
        raise InputError(f"The network does not know the class {unknown[0]!r} of the images. Its classes: {', '.join(names)}.")
    chosen = [samples[i] for i in np.linspace(0, len(samples) - 1, min(most, len(samples))).astype(int)]
    inputs = np.stack([pixels(sample.image, about.preprocessing) for sample in chosen])
    labels = np.array([names.index(data.classes[sample.label]) for sample in chosen])
    return Pictures(inputs, labels, f"{len(chosen)} {words} of {data.name}")


def drawn(about: About, count: int = COMPARED, seed: int = 0) -> Pictures:
    """Clouds whose spectrum falls with the frequency as in photographs (Field, 1987), the same wherever they are drawn."""
    channels, height, width = about.size
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1 / max(height, width)
    noise = np.fft.rfft2(generator.standard_normal((count, channels, height, width))) / frequency
    noise[:, 1:] = 0.8 * noise[:, :1] + 0.4 * noise[:, 1:]  # colours go together
    x = np.fft.irfft2(noise, s=(height, width))
    x = (x - x.mean((1, 2, 3), keepdims=True)) / x.std((1, 2, 3), keepdims=True)
    x += generator.uniform(-1, 1, (count, channels, 1, 1))
    source = f"{count} pictures drawn by a formula"
    if about.preprocessing is None:
        return Pictures(x.astype(np.float32), None, source)
    return Pictures((115 + 60 * x).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1).copy(), None, source)


def pixels(image: Any, preprocessing: Preprocessing) -> np.ndarray:
    """(resolution, resolution, 3) uint8: an image as `preprocessing` cuts and resizes it, before it is normalized.

    `image` is a path, an open file, an array (H, W) or (H, W, 3) of uint8, or a PIL image.
    """
    return np.asarray(preprocessing.pixels(opened(image)))


def opened(image: Any) -> Any:
    """A PIL image, upright and in RGB."""
    from PIL import Image

    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
            raise InputError(f"An image is an array (H, W, 3) of uint8, not {image.shape} of {image.dtype}.")
        return Image.fromarray(image).convert("RGB")
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    return upright_rgb(image) if isinstance(image, Image.Image) else read_image(image.open())
