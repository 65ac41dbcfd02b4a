"""Learning rates, each a function of how far the training is."""

from __future__ import annotations

import math

IMAGENET = 1_281_167  # images to train on


def staircase(t: float, lr: float, warmup: float, every: float, rate: float = 0.97, start: float = 0.0) -> float:
    """The learning rate at `t`: up a line from `start` to `lr` until `warmup`, then `lr` times `rate` for every `every` passed.

    What is passed counts from 0, not from the end of the warm-up. `t`, `warmup` and `every` are in the same unit, any.
    """
    return start + (lr - start) * t / warmup if t < warmup else lr * rate ** (t // every)


def paper(step: int, batch: int, images: int = IMAGENET) -> float:
    """The paper's learning rate of a step, from 0 on: 0.016 for 256 images a batch, 5 epochs of warm-up, 0.97 each 2.4 epochs.

    tensorflow/tpu, models/official/efficientnet: utils.build_learning_rate and main.py. Epochs are no whole numbers of steps.

    >>> from warmnet.training.schedule import paper
    >>> [round(paper(step, batch=4096), 5) for step in (0, 1000, 1563, 109_475)]
    [0.0, 0.16379, 0.24087, 0.00309]
    """
    epoch = images / batch
    return staircase(step, 0.016 * batch / 256, int(5 * epoch), 2.4 * epoch)


def timm(step: int, steps_per_epoch: int, lr: float = 0.048, warmup: int = 5) -> float:
    """The learning rate of timm's published command for B0, for 768 images a batch; it changes with the epoch only.

    --sched step --epochs 450 --decay-epochs 2.4 --decay-rate .97 --warmup-lr 1e-6 --lr .048 (timm's training_script.mdx). It
    leaves the epochs of `warmup` to timm's default: 5, and 3 in 2019.
    """
    return staircase(step // steps_per_epoch, lr, warmup, 2.4, start=1e-6)


def cosine(step: int, steps: int, lr: float, warmup: float = 0.0) -> float:
    """The learning rate of a step: up a line for `warmup` steps, the first above 0, then down half a cosine to 0 at `steps`."""
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    return lr * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
