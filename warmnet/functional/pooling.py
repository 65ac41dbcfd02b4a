"""Pooling that is not simply torch's `F.max_pool2d` or `x.mean((2, 3))`."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def global_average_pool(x: Tensor) -> Tensor:
    """The mean of every map: (B, C, H, W) -> (B, C, 1, 1).

    >>> import torch, warmnet.functional as W
    >>> W.global_average_pool(torch.rand(1, 16, 7, 7)).shape
    torch.Size([1, 16, 1, 1])
    """
    return F.adaptive_avg_pool2d(x, 1)
