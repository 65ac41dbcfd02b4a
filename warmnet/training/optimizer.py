"""The optimizer of a recipe, and how fast each part of a network learns with it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..functional.normalization import NORMALIZATIONS
from .recipe import Recipe
from .rmsprop import RMSpropTF


def part_depths(model: nn.Module) -> dict[str, int]:
    """{name: depth} of the network's children that have parameters, from 0 in their order: stem 0, stage_1 1, ..."""
    parts = [name for name, child in model.named_children() if next(child.parameters(), None) is not None]
    return {name: depth for depth, name in enumerate(parts)}


def depth(path: str, depths: dict[str, int]) -> int:
    """How deep a tensor or module is, by the `part_depths` of its network. What is in none of them is as the first."""
    return depths.get(path.split(".")[0], 0)


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer of a network, its parameters in groups by `share` of the learning rate and by weight decay."""
    depths = part_depths(model)
    deepest = max(depths.values())
    of_normalization = {id(p) for m in model.modules() if isinstance(m, NORMALIZATIONS) for p in m.parameters()}
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        share = recipe.layer_decay ** (deepest - depth(name, depths))
        is_decayed = parameter.ndim > 1 or (recipe.decay_biases and id(parameter) not in of_normalization)
        weight_decay = recipe.weight_decay if is_decayed else 0.0
        group = groups.setdefault((share, weight_decay), {"params": [], "share": share, "weight_decay": weight_decay})
        group["params"].append(parameter)
    lr = recipe.lr or 0.0
    if recipe.optimizer == "rmsprop":
        return RMSpropTF(groups.values(), lr)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups.values(), lr, momentum=0.9, nesterov=True)  # its fused one fails once stages thaw
    return torch.optim.AdamW(groups.values(), lr=lr, fused=True)
