"""torchvision 0.28.0: `efficientnet_b0` to `b7`, `efficientnet_v2_s` to `l`, `mobilenet_v2`, `resnet18` to `resnet152`."""

from __future__ import annotations

from typing import Any

from ...data.preprocessing import Preprocessing
from ...networks.classifier import Classifier
from ...networks.efficientnet import WarmEfficientNet
from ...networks.mobilenet_v2 import WarmMobileNetV2
from ...networks.resnet import WarmResNet
from .lineage import Lineage, conv_bn, gate, state_dict_code
from .timm import RESNET_BLOCKS, RESNET_LAYERS

SIZES = {  # the side that the short side is resized to, and that of the central square cut out of it: models/efficientnet.py
    "b0": (256, 224), "b1": (256, 240), "b2": (288, 288), "b3": (320, 300),
    "b4": (384, 380), "b5": (456, 456), "b6": (528, 528), "b7": (600, 600),
    "v2-s": (384, 384), "v2-m": (480, 480), "v2-l": (480, 480),
}  # fmt: skip
SECOND_WEIGHTS = (  # how the files begin of what torchvision calls IMAGENET1K_V2, whose images are resized to 232
    "mobilenet_v2-7ebf99e0", "resnet50-11ad3fa6", "resnet101-cd907fc2", "resnet152-f82ba261",
)  # fmt: skip


def _preprocessing(variant: str, architecture: str) -> Preprocessing:
    """That of the released EfficientNets; b1 has two, told apart by their file's name."""
    resize, resolution = SIZES[variant]
    if architecture.startswith("efficientnet_b1-"):
        return Preprocessing(resolution, resolution / 255, "bilinear", crop_mode="center")
    usual = Preprocessing(resolution, resolution / resize, crop_mode="center")
    if variant == "v2-l":
        return Preprocessing(480, 1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_mode="center")
    if variant.startswith("v2"):
        return Preprocessing(resolution, 1.0, "bilinear", crop_mode="center")
    return usual


def _older_preprocessing(variant: str, architecture: str) -> Preprocessing:
    """That of the released MobileNetV2 and ResNets, of which most have two, told apart by their file's name."""
    resize = 232 if architecture.startswith(SECOND_WEIGHTS) else 256
    return Preprocessing(224, 224 / resize, "bilinear", crop_mode="center")


def _options(variant: str) -> dict[str, object]:
    if variant.startswith("v2"):
        return {"padding": "symmetric", "eps": 1e-3, "momentum": 0.1}
    batch_norm = {"eps": 1e-3, "momentum": 0.01} if variant in ("b5", "b6", "b7") else {"eps": 1e-5, "momentum": 0.1}
    return {"padding": "symmetric", **batch_norm}


def _lineage(family: type[Classifier], architectures: dict[str, str], **conventions: Any) -> Lineage:
    """A lineage of torchvision's."""

    def loading_code(variant: str, classes: int, channels: int, path: str) -> str:
        name = architectures[variant]
        return f"torchvision.models.{name}(num_classes={classes}).load_state_dict({state_dict_code(path)})"

    return Lineage(
        name="torchvision",
        family=family,
        architectures=architectures,
        loading_code=loading_code,
        supports=lambda classes, channels: classes > 0 and channels == 3,
        **conventions,
    )


EFFICIENTNET = _lineage(
    WarmEfficientNet,
    {name: f"efficientnet_{name.replace('-', '_')}" for name in SIZES},
    layers={
        "stem.conv": "features.0.0",
        "stem.bn": "features.0.1",
        "head.conv": "features.{last}.0",
        "head.bn": "features.{last}.1",
        "classifier": "classifier.1",
    },
    blocks={
        "mb_block.expand": {
            **conv_bn(expand=("0.0", "0.1"), depthwise=("1.0", "1.1"), project=("3.0", "3.1")),
            **gate("2.fc1", "2.fc2"),
        },
        "mb_block.depthwise": {
            **conv_bn(depthwise=("0.0", "0.1"), project=("2.0", "2.1")),
            **gate("1.fc1", "1.fc2"),
        },
        "fused_mb_block.expand": conv_bn(expand=("0.0", "0.1"), project=("1.0", "1.1")),
        "fused_mb_block.project": conv_bn(project=("0.0", "0.1")),
    },
    block_prefix=lambda stage, block, *_: f"features.{stage}.{block - 1}.block.",
    options=_options,
    preprocessing=_preprocessing,
    has_several=lambda variant: variant == "b1",
)
MOBILENET_V2 = _lineage(
    WarmMobileNetV2,
    {"mobilenetv2-1.0": "mobilenet_v2"},
    layers={
        "stem.conv": "features.0.0",
        "stem.bn": "features.0.1",
        "head.conv": "features.18.0",
        "head.bn": "features.18.1",
        "classifier": "classifier.1",
    },
    blocks={
        "mb_block.expand": conv_bn(expand=("0.0", "0.1"), depthwise=("1.0", "1.1"), project=("2", "3")),
        "mb_block.depthwise": conv_bn(depthwise=("0.0", "0.1"), project=("1", "2")),
    },
    block_prefix=lambda stage, block, index, _: f"features.{index + 1}.conv.",
    options=lambda variant: {},
    preprocessing=_older_preprocessing,
    has_several=lambda variant: True,
)
RESNET = _lineage(
    WarmResNet,
    {name: name for name in WarmResNet.variants},
    layers=RESNET_LAYERS,
    blocks=RESNET_BLOCKS,
    block_prefix=lambda stage, block, *_: f"layer{stage}.{block - 1}.",
    options=lambda variant: {},
    preprocessing=_older_preprocessing,
    has_several=lambda variant: True,
)
