"""What a network computes with that its tensors do not show: its padding, the eps of its batch norms, its activation."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from ..functional import SameConv2d
from ..networks.efficientnet import WarmEfficientNet, conv_bn_act
from .description import Description

CONVENTIONS = "padding", "eps", "act"
DEFAULTS = {key: signature(conv_bn_act).parameters[key].default for key in CONVENTIONS}  # of an EfficientNet


def conventions_of(model: nn.Module) -> dict[str, Any]:
    """Those that a model has: 'padding' where it has strides, 'eps' of its first batch norm, 'act' of an EfficientNet."""
    conventions: dict[str, Any] = {}
    strided = [module for module in model.modules() if isinstance(module, nn.Conv2d) and max(module.stride) > 1]
    if strided:
        conventions["padding"] = "same" if any(isinstance(module, SameConv2d) for module in strided) else "symmetric"
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        conventions["eps"] = norms[0].eps
    if isinstance(model, WarmEfficientNet):
        conventions["act"] = model.options.get("act", DEFAULTS["act"])
    return conventions


def stated_options(description: Description, is_complete: bool) -> dict[str, Any]:
    """The options by which a network says its conventions.

    - `is_complete`: it is described by warmnet: an EfficientNet's options that are not among them are the defaults.
    """
    names = {description.network, *description.bases}
    if is_complete and WarmEfficientNet.__name__ in names:
        return {**DEFAULTS, **description.options}
    return description.options


def difference(conventions: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that say otherwise than a model's conventions."""
    return {key: options[key] for key, value in conventions.items() if options.get(key, value) != value}


def as_keywords(options: Mapping[str, Any]) -> str:
    """Options as they are written in a call."""
    return ", ".join(f"{key}={getattr(value, '__name__', repr(value))}" for key, value in options.items())
