"""Activations and initial values, as users give them: a function, its name, or one with its keywords."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..engine.calls import thread
from ..engine.pywarm import activate, initialize_

Size = int | tuple[int, ...]  # a number for each dimension, or one for all


def activated(y: Tensor, activation: Any) -> Tensor:
    """`y` after the activation, if there is one."""
    function = as_function(activation)
    return y if function is None else function(y)


def as_function(activation: Any) -> Callable[..., Tensor] | None:
    """The activation as a function from a tensor to a tensor; None if there is none."""
    if activation is None or (callable(activation) and not isinstance(activation, type)):
        return activation
    return lambda y: activate(y, activation)


def initialized(module: nn.Module, **specs: Any) -> nn.Module:
    """`module`, its tensors of these names filled by what is given for each, unless the build has values for them."""
    build: Any = thread.build
    for key, spec in specs.items():
        tensor = getattr(module, key)
        if spec is not None and tensor is not None and not build.is_given(key, tensor):
            initialize_(tensor.detach(), spec)
    return module
