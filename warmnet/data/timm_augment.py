"""RandAugment as timm has it, pixel for pixel: with magnitude 9 the `rand-m9-mstd0.5` that its B0 was trained with.

The definitions are those of timm 1.0.31, data/auto_augment.py and data/transforms_factory.py. The operations are Pillow's, and
what is done with them is not what the official RandAugment does, see autoaugment.py:

- There are 15, without `cutout`. Two are drawn, and each is applied half of the time, so that a quarter of the images stays.
- The level is drawn for each, about the magnitude, and level 10 is the highest.
- Translations are relative: level 10 is 45 % of the side.
- What is moved is interpolated, with either of two filters, and what comes in is ImageNet's mean colour.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..errors import InputError, extra
from ..spelling import choose_one
from .autoaugment import sign

with extra("train"):
    from PIL import Image, ImageEnhance, ImageOps

SPREAD = 0.5  # standard deviation of the level
PROBABILITY = 0.5
MEAN = 124, 116, 104
FILTERS = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC

OPERATIONS: dict[str, Callable[[Image.Image, float, random.Random], Image.Image]] = {  # at the share m of the highest level
    "AutoContrast": lambda image, m, rng: ImageOps.autocontrast(image),
    "Equalize": lambda image, m, rng: ImageOps.equalize(image),
    "Invert": lambda image, m, rng: ImageOps.invert(image),
    "Rotate": lambda image, m, rng: image.rotate(sign(rng) * m * 30, rng.choice(FILTERS), fillcolor=MEAN),
    "Posterize": lambda image, m, rng: image.point(lambda i: i >> 8 - int(m * 4) << 8 - int(m * 4)),
    "Solarize": lambda image, m, rng: ImageOps.solarize(image, int(m * 256)),
    "SolarizeAdd": lambda image, m, rng: image.point(lambda i: i + int(m * 110) if i < 128 else i),
    "Color": lambda image, m, rng: ImageEnhance.Color(image).enhance(m * 1.8 + 0.1),
    "Contrast": lambda image, m, rng: ImageEnhance.Contrast(image).enhance(m * 1.8 + 0.1),
    "Brightness": lambda image, m, rng: ImageEnhance.Brightness(image).enhance(m * 1.8 + 0.1),
    "Sharpness": lambda image, m, rng: ImageEnhance.Sharpness(image).enhance(m * 1.8 + 0.1),
    "ShearX": lambda image, m, rng: warp(image, (1, sign(rng) * m * 0.3, 0, 0, 1, 0), rng),
    "ShearY": lambda image, m, rng: warp(image, (1, 0, 0, sign(rng) * m * 0.3, 1, 0), rng),
    "TranslateX": lambda image, m, rng: warp(image, (1, 0, sign(rng) * m * 0.45 * image.width, 0, 1, 0), rng),
    "TranslateY": lambda image, m, rng: warp(image, (1, 0, 0, 0, 1, sign(rng) * m * 0.45 * image.height), rng),
}


def timm_rand_augment(image: Image.Image, rng: random.Random, magnitude: float = 9) -> Image.Image:
    """An RGB image after none, one or two of the operations, at levels about `magnitude`.

    >>> import random
    >>> from PIL import Image
    >>> from warmnet.data.timm_augment import timm_rand_augment
    >>> timm_rand_augment(Image.new("RGB", (224, 224)), random.Random(0)).size
    (224, 224)
    """
    for operation in rng.choices([*OPERATIONS], k=2):
        if rng.random() < PROBABILITY:
            image = apply(operation, min(max(rng.gauss(magnitude, SPREAD), 0), 10), image, rng)
    return image


def apply(operation: str, level: float, image: Image.Image, rng: random.Random) -> Image.Image:
    """An RGB image after one operation at a level from 0 to 10. `rng` draws signs and filters."""
    if operation not in OPERATIONS:
        raise InputError(f"Unknown operation {operation!r}. {choose_one(operation, OPERATIONS)}.")
    if not 0 <= level <= 10:
        raise InputError(f"level is {level}; it must be from 0 to 10.")
    if image.mode != "RGB":
        raise InputError(f"The image is {image.mode}; it must be RGB: image.convert('RGB').")
    return OPERATIONS[operation](image, level / 10, rng)


def warp(image: Image.Image, places: tuple[float, ...], rng: random.Random) -> Image.Image:
    """What is at (x, y) was at (a x + b y + c, d x + e y + f), for `places` a to f."""
    return image.transform(image.size, Image.Transform.AFFINE, places, rng.choice(FILTERS), fillcolor=MEAN)
