"""timm 1.0.31: `tf_efficientnet*`, ported from TensorFlow, and its own `efficientnet*`, `mobilenetv2_*`, `resnet*`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS, WarmEfficientNet
from ...networks.mobilenet_v2 import WarmMobileNetV2
from ...networks.resnet import WarmResNet
from .lineage import Lineage, conv_bn, gate

EFFICIENTNETS = {  # without V2's scaled ones, which timm has of TensorFlow's alone
    **{name: f"efficientnet_{name}" for name in VARIANTS if not name.startswith("v2")},
    **{f"v2-{size}": f"efficientnetv2_{size}" for size in ("s", "m", "l", "xl")},
}
HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
EVALUATION: dict[str, dict[str, Any]] = {  # timm's configurations, where it evaluates otherwise than the official code
    "lite3": {"resolution": 300, "crop": 0.904, "interpolation": "bilinear"},
    "lite4": {"resolution": 380, "crop": 0.92, "interpolation": "bilinear"},
    "v2-s": {"crop": 1.0},
    "v2-m": {"crop": 1.0, "crop_mode": "squash"},
    "v2-l": {"crop": 1.0, "crop_mode": "squash"},
    "v2-xl": {"crop": 1.0, "crop_mode": "squash"},
}
FINE_TUNED_B3: dict[str, Any] = {"crop": 0.9, "crop_mode": "squash"}
OTHERS = "efficientnet_blur_b0", "resnetaa50", "resnetblur18", "resnetblur50"  # with the tensors of one of these, and blurring


def _tf_preprocessing(variant: str, architecture: str) -> Preprocessing:
    """As of the weights that timm has, told apart by their names; of b0 to b8 and l2 with the official crop.

    AdvProp's, Lite's, and V2's but for the small ones of ImageNet-1k see -1..1.
    """
    usual = Preprocessing(475 if "_475" in architecture else VARIANTS[variant].resolution)
    if variant in EVALUATION:
        return replace(usual, **EVALUATION[variant], **HALF)
    if variant == "v2-b3" and "in21k" in architecture:
        return replace(usual, **(FINE_TUNED_B3 if "in21k_ft" in architecture else {}), **HALF)
    is_adversarial = re.search(r"[._]ap([._-]|$)", architecture)
    return replace(usual, **HALF) if is_adversarial or variant.startswith("lite") else usual


def _loading_code(architectures: dict[str, str], variant: str, classes: int, channels: int, path: str) -> str:
    arguments = [repr(architectures[variant])]
    if classes != 1000:
        arguments.append(f"num_classes={classes}")
    if channels != 3:
        arguments.append(f"in_chans={channels}")
    return f"timm.create_model({', '.join(arguments)}, checkpoint_path={path!r})"


def _lineage(name: str, family: Any, architectures: dict[str, str], **conventions: Any) -> Lineage:
    """A lineage of timm's, whose blocks are called the same in all but ResNets."""
    usual: dict[str, Any] = {
        "layers": LAYERS,
        "blocks": BLOCKS,
        "block_prefix": lambda stage, block, *_: f"blocks.{stage - 1}.{block - 1}.",
    }
    return Lineage(
        name=name,
        family=family,
        architectures=architectures,
        loading_code=lambda *arguments: _loading_code(architectures, *arguments),
        **{**usual, **conventions},
    )


def _unknown_preprocessing(variant: str, architecture: str) -> None:
    """Each of timm's own weights has its own: the Hub's config says it."""


LAYERS = {"stem.conv": "conv_stem", "stem.bn": "bn1", "head.conv": "conv_head", "head.bn": "bn2", "classifier": "classifier"}
GATE = gate("se.conv_reduce", "se.conv_expand")
BLOCKS = {
    "mb_block.expand": {
        **conv_bn(expand=("conv_pw", "bn1"), depthwise=("conv_dw", "bn2"), project=("conv_pwl", "bn3")),
        **GATE,
    },
    "mb_block.depthwise": {**conv_bn(depthwise=("conv_dw", "bn1"), project=("conv_pw", "bn2")), **GATE},
    "fused_mb_block.expand": conv_bn(expand=("conv_exp", "bn1"), project=("conv_pwl", "bn2")),
    "fused_mb_block.project": conv_bn(project=("conv", "bn1")),
}
TF = _lineage(
    "timm_tf",
    WarmEfficientNet,
    {name: f"tf_efficientnet{name.replace('v2-', 'v2_') if name.startswith('v2') else f'_{name}'}" for name in VARIANTS},
    options=lambda variant: {"padding": "same", "eps": 1e-3, "momentum": 0.1},
    preprocessing=_tf_preprocessing,
    has_several=lambda variant: variant in ("l2", "v2-b3") or variant.startswith("b"),
)
NATIVE = _lineage(
    "timm",
    WarmEfficientNet,
    EFFICIENTNETS,
    options=lambda variant: {"padding": "symmetric", "eps": 1e-5, "momentum": 0.1},
    preprocessing=_unknown_preprocessing,
)
MOBILENET_V2 = _lineage(
    "timm",
    WarmMobileNetV2,
    {"mobilenetv2-0.5": "mobilenetv2_050", "mobilenetv2-1.0": "mobilenetv2_100", "mobilenetv2-1.4": "mobilenetv2_140"},
    options=lambda variant: {},
    preprocessing=_unknown_preprocessing,
)
RESNET_LAYERS = {"stem.conv": "conv1", "stem.bn": "bn1", "classifier": "fc"}
RESNET_BLOCKS = {
    "basic_block.first": conv_bn(first=("conv1", "bn1"), second=("conv2", "bn2"), shortcut=("downsample.0", "downsample.1")),
    "bottleneck.reduce": conv_bn(
        reduce=("conv1", "bn1"), spatial=("conv2", "bn2"), expand=("conv3", "bn3"), shortcut=("downsample.0", "downsample.1")
    ),
}
RESNET = _lineage(
    "timm",
    WarmResNet,
    {name: name for name in WarmResNet.variants},
    layers=RESNET_LAYERS,
    blocks=RESNET_BLOCKS,
    block_prefix=lambda stage, block, *_: f"layer{stage}.{block - 1}.",
    options=lambda variant: {},
    preprocessing=_unknown_preprocessing,
)
