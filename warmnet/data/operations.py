"""Operations of policies: each by a strength, of which 0 leaves an image as it is and 1 changes it most.

The official operations, see autoaugment.py, have levels instead: level 0 makes an image almost black, or inverts it, and a
translation counts pixels. Here a larger strength is a larger change, lengths are shares of the side, and what comes in from
outside has the colour of the image's border.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from ..errors import extra

with extra("train"):
    from PIL import Image, ImageChops, ImageEnhance, ImageOps

GEOMETRY = "rotate", "shear_x", "shear_y"
TONE = "brightness", "contrast", "sharpness", "equalize"
COLOUR = "saturation", "hue"  # of pictures that have colours


def border_colour(image: Image.Image) -> tuple[int, int, int]:
    """The median colour of the outermost pixels of an RGB image."""
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    middle = len(border) // 2
    red, green, blue = np.partition(border, middle, axis=0)[middle].tolist()
    return red, green, blue


def apply(operation: str, strength: float, image: Image.Image, rng: random.Random) -> Image.Image:
    """An RGB image after an operation, changed by up to the strength, in 0..1: by how much and where is drawn."""
    return OPERATIONS[operation](image, rng.uniform(-strength, strength), rng)


def _rotate(image: Image.Image, amount: float, rng: random.Random) -> Image.Image:
    return image.rotate(45 * amount, Image.Resampling.BILINEAR, fillcolor=border_colour(image))


def _shear_x(image: Image.Image, amount: float, rng: random.Random) -> Image.Image:
    slope = amount / 2
    return _moved(image, (1, slope, -slope * image.height / 2, 0, 1, 0))


def _shear_y(image: Image.Image, amount: float, rng: random.Random) -> Image.Image:
    slope = amount / 2
    return _moved(image, (1, 0, 0, slope, 1, -slope * image.width / 2))


def _translate_x(image: Image.Image, amount: float, rng: random.Random) -> Image.Image:
    return _moved(image, (1, 0, amount * image.width / 2, 0, 1, 0))


def _translate_y(image: Image.Image, amount: float, rng: random.Random) -> Image.Image:
    return _moved(image, (1, 0, 0, 0, 1, amount * image.height / 2))


def _moved(image: Image.Image, places: tuple[float, ...]) -> Image.Image:
    """What is at (x, y) was at (a x + b y + c, d x + e y + f), for `places` a to f."""
    method, filter = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return image.transform(image.size, method, places, filter, fillcolor=border_colour(image))


def _hue(image: Image.Image, amount: float, rng: random.Random) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = ImageChops.add_modulo(hue, Image.new("L", image.size, round(128 * amount) % 256))
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB") if round(128 * amount) else image


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Callable[..., Image.Image]:
    """An operation of Pillow's ImageEnhance, at most ten times weaker, or nearly twice as strong."""
    return lambda image, amount, rng: kind(image).enhance(1 + 0.9 * amount)


def _cutout(image: Image.Image, amount: float, rng: random.Random) -> Image.Image:
    """A box in the colour of the border, its sides up to half of the image's, somewhere in it."""
    width, height = (round(abs(amount) * side / 2) for side in image.size)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    image = image.copy()
    image.paste(border_colour(image), (left, top, left + width, top + height))
    return image


OPERATIONS: dict[str, Callable[[Image.Image, float, random.Random], Image.Image]] = {  # by an amount in -1..1
    "rotate": _rotate,  # by up to 45 degrees
    "shear_x": _shear_x,  # by up to a quarter of the side at each edge
    "shear_y": _shear_y,
    "translate_x": _translate_x,  # by up to half of the side
    "translate_y": _translate_y,
    "brightness": _enhanced(ImageEnhance.Brightness),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "equalize": lambda image, amount, rng: Image.blend(image, ImageOps.equalize(image), abs(amount)),
    "solarize": lambda image, amount, rng: ImageOps.solarize(image, round(256 * (1 - abs(amount)))),
    "posterize": lambda image, amount, rng: ImageOps.posterize(image, 8 - round(7 * abs(amount))),
    "saturation": _enhanced(ImageEnhance.Color),
    "hue": _hue,  # by up to half of the circle
    "cutout": _cutout,
}
