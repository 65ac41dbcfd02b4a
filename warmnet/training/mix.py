"""Mixed and erased images, for recipes in the style of timm."""

from __future__ import annotations

import math
import random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError


def mixup(images: Tensor, targets: Tensor, alpha: float, rng: random.Random) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) and (B, classes) blended with themselves in reverse order, for one share drawn from Beta(alpha, alpha).

    `targets` are probabilities, such as one-hot rows of floats (arXiv:1710.09412).
    """
    _check(images, targets)
    share = rng.betavariate(alpha, alpha)
    return torch.lerp(images.flip(0), images, share), torch.lerp(targets.flip(0), targets, share)


def cutmix(images: Tensor, targets: Tensor, alpha: float, rng: random.Random) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) with one box taken from the images in reverse order, and (B, classes) blended by its share of the area.

    The share kept is drawn from Beta(alpha, alpha), and the box's centre from the whole image; what of the box is outside is
    neither cut nor counted (arXiv:1905.04899).
    """
    _check(images, targets)
    height, width = images.shape[2:]
    side = math.sqrt(1 - rng.betavariate(alpha, alpha))
    rows, columns = (_span(int(side * size), rng.randrange(size), size) for size in (height, width))
    images, other = images.clone(), images.flip(0)
    images[:, :, rows, columns] = other[:, :, rows, columns]
    share = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return images, torch.lerp(targets.flip(0), targets, share)


def mixed(images: Tensor, labels: Tensor, classes: int, recipe: Any, seed: int) -> tuple[Tensor, Tensor]:
    """Images and what to learn of them, by the recipe's mixup or cutmix; with neither, the images and their labels."""
    rng = random.Random(seed)
    choices = [(mix, alpha) for mix, alpha in ((mixup, recipe.mixup), (cutmix, recipe.cutmix)) if alpha]
    if not choices:
        return images, labels
    mix, alpha = rng.choice(choices)
    return mix(images, F.one_hot(labels, classes).to(images.dtype), alpha, rng)


def random_erasing(image: Tensor, rng: random.Random, probability: float = 0.25) -> Tensor:
    """(C, H, W), normalized, with noise of N(0, 1) in one box with the given probability.

    The box has 2 % to a third of the area, drawn evenly, and a height / width of 0.3 to 1 / 0.3. After ten that do not fit,
    nothing is erased (arXiv:1708.04896; timm's --remode pixel).
    """
    if rng.random() >= probability:
        return image
    height, width = image.shape[1:]
    for _ in range(10):
        area = height * width * rng.uniform(0.02, 1 / 3)
        ratio = math.exp(rng.uniform(math.log(0.3), -math.log(0.3)))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < height and w < width:
            top, left = rng.randint(0, height - h), rng.randint(0, width - w)
            noise = torch.Generator(image.device).manual_seed(rng.getrandbits(63))
            image = image.clone()
            image[:, top : top + h, left : left + w].normal_(generator=noise)
            break
    return image


def _span(length: int, centre: int, size: int) -> slice:
    return slice(max(centre - length // 2, 0), min(centre + (length + 1) // 2, size))


def _check(images: Tensor, targets: Tensor) -> None:
    if targets.ndim != 2 or len(targets) != len(images) or not targets.is_floating_point():
        raise InputError(
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}; they must be probabilities, "
            f"({len(images)}, classes): F.one_hot(labels, classes).float()."
        )
