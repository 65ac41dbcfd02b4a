"""Layers that leave something out in training: numbers, channels or samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .. import checks
from ..engine.layers import layer
from ..engine.messages import setting_names

setting_names["dropout"] = "rate", "by_channel", "inplace"
setting_names["drop_connect"] = ("rate",)


def dropout(
    x: Tensor, rate: float = 0.5, by_channel: bool = False, *,
    inplace: bool = False, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """`x` with a share `rate` of its numbers zeroed and the rest scaled up, in training: any shape -> the same.

    - `rate`: in 0..1. `by_channel`: whole channels instead of numbers, of (B, C, *).
    - `inplace`: as in `torch.nn.Dropout`.

    >>> import warmnet, warmnet.functional as W
    >>> warmnet.tabulate(lambda x: W.dropout(x, 0.2), (1, 16)).rows[0].shape
    (1, 16)
    """
    return layer("dropout", (rate, by_channel, inplace), name, share, _new_dropout, x.ndim)(x)


def drop_connect(x: Tensor, rate: float, *, name: str | None = None, share: bool = False) -> Tensor:
    """`x` with a share `rate` of its samples zeroed and the rest scaled up, in training. Also called stochastic depth.

    (B, *) -> (B, *).

    - `rate`: in 0..1.

    >>> import warmnet, warmnet.functional as W
    >>> warmnet.tabulate(lambda x: x + W.drop_connect(W.conv(x, 16, 1), 0.2), (1, 16, 7, 7)).rows[0].shape
    (1, 16, 7, 7)
    """
    return layer("drop_connect", (rate,), name, share, DropConnect)(x)


def _new_dropout(ndim: int, rate: float, by_channel: bool, inplace: bool) -> nn.Module:
    checks.share("rate", rate)
    kinds = nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d
    return kinds[ndim - 2 if by_channel else 0](rate, inplace)


class DropConnect(nn.Module):
    """Zeroes whole samples in training, with probability `rate`, and scales the others by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        super().__init__()
        checks.share("drop_connect's rate", rate)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * mask.div_(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:.4g}"
