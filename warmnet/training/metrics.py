"""Metrics: losses and predictions added up over an epoch, and a line of the history for each epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor


class Epoch(NamedTuple):
    """A line of metrics.csv. Losses are those that are trained on; training's are means over the epoch, dropout and all.

    `lr` is the learning rate of the epoch's first step.
    """

    epoch: int
    lr: float
    train_loss: float
    held_out_loss: float
    train_accuracy: float
    held_out_accuracy: float
    seconds: float


def best_epoch(history: Sequence[Epoch]) -> int:
    """The epoch, from 1 on, with the lowest held-out loss; 0 if there is none."""
    return min(history, key=lambda epoch: epoch.held_out_loss).epoch if history else 0


def is_over(history: Sequence[Epoch], epochs: int, patience: int | None) -> bool:
    """Whether so many epochs are done, or so many without a lower held-out loss."""
    return len(history) >= epochs or (patience is not None and len(history) - best_epoch(history) >= patience)


class Metrics:
    """Losses and predictions of the images of an epoch; nothing is copied from the device before a result is asked for.

    - `sums`: those of an earlier part of the epoch, as `sums()` gave them.
    """

    def __init__(self, sums: list[float] | None = None):
        self.earlier = sums or [0.0, 0.0, 0.0]
        self.batches: list[tuple[Tensor, Tensor, Tensor]] = []
        self.last_losses: Tensor | None = None

    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: losses (B,), logits (B, classes), labels (B,)."""
        self.last_losses = losses.detach()
        self.batches.append((self.last_losses.sum(), logits.detach().argmax(1), labels))

    def last_loss(self) -> float:
        """The mean loss of the last batch."""
        return math.nan if self.last_losses is None else self.last_losses.mean().item()

    def sums(self) -> list[float]:
        """The sum of all images' losses, how many were predicted right, how many there were."""
        loss_sum, right, images = self.earlier
        for loss, predicted, labels in self.batches:
            loss_sum += float(loss)
            right += float((predicted == labels).sum())
            images += len(labels)
        return [loss_sum, right, images]

    def means(self, fabric: Fabric) -> tuple[float, float]:
        """The mean loss and the accuracy over the images of all processes."""
        sums: Any = fabric.all_reduce(torch.tensor(self.sums(), dtype=torch.float64), reduce_op="sum")
        loss_sum, right, images = sums
        return (float(loss_sum / images), float(right / images)) if images else (math.nan, math.nan)

    def confusion(self, classes: int, fabric: Fabric) -> Tensor:
        """(classes, classes): how many images of a class, the row, were predicted as a class, the column."""
        counts = torch.zeros(classes**2, dtype=torch.int64)
        if self.batches:
            cells = torch.cat([labels * classes + predicted for _, predicted, labels in self.batches])
            counts = torch.bincount(cells.cpu(), minlength=classes**2)
        return fabric.all_reduce(counts.view(classes, classes), reduce_op="sum").cpu()  # type: ignore[union-attr]
