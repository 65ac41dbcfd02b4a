"""When a layer may be computed without being called: nobody would notice, and its class's forward is what is computed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as torchs

from .calls import thread

_GLOBAL_HOOKS = (
    torchs._global_forward_hooks,
    torchs._global_forward_pre_hooks,
    torchs._global_backward_hooks,
    torchs._global_backward_pre_hooks,
)
_PARAMETERS = {"weight", "bias"}
_registered: dict[type, Any] = {}  # classes of layers, and what a call of such a layer comes down to


def register(*kinds: type) -> None:
    """Let layers of these very classes, as they are now, be computed without being called."""
    _registered.update((kind, _methods(kind)) for kind in kinds)


def may_stand_in(module: nn.Module, base: type) -> bool:
    """Whether a layer of the module that is being called is a registered `base` and may be computed without being called."""
    if not isinstance(module, base) or not thread.calls[-1].is_plain:
        return False
    if _registered.get(type(module)) != _methods(type(module)) or not module._parameters.keys() >= _PARAMETERS:
        return False
    return is_bare(module)


def is_bare(module: nn.Module) -> bool:
    """Whether a call of a module is its class's forward and nothing else: it has no hooks, and nothing is patched on it."""
    held = module.__dict__
    if held["_forward_hooks"] or held["_forward_pre_hooks"] or held["_backward_hooks"] or held["_backward_pre_hooks"]:
        return False
    if "forward" in held or "_call_impl" in held or "_conv_forward" in held or "_check_input_dim" in held:
        return False
    return module._compiled_call_impl is None and not any(_GLOBAL_HOOKS)


def calls_are_plain() -> bool:
    """Whether calls of modules are torch's own now: nothing of torch's follows them, and nobody has patched them."""
    if torch._C._get_tracing_state() is not None or torch.compiler.is_compiling():
        return False
    return _patchable() == _ORIGINALS


def _patchable() -> tuple[Any, ...]:
    """What of torch's others put functions of their own in the place of."""
    return nn.Module.__call__, nn.Module._call_impl, F.conv1d, F.conv2d, F.conv3d, F.batch_norm


def _methods(kind: Any) -> tuple[Any, ...]:
    """What a call of a module of that class comes down to."""
    return kind.__call__, kind._call_impl, kind.forward, getattr(kind, "_conv_forward", None)


_ORIGINALS = _patchable()
