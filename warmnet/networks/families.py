"""The families: the classes whose variants have names, and the one to which each name belongs."""

from __future__ import annotations

from . import efficientnet_v2  # noqa: F401  its rows are variants of WarmEfficientNet
from .classifier import Classifier
from .efficientnet import WarmEfficientNet
from .mobilenet_v2 import WarmMobileNetV2
from .resnet import WarmResNet

FAMILIES: tuple[type[Classifier], ...] = (WarmEfficientNet, WarmMobileNetV2, WarmResNet)
NAMES: dict[str, type[Classifier]] = {name: family for family in FAMILIES for name in family.variants}
