"""The exponential moving average of a network's weights and statistics, which the paper evaluates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError


class EMA:
    """An average over the steps of training of all that a model's state_dict holds, recent steps counting most.

    Each `update` keeps the share `decay` of the average, which starts as the model is, and takes the rest from the model. After
    t updates that is at most (1 + t) / (10 + t), so that the random start is soon forgotten: the paper's rule, by which 0.9999
    is reached after 89,990 (tf.train.ExponentialMovingAverage with num_updates). Batch normalization's running statistics
    are averaged as well, as the paper has it; whole numbers, such as its count of batches, are the model's.

    - `model`: on the device where it is trained.
    - `decay`: the share, or with the paper's rule its bound.
    - `constant`: the same `decay` from the first update on, as timm has it; then 10,000 steps leave 37 % of the start in it.

    >>> import torch
    >>> from warmnet.training.ema import EMA
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> model.weight.data.fill_(0)
    tensor([[0.]])
    >>> ema = EMA(model)
    >>> model.weight.data.fill_(1)  # in place of a step of an optimizer
    tensor([[1.]])
    >>> ema.update()
    >>> with ema.swapped():
    ...     print(model.weight.item())  # 1 - (1 + 1) / (10 + 1)
    0.8181818127632141
    >>> model.weight.item()
    1.0
    """

    def __init__(self, model: nn.Module, decay: float = 0.9999, constant: bool = False):
        if not 0 <= decay < 1:
            raise InputError(f"decay is {decay}; it is the share of the average that is kept, from 0 to below 1.")
        self.model, self.decay, self.constant, self.updates = model, decay, constant, 0
        self.average = {key: _wide(value).clone() for key, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model as it is now; to be called after every step of the optimizer."""
        self.updates += 1
        decay = self.decay if self.constant else min(self.decay, (1 + self.updates) / (10 + self.updates))
        values = {key: _wide(value) for key, value in self.model.state_dict().items()}
        real = [key for key, value in values.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[key] for key in real], [values[key] for key in real], 1 - decay)
        for key in values.keys() - {*real}:
            self.average[key].copy_(values[key])

    @contextmanager
    def swapped(self) -> Iterator[nn.Module]:
        """The model with the average in place of its own values, to evaluate or save. Afterwards they are back bit for bit."""
        values = self.model.state_dict()
        saved = {key: value.clone() for key, value in values.items()}
        try:
            _copy(self.average, values)
            yield self.model
        finally:
            _copy(saved, values)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes to go on from here; it shares the average's memory."""
        return {"updates": self.updates, "average": dict(self.average)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken, of a model of the same layers."""
        missing = state["average"].keys() ^ self.average.keys()
        if missing:
            raise InputError(f"The average is of another model. Only one of the two has {', '.join(sorted(missing)[:5])}.")
        self.updates = state["updates"]
        _copy(state["average"], self.average)


def _wide(value: Tensor) -> Tensor:
    """In at least float32: in bfloat16, a share of 0.0001 would change nothing."""
    return value.to(torch.promote_types(value.dtype, torch.float32)) if value.is_floating_point() else value


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for key, value in target.items():
        value.copy_(source[key])
