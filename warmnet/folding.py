"""Batch normalization folded into the convolution before it: in inference that saves a pass over the maps.

`W.conv(fold=True)` only says which convolution of what is asked for, and `W.batch_norm` computes it, with its own scale and
shift in the kernel where that is faster. They are folded anew at every call from what the modules hold by then, so that there
is nothing to keep in step. What comes out differs from the two layers one after the other by rounding alone, 5e-7 of the
largest in float32.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor

REFUSED = (
    "A W.conv with fold=True waits for the W.batch_norm that computes it and is no tensor. Take fold=True out of it to use its "
    "output otherwise."
)


class Unnormalized:
    """A convolution and its input, for the batch normalization that computes it. It is no tensor, and no block's output."""

    def __init__(self, conv: Any, x: Tensor):
        self.conv, self.x, self.ndim = conv, x, x.ndim

    def refuse(self, *args: Any) -> NoReturn:
        raise TypeError(REFUSED)

    __getattr__ = __getitem__ = __iter__ = __neg__ = refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = refuse

    @classmethod
    def __torch_function__(cls, *call: Any) -> NoReturn:
        raise TypeError(REFUSED)


def folded(conv: Any, norm: Any, x: Tensor) -> Tensor:
    """The output of `conv`, one of W's without a bias, normalized by `norm` as in eval mode, by one convolution."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    kernel = conv.weight * scale.view(-1, *[1] * (x.ndim - 1))
    return conv.convolved(x, kernel, torch.addcmul(norm.bias, norm.running_mean, scale, value=-1))
