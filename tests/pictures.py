"""Folders of real images: scikit-learn's scanned digits as PNG files."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def write_digits(root: Path, classes: Sequence[int] = (0, 1), count: int = 10, skip: int = 0) -> Path:
    """`root`, with `count` digits of each class in `root/<class>/00.png` and on, from the `skip`th of that class."""
    scans = load_digits()
    for label in classes:
        (root / str(label)).mkdir(parents=True)
        of_class = (scan for scan, target in zip(scans.images, scans.target) if target == label)
        for n, scan in enumerate(islice(of_class, skip, skip + count)):
            Image.fromarray((255 - scan * (255 / 16)).astype(np.uint8)).save(root / str(label) / f"{n:02}.png")
    return root


def truncate(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
