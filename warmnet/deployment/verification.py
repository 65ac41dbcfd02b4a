"""How near a deployed network is to its model, on samples; and whether that is near enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ..engine.copies import copied
from .errors import DeployError
from .metadata import Metadata
from .parts import in_parts
from .predictor import Predictor
from .samples import COMPARED, Samples

MAX_ERROR_FP32 = 1e-4  # of the largest logit: the order of additions in float32, through a hundred layers
MAX_ERROR_UNLABELLED = 0.1  # the same in bfloat16, where no label tells whether it matters
ROUNDING = 1e-9  # 0.93 - 0.92 is a little more than 0.01
BATCH = 32
SEVERAL = 4  # of the first samples, all but one go into one call of the engine


@dataclass(frozen=True)
class Verification:
    """A deployed network beside its model in float32.

    - `samples`: what they were compared on; `error`: the largest difference of logits, relative to the largest of them.
    - `agreement`: the share of samples that both take for the same class.
    - `top1`, `top1_model`: their accuracies, if the samples have labels; `drop_error`: the standard error of their
      difference, from the number of samples that one alone has right, and never less than one sample's share.
    """

    precision: str
    samples: str
    error: float
    agreement: float
    top1: float | None = None
    top1_model: float | None = None
    drop_error: float | None = None

    @property
    def top1_drop(self) -> float:
        """The share of labelled samples by which top-1 falls; 0 without labels."""
        return self.top1_model - self.top1 if self.top1 is not None and self.top1_model is not None else 0.0

    def __str__(self) -> str:
        text = f"{self.samples}: logits differ by {self.error:.1e} of the largest, {self.agreement:.1%} have the same class"
        if self.top1 is not None:
            text += f"; top-1 {self.top1:.1%} in {self.precision}, the model's {self.top1_model:.1%}"
        if self.precision != "fp32" and self.drop_error is not None:
            text += f": a loss of {self._loss()}"
        return text + "."

    def _loss(self) -> str:
        """The drop with its standard error, such as '0.3% ± 0.2%'."""
        return f"{self.top1_drop:.1%} ± {self.drop_error or 0:.1%}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def require(self, max_top1_drop: float) -> None:
        """Raise DeployError unless it is near enough: `MAX_ERROR_FP32` in fp32; else the drop, if measured, as allowed."""
        if not np.isfinite(self.error):
            raise DeployError(f"The logits are not finite numbers. {self}")
        if self.precision == "fp32" and self.error > MAX_ERROR_FP32:
            raise DeployError(f"The deployed network is not the model: {MAX_ERROR_FP32:.0e} is allowed. {self}")
        if self.precision != "fp32" and self.top1 is None and self.error > MAX_ERROR_UNLABELLED:
            raise DeployError(
                f"{self.precision} changes the logits by more than {MAX_ERROR_UNLABELLED}. Pass data to see what it costs. "
                f"{self}"
            )
        if self.top1_drop > max_top1_drop + ROUNDING:
            chance = self.top1_drop - (self.drop_error or 0) <= max_top1_drop
            cure = "So few images cannot tell: hold out more, choose" if chance else "Choose"
            raise DeployError(
                f"{self.precision} loses {self._loss()} of top-1, and {max_top1_drop:.2%} is allowed. {self} {cure} fp32, or "
                f"allow more with max_top1_drop."
            )


def verify(model: nn.Module, predictor: Predictor, samples: Samples) -> Verification:
    """A comparison of both on one sample alone, on several, also by one call, and with a dynamic size on larger ones."""
    metadata, inputs, model = predictor.metadata, samples.inputs, copied(model).eval().cpu().float()
    calls = [(predictor.logits, inputs[:1]), (predictor.runner(), inputs[1:SEVERAL])]
    calls += [(predictor.logits, batch) for batch in np.array_split(inputs[SEVERAL:], max(1, len(inputs) // BATCH))]
    deployed = np.concatenate([compute(batch) for compute, batch in calls if len(batch)])
    expected = np.concatenate([logits_of(model, batch, metadata) for _, batch in calls if len(batch)])
    verification = compare(deployed, expected, samples, metadata.precision)
    if metadata.dynamic_size:
        larger = _enlarge(inputs[:COMPARED], metadata)
        error = _relative_error(predictor.logits(larger), logits_of(model, larger, metadata))
        return replace(verification, error=float(np.max([verification.error, error])))  # NaN, if one of them is
    return verification


def compare(deployed: np.ndarray, expected: np.ndarray, samples: Samples, precision: str) -> Verification:
    """A comparison of logits (N, classes) of a deployed network and of its model, on the samples."""
    error = _relative_error(deployed, expected)
    agreement = float((deployed.argmax(1) == expected.argmax(1)).mean())
    if samples.labels is None:
        return Verification(precision, samples.source, error, agreement)
    right, right_model = (logits.argmax(1) == samples.labels for logits in (deployed, expected))
    differing = max(int((right != right_model).sum()), 1)
    drop_error = differing**0.5 / len(right)
    return Verification(precision, samples.source, error, agreement, float(right.mean()), float(right_model.mean()), drop_error)


@torch.no_grad()
def logits_of(model: nn.Module, inputs: np.ndarray, metadata: Metadata) -> np.ndarray:
    """(N, classes): the logits of the model itself, of the deployed network's inputs."""
    preprocessing, rows = metadata.preprocessing, []
    for part in in_parts(np.ascontiguousarray(inputs)):
        if preprocessing is None:
            x = torch.from_numpy(part).float()
        else:
            x = torch.stack([preprocessing.normalized(pixels) for pixels in part])
        rows.append(model(x).numpy())
    return np.concatenate(rows)


def _relative_error(logits: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, of the largest logit; of logits that are all 0 the difference itself."""
    return float(np.abs(logits - expected).max() / (np.abs(expected).max() or 1))


def _enlarge(inputs: np.ndarray, metadata: Metadata) -> np.ndarray:
    """Each sample repeated to the right and below, cut to about half as high again and a little wider, both odd."""
    _, height, width = metadata.size
    axes = (1, 2) if metadata.preprocessing else (2, 3)
    for axis, side in zip(axes, (3 * height // 2 | 1, width + 2 | 1)):
        inputs = np.concatenate([inputs] * 3, axis).take(range(side), axis)
    return inputs
