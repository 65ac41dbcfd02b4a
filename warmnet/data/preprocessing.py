"""Preprocessing: an image as the tensor that a network was trained on. It travels with the weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import InputError
from ..spelling import choose_one
from .errors import ImageError
from .images import is_one, to_image

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

INTERPOLATIONS = "nearest", "bilinear", "bicubic", "lanczos"
CROP_MODES = "first", "center", "squash"
MOST_PIXELS = 2**28  # that an image may have on the way, 800 MB


@dataclass(frozen=True)
class Preprocessing:
    """A picture as a float tensor (3, resolution, resolution), several as (N, 3, resolution, resolution).

    A picture is a path, a PIL image of any mode, an array (H, W, 3) of uint8, or what else `data.to_image` takes. By default
    it is prepared as in the paper's evaluation.

    The official preprocessing.py cuts a central square out of the image, resizes it and normalizes. Pillow's bicubic filter
    averages where it makes smaller; TensorFlow's of 2019 did not. timm and torchvision resize before they cut.

    - `resolution`: the side in pixels.
    - `crop`: the central square's share of the short side. Default: resolution / (resolution + 32), 0.875 for 224.
    - `interpolation`: 'nearest', 'bilinear', 'bicubic' or 'lanczos'.
    - `mean`, `std`: of red, green and blue in 0..1; those of ImageNet.
    - `crop_mode`: 'first': the central square is cut out, and resized. 'center', timm's and torchvision's: the short side is
      resized to resolution / crop, rounded down, and the central square of the resolution is cut out. 'squash', timm's: the
      same, but both sides are resized so.

    >>> from PIL import Image
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> Preprocessing(224)(Image.new('RGB', (640, 427))).shape
    torch.Size([3, 224, 224])
    """

    resolution: int
    crop: float | None = None
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    crop_mode: str = "first"

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise InputError(f"resolution is {self.resolution}; it must be at least 1.")
        if self.interpolation not in INTERPOLATIONS:
            raise InputError(f"Unknown interpolation {self.interpolation!r}. {choose_one(self.interpolation, INTERPOLATIONS)}.")
        if self.crop_mode not in CROP_MODES:
            raise InputError(f"Unknown crop_mode {self.crop_mode!r}. {choose_one(self.crop_mode, CROP_MODES)}.")
        if self.crop is None:
            object.__setattr__(self, "crop", self.resolution / (self.resolution + 32))
        if not 0 < self.crop <= 1:  # type: ignore[operator]
            raise InputError(f"crop is {self.crop}; it is the share of the short side to keep, above 0 and at most 1.")

    def __call__(self, images: Any) -> torch.Tensor:
        if is_one(images):
            return self.normalized(self.pixels(images))
        tensors = [self(image) for image in images]
        return torch.stack(tensors) if tensors else torch.empty(0, 3, self.resolution, self.resolution)

    def pixels(self, image: Any) -> Image:
        """The central square of a picture, as `to_image` takes it, in RGB and of the resolution."""
        image = to_image(image)
        if self.crop_mode == "first":
            side = max(1, int(self.crop * min(image.size)))
            left, top = ((n - side + 1) // 2 for n in image.size)
            return self.resized(image.crop((left, top, left + side, top + side)))
        return self._cropped(image.resize(self._size_before_crop(image.size), self._filter))

    def _size_before_crop(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (W, H) to which an image of `size` is resized before the square is cut out of it."""
        short = math.floor(self.resolution / self.crop)  # type: ignore[operator]
        if self.crop_mode == "squash":
            return short, short
        width, height = (side * short // min(size) for side in size)
        if width * height > MOST_PIXELS:
            raise ImageError(
                f"An image of {size[0]}x{size[1]} is too narrow: before it is cropped it would have {width}x{height} pixels. "
                f"Cut it, or take preprocessing with crop_mode='first'."
            )
        return width, height

    def _cropped(self, image: Image) -> Image:
        """The central square of the resolution."""
        left, top = (round((n - self.resolution) / 2) for n in image.size)
        return image.crop((left, top, left + self.resolution, top + self.resolution))

    @property
    def _filter(self) -> Resampling:
        from PIL.Image import Resampling

        return Resampling[self.interpolation.upper()]

    def tensor(self, image: Image, box: tuple[float, float, float, float] | None = None) -> torch.Tensor:
        """All of an RGB image, or the part in `box` (left, top, right, bottom), resized and normalized."""
        return self.normalized(self.resized(image, box))

    def resized(self, image: Image, box: tuple[float, float, float, float] | None = None) -> Image:
        """All of an image, or the part in `box`, as a square of the resolution."""
        return image.resize((self.resolution, self.resolution), self._filter, box)

    def normalized(self, image: Image | np.ndarray) -> torch.Tensor:
        """An RGB image (W, H), or array (H, W, 3), as floats (3, H, W): in 0..1, less the mean, by the standard deviation."""
        x = (
            torch.from_numpy(np.array(image))
            .permute(2, 0, 1)
            .to(torch.float32, memory_format=torch.contiguous_format)
            .div_(255)
        )
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return x.sub_(mean).div_(std)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Preprocessing:
        """What `to_dict` gave, as it was; a ValueError or TypeError for anything else."""
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
        given = cls(**values)
        numbers = given.crop, *given.mean, *given.std
        if type(given.resolution) is not int or len(numbers) != 7 or not all(math.isfinite(n) for n in numbers):  # type: ignore[arg-type]
            raise ValueError(f"{given} is no preprocessing")
        return given
