"""The optimizer of a recipe, and how fast each part of a network learns with it."""

from __future__ import annotations

import re
from typing import Any

import torch

from ..networks.efficientnet import WarmEfficientNet
from .recipe import Recipe
from .rmsprop import RMSpropTF

DEEPEST = 9


def depth(path: str) -> int:
    """How deep in an EfficientNet a tensor or module is: the stem 0, stages 1 to 7, the head 8, the classifier 9."""
    stage = re.match(r"stage_(\d+)", path)
    return min(int(stage[1]), DEEPEST - 2) if stage else {"stem": 0, "head": DEEPEST - 1}.get(path.split(".")[0], DEEPEST)


def optimizer(model: WarmEfficientNet, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer of a network, its parameters in groups by `share` of the learning rate and by weight decay."""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        decayed = parameter.ndim > 1 or (recipe.decay_biases and ".bn." not in name)
        key = recipe.layer_decay ** (DEEPEST - depth(name)), recipe.weight_decay if decayed else 0.0
        groups.setdefault(key, {"params": [], "share": key[0], "weight_decay": key[1]})["params"].append(parameter)
    of = list(groups.values())
    if recipe.optimizer == "rmsprop":
        return RMSpropTF(of, recipe.lr or 0.0)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(of, recipe.lr or 0.0, momentum=0.9, nesterov=True)  # its fused one fails once stages thaw
    return torch.optim.AdamW(of, lr=recipe.lr or 0.0, fused=True)
