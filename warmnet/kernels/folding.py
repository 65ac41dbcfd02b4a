"""The arithmetic of folding batch normalization into the convolution before it; `rules.folds` decides when."""

from __future__ import annotations

import torch
from torch import Tensor


def folded(weight: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The kernel (size, C/groups, *) and the bias (size,) of a convolution that normalizes what it outputs.

    It is computed anew at every call from the tensors that are there, so that there is nothing to keep in step.
    """
    factor = scale * torch.rsqrt(var + eps)
    return weight * factor.view(-1, *[1] * (weight.ndim - 1)), torch.addcmul(shift, mean, factor, value=-1)
