"""Random erasing: a box of noise in an image."""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor


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
