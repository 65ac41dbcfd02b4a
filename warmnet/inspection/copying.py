"""A network to look into: what is hung on it, and the mode that it is in, are nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..engine.copies import copied, settle_weights, unwrapped
from ..errors import InputError


@contextmanager
def copy_to_inspect(model: nn.Module, x: Tensor) -> Iterator[nn.Module]:
    """Within it, gradients are on, and there is a copy of a network in eval mode. The network itself stays as it is.

    Raises InputError for a network without values, and if `x` is no batch of images.
    """
    if not isinstance(x, Tensor) or x.ndim != 4 or not x.is_floating_point():
        given = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise InputError(
            f"x is {given}. It is to be a batch of images as a float tensor (B, C, H, W), such as "
            f"model.preprocessing(image)[None]."
        )
    if any(parameter.is_meta for parameter in model.parameters()):
        raise InputError(f"{type(model).__name__} is on 'meta' and has no values. Build it on a device first.")
    with torch.inference_mode(False), torch.enable_grad():
        yield settle_weights(copied(unwrapped(model)).eval())
