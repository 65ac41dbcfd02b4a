"""What a network computes with that its tensors do not show: its padding, the eps of its batch norms, its activation."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from ..functional import SameConv2d
from ..networks.classifier import Classifier
from ..networks.efficientnet import Variant
from ..networks.families import FAMILIES
from .description import Description

CONVENTIONS = "padding", "eps", "act"


def default_settings(family: type[Classifier], variant: Any) -> dict[str, Any]:
    """The settings of a variant to which nothing else was given; `variant` is its name, or what that stands for."""
    defaults = {name: parameter.default for name, parameter in signature(family.__init__).parameters.items()}
    variant = family.variants.get(variant, variant) if isinstance(variant, str) else variant
    options = Variant(*variant).options if isinstance(variant, tuple) else ()  # files have it as a plain tuple
    return {**defaults, **dict(options)}


def default_conventions(family: type[Classifier], variant: Any) -> dict[str, Any]:
    """Those of a variant to which nothing else was given."""
    settings = default_settings(family, variant)
    return {key: settings[key] for key in CONVENTIONS}


def conventions_of(model: nn.Module) -> dict[str, Any]:
    """Those that a model has: 'padding' where it has strides, 'eps' of its first batch norm, 'act' of a classifier."""
    conventions: dict[str, Any] = {}
    strided = [module for module in model.modules() if isinstance(module, nn.Conv2d) and max(module.stride) > 1]
    if strided:
        conventions["padding"] = "same" if any(isinstance(module, SameConv2d) for module in strided) else "symmetric"
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        conventions["eps"] = norms[0].eps
    if isinstance(model, Classifier) and "act" in model.settings:
        conventions["act"] = model.settings["act"]
    return conventions


def stated_conventions(description: Description) -> dict[str, Any]:
    """Those by which the networks compute that a description is of, where it is of one of warmnet's families."""
    family = family_among([description.network, *description.bases])
    if family is None:
        return description.options
    return {**default_conventions(family, description.variant), **description.options}


def family_among(names: list[str]) -> type[Classifier] | None:
    """The first family that is among those names of classes."""
    return next((family for family in FAMILIES if family.__name__ in names), None)


def name_of(variant: Any, network: str) -> str:
    """The name of a variant of a family, 'b0'; of one without a name, its numbers."""
    family = family_among([network])
    known = family.variants.items() if family else ()
    return next((name for name, each in known if each == variant), str(variant))


def difference(conventions: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that say otherwise than a model's conventions."""
    return {key: options[key] for key, value in conventions.items() if key in options and _plain(options[key]) != _plain(value)}


def as_keywords(options: Mapping[str, Any]) -> str:
    """Options as they are written in a call."""
    return ", ".join(f"{key}={getattr(value, '__name__', repr(value))}" for key, value in options.items())


def _plain(value: Any) -> Any:
    """A value to be compared: a function, which may be given by its name, is its name."""
    return getattr(value, "__name__", value)
