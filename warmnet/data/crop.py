"""Which part of an image is trained on: the official sampler and torchvision's."""

from __future__ import annotations

import math
import random

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels

TALLEST, WIDEST = 3 / 4, 4 / 3
SMALLEST = 0.08  # share of the image's area


def official_crop(width: int, height: int, rng: random.Random, central: float = 0.875) -> Box:
    """A random box with 10 % to 100 % of an image's area, of width / height 3/4 to 4/3; after ten misses the central square.

    tensorflow/tpu, models/official/efficientnet/preprocessing.py, with tf.image.sample_distorted_bounding_box (TensorFlow's
    kernels/image/sample_distorted_bounding_box_op.cc). Width / height is drawn evenly, and then the height, so that small boxes
    are more frequent than with `random_resized_crop`: 39 % of the area of a 500x375 image in the mean, not 43 %.

    - `central`: the square's share of the short side, `Preprocessing.crop`.
    """
    for _ in range(10):
        w, h = _official_size(width, height, rng.uniform(TALLEST, WIDEST), rng)
        if (w, h) == (width, height):
            break
        if w <= width and h <= height and w * h / (width * height) >= 0.1:
            top = rng.randrange(height - h) if h < height else 0  # like TensorFlow's, not down to the last row
            left = rng.randrange(width - w) if w < width else 0
            return left, top, left + w, top + h
    side = max(1, int(central * min(width, height)))
    left, top = (width - side + 1) // 2, (height - side + 1) // 2
    return left, top, left + side, top + side


def _official_size(width: int, height: int, ratio: float, rng: random.Random) -> tuple[int, int]:
    """Sides with this width / height, the height drawn evenly from what has 8 % to 100 % of the area. Few do not fit."""
    area = width * height
    highest = round(math.sqrt(area / ratio))
    if round(highest * ratio) > width:
        highest = int((width + 0.5 - 1e-7) / ratio)
        if round(highest * ratio) > width:
            highest -= 1
    highest = min(highest, height)
    h = rng.randint(min(round(math.sqrt(SMALLEST * area / ratio)), highest), highest)
    if round(h * ratio) * h < SMALLEST * area:
        h += 1
    if round(h * ratio) * h > area:
        h -= 1
    return round(h * ratio), h


def random_resized_crop(width: int, height: int, rng: random.Random, share: tuple[float, float] = (SMALLEST, 1)) -> Box:
    """A random box with a share of an image's area in `share`, of width / height 3/4 to 4/3; after ten misses the central one.

    torchvision.transforms.RandomResizedCrop, and timm's: the area is drawn evenly, and so is the logarithm of width / height.
    """
    for _ in range(10):
        area = width * height * rng.uniform(*share)
        ratio = math.exp(rng.uniform(math.log(TALLEST), math.log(WIDEST)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 1 <= w <= width and 1 <= h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return left, top, left + w, top + h
    w, h = min(width, round(height * WIDEST)), min(height, round(width / TALLEST))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h
