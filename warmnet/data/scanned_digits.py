"""scikit-learn's scanned digits, a data set that is always at hand."""

from __future__ import annotations

import numpy as np

from ..errors import extra
from .samples import Data, Sample, hold_out

with extra("train"):
    from PIL import Image


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
    train, held_out = hold_out(samples)
    return Data("digits", tuple(map(str, range(10))), train, held_out)
