"""A network to look into: a copy, whose mode and further hooks are nobody else's. Hooks that it has run in the copy, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.copies import copied, settle_weights, unwrapped
from ..errors import InputError


@contextmanager
def copy_to_inspect(model: nn.Module, x: Tensor) -> Iterator[nn.Module]:
    """Within it, gradients are on, and there is a copy of a network in eval mode. The network itself stays as it is.

    Raises InputError for a network without values, and if `x` is no batch of images.
    """
    if not isinstance(x, Tensor) or x.ndim != 4 or not x.is_floating_point() or not len(x):
        given = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise InputError(
            f"x is {given}. It is to be a batch of images as a float tensor (B, C, H, W), such as "
            f"model.preprocessing(image)[None]."
        )
    model = network_of(model)
    if x.is_meta:
        raise InputError("x is on 'meta' and has no values. Make it on a device.")
    if any(parameter.is_meta for parameter in model.parameters()):
        raise InputError(f"{type(model).__name__} is on 'meta' and has no values. Build it on a device first.")
    with torch.inference_mode(False), torch.enable_grad():
        yield settle_weights(copied(model).eval())


def network_of(model: Any) -> nn.Module:
    """The network that `model` is or is wrapped around. Raises InputError if it is none whose layers are at hand."""
    if not isinstance(model, nn.Module):
        given = repr(model) if isinstance(model, str) else f"of type {type(model).__name__}"
        raise InputError(
            f"model is {given}. It is to be a network, a torch.nn.Module, such as "
            f"warmnet.WarmEfficientNet.from_pretrained('lite0')."
        )
    return unwrapped(model)
