"""Mixed images, for recipes in the style of timm: mixup and cutmix."""

from __future__ import annotations

import math
import random

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .recipe import Recipe


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
    rows = _span(int(side * height), rng.randrange(height), height)
    columns = _span(int(side * width), rng.randrange(width), width)
    images, other = images.clone(), images.flip(0)
    images[:, :, rows, columns] = other[:, :, rows, columns]
    share = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return images, torch.lerp(targets.flip(0), targets, share)


def mix(images: Tensor, labels: Tensor, classes: int, recipe: Recipe, seed: int) -> tuple[Tensor, Tensor]:
    """Images and what to learn of them, by the recipe's mixup or cutmix; with neither, the images and their labels."""
    rng = random.Random(seed)
    choices = []
    if recipe.mixup:
        choices.append((mixup, recipe.mixup))
    if recipe.cutmix:
        choices.append((cutmix, recipe.cutmix))
    if not choices:
        return images, labels
    function, alpha = rng.choice(choices)
    return function(images, F.one_hot(labels, classes).to(images.dtype), alpha, rng)


def _span(length: int, centre: int, size: int) -> slice:
    return slice(max(centre - length // 2, 0), min(centre + (length + 1) // 2, size))


def _check(images: Tensor, targets: Tensor) -> None:
    if targets.ndim != 2 or len(targets) != len(images) or not targets.is_floating_point():
        raise InputError(
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}; they must be probabilities, "
            f"({len(images)}, classes): F.one_hot(labels, classes).float()."
        )
