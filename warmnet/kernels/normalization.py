"""Batch normalization with the activation after it."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import fused
from .gradients import normalized_silu
from .rules import normalizes_at_once, recomputes_silu

Activation = Callable[..., Tensor] | None
Normalization = tuple[Any, Any, Tensor, Tensor, Any, bool, Any, float]
# scale and shift (C,) or None, running mean and variance (C,), whether it trains; for that count of batches, momentum; eps
IN_PLACE = {F.silu, F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.mish, F.leaky_relu, F.elu, F.selu}


def batch_norm(x: Tensor, normalization: Normalization, activation: Activation) -> Tensor:
    """`activation(batch_norm(x))`: (B, C, *) -> (B, C, *). In training SiLU's input is not kept where that is much."""
    scale, shift, mean, var, count, training, momentum, eps = normalization
    if not training:
        if normalizes_at_once(x, activation, scale, shift, mean, var):
            return fused.normalized(x, scale, shift, mean, var, eps, activation)
        return activated(
            torch.batch_norm(x, scale, shift, mean, var, False, 0.0, eps, x.is_cuda and torch.backends.cudnn.enabled),
            activation,
        )
    count.add_(1)
    if activation is F.silu and torch.is_grad_enabled() and recomputes_silu(x, scale, shift, mean, var, count):
        return normalized_silu(x, scale, shift, mean, var, momentum, eps)
    return activated(F.batch_norm(x, mean, var, scale, shift, True, momentum, eps), activation)


def activated(y: Tensor, activation: Activation) -> Tensor:
    """`activation(y)`, in the place of `y`, which nobody else has, where nothing is kept for going back."""
    if activation is None:
        return y
    if not torch.is_grad_enabled() and type(activation) is FunctionType and activation in IN_PLACE:
        return activation(y, inplace=True)
    return activation(y)
