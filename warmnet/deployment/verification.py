"""How near a deployed network is to its model, on pictures; and whether that is near enough."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from .metadata import About, DeployError
from .predictor import Predictor
from .samples import COMPARED, Pictures

FP32 = 1e-4  # of the largest logit: the order of additions in float32, through a hundred layers
DRAWN = 0.1  # the same in bfloat16, where no label tells whether it matters
BATCH = 32


@dataclass(frozen=True)
class Check:
    """A deployed network beside its model in float32.

    - `pictures`: what they were compared on; `error`: the largest difference of logits, relative to the largest of them.
    - `agreement`: the share of pictures that both take for the same class.
    - `top1`, `top1_model`: their accuracies, if the pictures have labels.
    """

    precision: str
    pictures: str
    error: float
    agreement: float
    top1: float | None = None
    top1_model: float | None = None

    @property
    def loss(self) -> float:
        """The share of labelled pictures by which top-1 falls; 0 without labels."""
        return self.top1_model - self.top1 if self.top1 is not None and self.top1_model is not None else 0.0

    def __str__(self) -> str:
        text = f"{self.pictures}: logits differ by {self.error:.1e} of the largest, {self.agreement:.1%} have the same class"
        if self.top1 is not None:
            text += f"; top-1 {self.top1:.1%} in {self.precision}, the model's {self.top1_model:.1%}"
        return text + "."

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def refuse(self, most_loss: float) -> None:
        """Raise DeployError unless it is near enough: `FP32` in fp32; else a loss of at most `most_loss`, if measured."""
        if not np.isfinite(self.error):
            raise DeployError(f"The logits are not finite numbers. {self}")
        if self.precision == "fp32" and self.error > FP32:
            raise DeployError(f"The deployed network is not the model: {FP32:.0e} is allowed. {self}")
        if self.precision != "fp32" and self.top1 is None and self.error > DRAWN:
            raise DeployError(
                f"{self.precision} changes the logits by more than {DRAWN}. Pass data to see what it costs. {self}"
            )
        if self.loss > most_loss:
            raise DeployError(
                f"{self.precision} loses {self.loss:.2%} of top-1, and {most_loss:.2%} is allowed. {self} Choose fp32, or "
                f"allow more with most_loss."
            )


def check(model: nn.Module, predictor: Predictor, pictures: Pictures) -> Check:
    """Compare them, on a picture alone, on several, and with a dynamic size on larger ones."""
    about, inputs, model = predictor.about, pictures.inputs, copy.deepcopy(model).eval().cpu().float()
    parts = [inputs[:1], *np.array_split(inputs[1:], max(1, len(inputs) // BATCH))]
    parts = [part for part in parts if len(part)]
    theirs = np.concatenate([predictor.logits(part) for part in parts])
    ours = np.concatenate([reference(model, part, about) for part in parts])
    error, classes = _error(theirs, ours), (theirs.argmax(1), ours.argmax(1))
    if about.dynamic_size:
        larger = _larger(inputs[:COMPARED], about)
        error = max(error, _error(predictor.logits(larger), reference(model, larger, about)))
    agreement = float((classes[0] == classes[1]).mean())
    top1 = [None if pictures.labels is None else float((found == pictures.labels).mean()) for found in classes]
    return Check(about.precision, pictures.source, error, agreement, *top1)


@torch.no_grad()
def reference(model: nn.Module, inputs: np.ndarray, about: About) -> np.ndarray:
    """The logits of the model itself."""
    if about.preprocessing is None:
        return model(torch.from_numpy(np.ascontiguousarray(inputs)).float()).numpy()
    return model(torch.stack([about.preprocessing.normalized(pixels) for pixels in inputs])).numpy()


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _larger(inputs: np.ndarray, about: About) -> np.ndarray:
    """Each picture repeated to the right and below, cut to about half as high again and a little wider, both odd."""
    _, height, width = about.size
    axes = (1, 2) if about.preprocessing else (2, 3)
    for axis, side in zip(axes, (3 * height // 2 | 1, width + 2 | 1)):
        inputs = np.concatenate([inputs] * 3, axis).take(range(side), axis)
    return inputs
