"""The families: the classes whose variants have names, and the one to which each name belongs."""

from __future__ import annotations

from typing import Any

from . import efficientnet_v2  # noqa: F401  its rows are variants of WarmEfficientNet
from .efficientnet import WarmEfficientNet
from .mobilenet_v2 import WarmMobileNetV2
from .names import choose_one
from .resnet import WarmResNet

FAMILIES = WarmEfficientNet, WarmMobileNetV2, WarmResNet
NAMES: dict[str, type[Any]] = {name: family for family in FAMILIES for name in family.variants}


def find_family(variant: Any) -> type[Any]:
    """The class that has a variant of that name; of a `Variant`, which has no name, `WarmEfficientNet`."""
    if not isinstance(variant, str):
        return WarmEfficientNet
    if variant not in NAMES:
        raise ValueError(f"Unknown variant {variant!r}. {choose_one(variant, NAMES)}.")
    return NAMES[variant]
