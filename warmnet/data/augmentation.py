"""Augmentation: which part of an image is trained on, and how it is changed, by random numbers that are given."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..checks import within
from ..errors import InputError, extra
from ..spelling import choose_one
from .autoaugment import auto_augment, rand_augment
from .crop import SMALLEST, official_crop, random_resized_crop
from .erasing import random_erasing
from .operations import border_colour
from .policy import HIGHEST_LEVEL, Policy
from .preprocessing import Preprocessing
from .timm_augment import timm_rand_augment

with extra("train"):
    from PIL import ImageOps
    from PIL.Image import Image

SAMPLINGS = "official", "torchvision", "part", "shift"
POLICIES = "autoaugment", "randaugment", "randaugment-timm"


@dataclass(frozen=True)
class Augmentation:
    """An image as it is trained on: a part of it, resized, perhaps mirrored and changed, as a float tensor.

    The same image, preprocessing and random numbers give the same tensor.

    - `sampling`: 'official' or 'torchvision', see crop.py, a random part of the image; 'part', one with a share of the area in
      `area`; or 'shift', all of it, moved by up to the share `shift` of its side; the colour of its border comes in.
    - `random_interpolation`: bilinear or bicubic, drawn for each image; else the interpolation of the preprocessing.
    - `flip`: mirrored half of the time. `augment`: 'autoaugment'; 'randaugment' of `magnitude`, from 0 to 30, see
      autoaugment.py; or 'randaugment-timm' of it, at most 10, see timm_augment.py; or a `Policy` of one's own, see policy.py.
    - `erase`: how often, in 0..1, a box of noise is put in.

    >>> import random
    >>> from PIL import Image
    >>> from warmnet.data import Augmentation, Preprocessing
    >>> augmentation = Augmentation('torchvision', flip=True, augment='autoaugment')
    >>> augmentation(Image.new('RGB', (640, 427)), Preprocessing(224), random.Random(0)).shape
    torch.Size([3, 224, 224])
    """

    sampling: str = "shift"
    area: tuple[float, float] = (0.25, 1.0)
    shift: float = 0.0
    random_interpolation: bool = False
    flip: bool = False
    augment: str | Policy | None = None
    magnitude: float = 10
    erase: float = 0.0

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise InputError(f"sampling is {self.sampling!r}. {choose_one(self.sampling, SAMPLINGS)}.")
        if not isinstance(self.augment, Policy) and self.augment not in (None, *POLICIES):
            raise InputError(f"augment is {self.augment!r}. {choose_one(self.augment, (None, *POLICIES))}.")
        if not isinstance(self.flip, bool):
            raise InputError(f"flip is {self.flip!r}; it must be True or False.")
        _check_area(self.area)
        within("shift", self.shift, 0, 1)
        within("magnitude", self.magnitude, 0, 10 if self.augment == "randaugment-timm" else HIGHEST_LEVEL)
        within("erase", self.erase, 0, 1)

    def __call__(self, image: Image, preprocessing: Preprocessing, rng: random.Random) -> Tensor:
        """(3, resolution, resolution): an RGB image, augmented and normalized."""
        x = preprocessing.normalized(self.pixels(image, preprocessing, rng))
        return random_erasing(x, rng, self.erase) if self.erase else x

    def pixels(self, image: Image, preprocessing: Preprocessing, rng: random.Random) -> Image:
        """An RGB image of the resolution, augmented but for erasing and not normalized: a person can look at it."""
        image = self._sampled(image, preprocessing, rng)
        if self.flip and rng.random() < 0.5:
            image = ImageOps.mirror(image)
        if isinstance(self.augment, Policy):
            return self.augment(image, rng)
        if self.augment == "autoaugment":
            return auto_augment(image, rng)
        if self.augment == "randaugment":
            return rand_augment(image, rng, self.magnitude)
        if self.augment == "randaugment-timm":
            return timm_rand_augment(image, rng, self.magnitude)
        return image

    def _sampled(self, image: Image, preprocessing: Preprocessing, rng: random.Random) -> Image:
        """A part of an image, or all of it, resized."""
        box: tuple[float, float, float, float] | None = None
        if self.sampling == "shift":
            image, box = self._shifted(image, rng)
        elif self.sampling == "official":
            image = image.crop(official_crop(*image.size, rng, central=preprocessing.crop))  # type: ignore[arg-type]
        else:
            area = self.area if self.sampling == "part" else (SMALLEST, 1)
            image = image.crop(random_resized_crop(*image.size, rng, area))  # with a box, `resized` would look beyond it
        if self.random_interpolation:
            preprocessing = replace(preprocessing, interpolation=rng.choice(("bilinear", "bicubic")))
        return preprocessing.resized(image, box)

    def _shifted(self, image: Image, rng: random.Random) -> tuple[Image, tuple[float, float, float, float]]:
        """An image with a margin in the colour of its border, and a box (left, top, right, bottom) of its size in it."""
        farthest = self.shift * max(image.size)
        margin = math.ceil(farthest)
        left = margin + rng.uniform(-1, 1) * farthest
        top = margin + rng.uniform(-1, 1) * farthest
        return ImageOps.expand(image, margin, border_colour(image)), (left, top, left + image.width, top + image.height)


def _check_area(area: Any) -> None:
    """Raise if it is not two shares, the smaller one first."""
    is_pair = isinstance(area, (list, tuple)) and len(area) == 2 and all(type(share) in (int, float) for share in area)
    if not is_pair or not 0 < area[0] <= area[1] <= 1:
        raise InputError(f"area is {area!r}; it must be two shares of the image, (0.25, 1.0).")
