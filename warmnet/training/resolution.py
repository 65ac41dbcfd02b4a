"""What the size of the images decides where a recipe does not: the side to train at, and how much of each image is seen."""

from __future__ import annotations

import math

from ..networks.classifier import Classifier

STRIDE = 32  # of every variant
SMALL = 128  # pixels: images with a shorter median side


def network_resolution(model: Classifier) -> int:
    """The side that a network's weights are for, or without weights the network."""
    return model.preprocessing.resolution if model.preprocessing else model.resolution


def choose_resolution(short_side: float, most: int, stride: int = STRIDE) -> int:
    """The side for training from scratch: twice the median short side, up to the next multiple of 32, and at most `most`.

    - `most`: what the network is for.
    - `stride`: the network's total stride, if it is larger than 32.
    """
    step = max(stride, STRIDE)
    return max(step, min(step * math.ceil(2 * short_side / step), most))


def choose_area(short_side: float) -> tuple[float, float]:
    """The least and the largest share of an image's area that is trained on: of small images nearly all."""
    return (0.7, 1.0) if short_side < SMALL else (0.35, 1.0)


def choose_crop(short_side: float, resolution: int) -> float:
    """The central square's share of the short side for evaluation: all of small images, else the paper's.

    The paper's is resolution / (resolution + 32); below 224, where it would cut off more and more, it stays at 0.875.
    """
    return 1.0 if short_side < SMALL else max(0.875, resolution / (resolution + 32))
