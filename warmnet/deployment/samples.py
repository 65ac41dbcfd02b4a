"""Samples to calibrate and to compare on: images of a data set, or else synthetic ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from .metadata import Metadata

COMPARED, MEASURED, CALIBRATED = 16, 1000, 32  # samples at most: to compare logits, to measure accuracy, to calibrate int8


class Samples(NamedTuple):
    """Inputs of a network (N, ...), their labels if they are known, and what they are, in words."""

    inputs: np.ndarray
    labels: np.ndarray | None
    source: str


def choose_samples(data: Any, samples: Sequence[Any], most: int, metadata: Metadata, kind: str) -> Samples:
    """At most so many of the samples of a `warmnet.training.Data`, evenly chosen, labelled by the network's outputs.

    - `kind`: what they are called in messages, such as 'held-out images'.
    """
    if metadata.preprocessing is None:
        raise InputError("The network has no preprocessing of RGB images, so images cannot be made into its inputs.")
    names, outputs = metadata.classes or data.classes, int(metadata.network.get("num_classes", 0))
    if not samples or outputs and not 1 < outputs == len(names):
        raise InputError(
            f"The network has {outputs} outputs and {data.name} has {len(samples)} {kind} of {len(data.classes)} "
            f"classes: that does not tell its accuracy. Pass images of the classes that it was trained on."
        )
    unknown = [name for name in data.classes if name not in names]
    if unknown:
        known = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
        raise InputError(
            f"The network does not know the class {unknown[0]!r} of the images of {data.name}. Its classes: {known}. Pass "
            f"images of the classes that it was trained on."
        )
    chosen = [samples[i] for i in np.linspace(0, len(samples) - 1, min(most, len(samples))).astype(int)]
    inputs = np.stack([np.asarray(metadata.preprocessing.pixels(sample.image)) for sample in chosen])
    labels = np.array([names.index(data.classes[sample.label]) for sample in chosen])
    return Samples(inputs, labels, f"{len(chosen)} {kind} of {data.name}")


def synthetic_samples(metadata: Metadata, count: int = COMPARED, seed: int = 0) -> Samples:
    """Clouds whose spectrum falls with the frequency as in photographs (Field, 1987), the same on every machine."""
    channels, height, width = metadata.size
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1 / max(height, width)
    noise = np.fft.rfft2(generator.standard_normal((count, channels, height, width))) / frequency
    noise[:, 1:] = 0.8 * noise[:, :1] + 0.4 * noise[:, 1:]  # colours go together
    x = np.fft.irfft2(noise, s=(height, width))
    x = (x - x.mean((1, 2, 3), keepdims=True)) / x.std((1, 2, 3), keepdims=True)
    x += generator.uniform(-1, 1, (count, channels, 1, 1))
    if metadata.preprocessing is None:
        inputs = x.astype(np.float32)
    else:
        inputs = (115 + 60 * x).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1).copy()
    return Samples(inputs, None, f"{count} synthetic images")
