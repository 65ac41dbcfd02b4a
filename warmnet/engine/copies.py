"""Networks as others hand them over: wrapped, with weights that are computed at every call, with results of a call kept."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.optim.swa_utils import AveragedModel
from torch.overrides import TorchFunctionMode

from ..errors import InputError

WRAPPERS = nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel
QUANTIZED = "torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized"  # whose layers hold no tensors
HOOKS = WeightNorm, SpectralNorm, BasePruningMethod  # which compute a layer's weight before each call


def unwrapped(model: nn.Module) -> nn.Module:
    """The network that torch.compile, DataParallel, DistributedDataParallel or AveragedModel is around, or `model` itself.

    Raises InputError for a program of TorchScript or torch.export, for quantized layers, and for a lazy module that was never
    called.
    """
    while isinstance(model, WRAPPERS) or hasattr(model, "_orig_mod"):  # torch.compile's
        model = model.module if isinstance(model, WRAPPERS) else model._orig_mod  # type: ignore[assignment]
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError("A TorchScript program has no layers to follow. Pass the module that it was made of.")
    if isinstance(model, torch.fx.GraphModule) and "eval" in vars(model):  # torch.export takes the modes from its programs
        raise InputError("A program of torch.export has no layers to follow. Pass the module that it was made of.")
    quantized = next((path for path, module in model.named_modules() if type(module).__module__.startswith(QUANTIZED)), None)
    if quantized is not None:
        raise InputError(
            f"{type(model).__name__} is quantized, as {quantized or 'it'!r} is, and its numbers are packed for torch's kernels "
            f"alone. Pass the network that it was made of."
        )
    if any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise InputError(f"{type(model).__name__} has lazy layers, which have no weights yet. Call it once with a batch.")
    return model


def copied(model: nn.Module, device: str | None = None) -> nn.Module:
    """A copy of a module, of which nothing leads back to it by autograd; on 'meta', without values, if that is the device."""
    memo = dict[int, Any]()  # for deepcopy: what stands for each tensor in the copy
    if device is not None:
        for x in (*model.parameters(), *model.buffers()):
            y = torch.empty_like(x, device=device)
            memo[id(x)] = nn.Parameter(y, x.requires_grad) if isinstance(x, nn.Parameter) else y
    with _DetachedCopies(device):
        return copy.deepcopy(model, memo)


def has_computed_weights(model: nn.Module) -> bool:
    """Whether a layer's weight is computed from other tensors at every call, as by weight_norm, spectral_norm and pruning."""
    return any(parametrize.is_parametrized(module) or _hooks(module) for module in model.modules())


@torch.no_grad()
def settle_weights(model: nn.Module) -> nn.Module:
    """`model`, a copy in eval mode, each weight that was computed at every call now a parameter with the value it has."""
    for module in [*model.modules()]:
        if parametrize.is_parametrized(module):  # torch's own removal would take it from the class, which copies share
            weights = {name: getattr(module, name) for name in module.parametrizations}  # type: ignore[union-attr]
            module.__class__ = type(module).__bases__[0]
            del module.parametrizations
            for name, weight in weights.items():
                module.register_parameter(name, nn.Parameter(weight.detach()))
        for key, hook in _hooks(module).items():
            hook.remove(module)
            del module._forward_pre_hooks[key]
    return model


def _hooks(module: nn.Module) -> dict[int, Any]:
    return {key: hook for key, hook in module._forward_pre_hooks.items() if isinstance(hook, HOOKS)}


class _DetachedCopies(TorchFunctionMode):
    """Lets deepcopy take tensors that were computed, which modules keep from a call: as leaves, perhaps on 'meta'."""

    def __init__(self, device: str | None):
        super().__init__()
        self.device = device

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not Tensor.__deepcopy__:
            return function(*args, **(kwargs or {}))
        x, memo = args
        if id(x) not in memo:
            memo[id(x)] = x.detach().clone() if self.device is None else torch.empty_like(x, device=self.device)
        return memo[id(x)]
