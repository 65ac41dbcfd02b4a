"""Linear maps."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from warm import functional as pywarm

from .. import checks
from ..engine.layers import layer
from ..engine.messages import setting_names
from .specs import activated, initialized

setting_names["linear"] = "size", "bias"


def linear(
    x: Tensor, size: int, init_weight: Any = None, init_bias: Any = None, bias: bool = True, *,
    activation: Any = None, name: str | None = None, share: bool = False, **kw: Any,
) -> Tensor:  # fmt: skip
    """Linear map of dimension 1: (B, C) -> (B, size), (B, C, L) -> (B, size, L).

    - `size`: output channels. `bias`: with one.
    - Other keywords are PyWarm's: `in_shape='BDC'` for (B, L, C).

    >>> import warmnet, warmnet.functional as W
    >>> warmnet.tabulate(lambda x: W.linear(x, 10), (1, 16)).rows[0].shape
    (1, 10)
    """
    if kw:
        return pywarm.linear(x, size, init_weight, init_bias, bias, activation=activation, name=name, share=share, **kw)
    if x.ndim > 3:
        raise ValueError(
            f"W.linear takes (B, C) or (B, C, L), not maps {tuple(x.shape)}. Pool them first, x.mean((2, 3)) or "
            f"W.global_average_pool(x).flatten(1); or take W.conv(x, {size}, 1) for a linear map of each position."
        )
    module = layer("linear", (size, bias), name, share, _new_linear, x.shape[1], init_weight, init_bias)
    if x.ndim == 2:
        return activated(module(x), activation)
    return activated(module(x.movedim(1, -1)), activation).movedim(-1, 1)


def _new_linear(size_in: int, init_weight: Any, init_bias: Any, size: int, bias: bool) -> nn.Module:
    return initialized(nn.Linear(size_in, checks.whole("size", size), bias), weight=init_weight, bias=init_bias)
