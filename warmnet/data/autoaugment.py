"""AutoAugment's policy v0 and RandAugment, pixel for pixel as the official networks were trained with them.

The definitions are those of tensorflow/tpu, models/official/efficientnet/autoaugment.py, as TensorFlow computes them on a CPU.
They differ from Pillow's operations of the same names, which they were made after:

- Blends and `autocontrast` are computed in float32 and cut off, not rounded. Grey is 255.5 times the weighted sum, cut off.
- `contrast` blends with one grey for every image of a size: its number of pixels over 256, 196 for 224x224.
- `posterize` keeps at least one bit: a shift by 8 is one by 7. More than 8 bits are taken for one.
- `solarize`'s threshold is a byte: 256 is 0, so that level 10 inverts the whole image.
- Shears keep the centres of the first row or column in place, not their edges. What is read is the nearest pixel, and at a tie
  the one farther from the first.
- `translate` counts pixels, whatever the image's size, and may leave nothing of it: level 9 is 225.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..errors import InputError, extra
from ..spelling import choose_one

with extra("train"):
    from PIL import Image

Pixels = np.ndarray  # (H, W, 3), uint8
GREY = 128  # what comes in from outside the image
F = np.float32


class Reach(NamedTuple):
    """What level 10 is, in pixels: how far `translate` goes, and half of the side that `cutout` cuts."""

    translate: int
    cutout: int


AUTO, RAND = Reach(250, 100), Reach(100, 40)

V0 = (  # sub-policies: operation, probability, level; policy_v0, the one that EfficientNet's were trained with
    (("Equalize", 0.8, 1), ("ShearY", 0.8, 4)),
    (("Color", 0.4, 9), ("Equalize", 0.6, 3)),
    (("Color", 0.4, 1), ("Rotate", 0.6, 8)),
    (("Solarize", 0.8, 3), ("Equalize", 0.4, 7)),
    (("Solarize", 0.4, 2), ("Solarize", 0.6, 2)),
    (("Color", 0.2, 0), ("Equalize", 0.8, 8)),
    (("Equalize", 0.4, 8), ("SolarizeAdd", 0.8, 3)),
    (("ShearX", 0.2, 9), ("Rotate", 0.6, 8)),
    (("Color", 0.6, 1), ("Equalize", 1.0, 2)),
    (("Invert", 0.4, 9), ("Rotate", 0.6, 0)),
    (("Equalize", 1.0, 9), ("ShearY", 0.6, 3)),
    (("Color", 0.4, 7), ("Equalize", 0.6, 0)),
    (("Posterize", 0.4, 6), ("AutoContrast", 0.4, 7)),
    (("Solarize", 0.6, 8), ("Color", 0.6, 9)),
    (("Solarize", 0.2, 4), ("Rotate", 0.8, 9)),
    (("Rotate", 1.0, 7), ("TranslateY", 0.8, 9)),
    (("ShearX", 0.0, 0), ("Solarize", 0.8, 4)),
    (("ShearY", 0.8, 0), ("Color", 0.6, 4)),
    (("Color", 1.0, 0), ("Rotate", 0.6, 2)),
    (("Equalize", 0.8, 4), ("Equalize", 0.0, 8)),
    (("Equalize", 1.0, 4), ("AutoContrast", 0.6, 2)),
    (("ShearY", 0.4, 7), ("SolarizeAdd", 0.6, 7)),
    (("Posterize", 0.8, 2), ("Solarize", 0.6, 10)),
    (("Solarize", 0.6, 8), ("Equalize", 0.6, 1)),
    (("Color", 0.8, 6), ("Rotate", 0.4, 5)),
)

OPERATIONS: dict[str, Callable[[Pixels, float, random.Random, Reach], Pixels]] = {  # at the share m of the highest level
    "AutoContrast": lambda x, m, rng, reach: autocontrast(x),
    "Equalize": lambda x, m, rng, reach: equalize(x),
    "Invert": lambda x, m, rng, reach: 255 - x,
    "Rotate": lambda x, m, rng, reach: rotate(x, sign(rng) * m * 30),
    "Posterize": lambda x, m, rng, reach: posterize(x, int(m * 4)),
    "Solarize": lambda x, m, rng, reach: solarize(x, int(m * 256)),
    "SolarizeAdd": lambda x, m, rng, reach: solarize_add(x, int(m * 110)),
    "Color": lambda x, m, rng, reach: blend(grey(x)[..., None], x, m * 1.8 + 0.1),
    "Contrast": lambda x, m, rng, reach: contrast(x, m * 1.8 + 0.1),
    "Brightness": lambda x, m, rng, reach: brightness(x, m * 1.8 + 0.1),
    "Sharpness": lambda x, m, rng, reach: blend(smooth(x), x, m * 1.8 + 0.1),
    "ShearX": lambda x, m, rng, reach: warp(x, (1, sign(rng) * m * 0.3, 0), (0, 1, 0)),
    "ShearY": lambda x, m, rng, reach: warp(x, (1, 0, 0), (sign(rng) * m * 0.3, 1, 0)),
    "TranslateX": lambda x, m, rng, reach: warp(x, (1, 0, sign(rng) * m * reach.translate), (0, 1, 0)),
    "TranslateY": lambda x, m, rng, reach: warp(x, (1, 0, 0), (0, 1, sign(rng) * m * reach.translate)),
    "Cutout": lambda x, m, rng, reach: cutout(x, int(m * reach.cutout), rng),
}


def auto_augment(image: Image.Image, rng: random.Random) -> Image.Image:
    """An RGB image, of the size it is trained in, after one of the 25 sub-policies of AutoAugment v0.

    >>> import random
    >>> from PIL import Image
    >>> from warmnet.data.autoaugment import auto_augment
    >>> auto_augment(Image.new("RGB", (224, 224)), random.Random(0)).size
    (224, 224)
    """
    x = _pixels(image)
    for operation, probability, level in rng.choice(V0):
        if rng.random() < probability:
            x = apply(operation, level, x, rng, AUTO)
    return Image.fromarray(x)


def rand_augment(image: Image.Image, rng: random.Random, magnitude: float, layers: int = 2) -> Image.Image:
    """An RGB image, of the size it is trained in, after as many operations as `layers`, any, at the level `magnitude`.

    RandAugment (arXiv:1909.13719), with 2 layers and 17 for B5, 28 for B7.
    """
    x = _pixels(image)
    for operation in rng.choices([*OPERATIONS], k=layers):
        x = apply(operation, magnitude, x, rng, RAND)
    return Image.fromarray(x)


def apply(operation: str, level: float, x: Pixels, rng: random.Random, reach: Reach = AUTO) -> Pixels:
    """(H, W, 3) uint8 after one operation at a level: 0 to 10, beyond which RandAugment goes. `rng` draws signs and places."""
    if operation not in OPERATIONS:
        raise InputError(f"Unknown operation {operation!r}. {choose_one(operation, OPERATIONS)}.")
    if not 0 <= level < math.inf:
        raise InputError(f"level is {level}; it must be 0 or more, and 10 is the highest of AutoAugment.")
    return OPERATIONS[operation](x, level / 10, rng, reach)


def sign(rng: random.Random) -> int:
    return rng.choice((1, -1))


def blend(a: Pixels, b: Pixels, share: float) -> Pixels:
    """`a` for a share of 0, `b` for 1, and beyond."""
    start = a.astype(F)
    return _cut(start + F(share) * (b - start))


def grey(x: Pixels) -> Pixels:
    """(H, W, 3) -> (H, W): brightness, weighted as the eye does."""
    red, green, blue = (part * F(weight) for part, weight in zip(np.moveaxis(x * F(1 / 255), 2, 0), (0.2989, 0.587, 0.114)))
    return _cut((red + green + blue) * F(255.5))


def contrast(x: Pixels, share: float) -> Pixels:
    return blend(np.uint8(min(x.shape[0] * x.shape[1] // 256, 255)), _LEVELS, share)[x]


def brightness(x: Pixels, share: float) -> Pixels:
    return blend(np.uint8(0), _LEVELS, share)[x]


def smooth(x: Pixels) -> Pixels:
    """Every pixel averaged with its eight neighbours, itself counting 5 and they 1; those at the border as they are."""
    height, width = x.shape[:2]
    light, heavy = x * (F(1) / F(13)), x * (F(5) / F(13))
    total = np.zeros((max(height - 2, 0), max(width - 2, 0), 3), F)
    for i, j in np.ndindex(3, 3):
        total += (heavy if i == j == 1 else light)[i : i + total.shape[0], j : j + total.shape[1]]
    result = x.copy()
    result[1:-1, 1:-1] = _cut(total)
    return result


def autocontrast(x: Pixels) -> Pixels:
    """Each colour from its darkest to its brightest value stretched to 0..255."""
    return _by_channel(x, _stretch)


def _stretch(counts: np.ndarray) -> np.ndarray:
    low, high = np.flatnonzero(counts)[[0, -1]].astype(F)
    if low == high:
        return _LEVELS
    scale = F(255) / (high - low)
    return _cut(_LEVELS * scale - low * scale)


def equalize(x: Pixels) -> Pixels:
    """Each colour mapped so that its values are as evenly spread as they can be."""
    return _by_channel(x, _spread)


def _spread(counts: np.ndarray) -> np.ndarray:
    step = (counts.sum() - counts[counts > 0][-1]) // 255
    if step == 0:
        return _LEVELS
    below = np.concatenate([[0], counts.cumsum()[:-1]])
    return np.where(_LEVELS > 0, (below + step // 2) // step, 0).clip(0, 255).astype(np.uint8)


def posterize(x: Pixels, bits: int) -> Pixels:
    shift = min((8 - bits) % 256, 7)
    return x >> shift << shift


def solarize(x: Pixels, threshold: int) -> Pixels:
    return np.where(x < threshold % 256, x, 255 - x)


def solarize_add(x: Pixels, addition: int) -> Pixels:
    """`addition` added to what is darker than 128."""
    return np.where(_LEVELS < 128, (_LEVELS + np.int64(addition)).clip(0, 255), _LEVELS).astype(np.uint8)[x]


def cutout(x: Pixels, half: int, rng: random.Random) -> Pixels:
    """A grey square of side 2 * half, its centre anywhere, so that part of it may be outside."""
    row, column = rng.randrange(x.shape[0]), rng.randrange(x.shape[1])
    result = x.copy()
    result[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = GREY
    return result


def rotate(x: Pixels, degrees: float) -> Pixels:
    radians = F(degrees) * F(math.pi / 180)
    cos, sin = F(math.cos(radians)), F(math.sin(radians))
    right, bottom = F(x.shape[1] - 1), F(x.shape[0] - 1)
    across = (right - (cos * right - sin * bottom)) / F(2)
    down = (bottom - (sin * right + cos * bottom)) / F(2)
    return warp(x, (cos, -sin, across), (sin, cos, down))


def warp(x: Pixels, across: tuple[float, float, float], down: tuple[float, float, float]) -> Pixels:
    """What is at (column, row) was at (a column + b row + c) of `across` and of `down`, to the nearest pixel."""
    height, width = x.shape[:2]
    columns, rows = np.arange(width, dtype=F), np.arange(height, dtype=F)[:, None]
    column, row = (F(a) * columns + F(b) * rows + F(c) for a, b, c in (across, down))
    inside = (column > -0.5) & (column < width - 0.5) & (row > -0.5) & (row < height - 0.5)
    rows, columns = ((place.astype(float) + 0.5).astype(np.int32) for place in (row, column))
    pixels = np.full((height * width + 1, 4), GREY, np.uint8)  # four bytes are fetched at once; the last is the outside
    pixels[:-1, :3] = x.reshape(-1, 3)
    warped = pixels.view(np.uint32)[:, 0].take(np.where(inside, rows * width + columns, height * width))
    return np.ascontiguousarray(warped.view(np.uint8).reshape(height, width, 4)[..., :3])


_LEVELS = np.arange(256, dtype=np.uint8)


def _by_channel(x: Pixels, lookup: Callable[[np.ndarray], np.ndarray]) -> Pixels:
    """Each colour through the table of 256 bytes that `lookup` makes of how often each value is in it."""
    image = Image.fromarray(x)
    counts = np.array(image.histogram()).reshape(3, 256)
    return np.asarray(image.point(np.concatenate([lookup(of_colour) for of_colour in counts]).tolist()))


def _cut(x: np.ndarray) -> np.ndarray:
    """float32 as bytes, the fraction cut off."""
    return x.clip(0, 255).astype(np.uint8)


def _pixels(image: Image.Image) -> Pixels:
    if image.mode != "RGB":
        raise InputError(f"The image is {image.mode}; it must be RGB: image.convert('RGB').")
    return np.asarray(image)
