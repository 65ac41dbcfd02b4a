"""lukemelas' efficientnet_pytorch 0.7.1: weights ported from TensorFlow, AdvProp's under names that begin with `adv-`.

And the packages for EfficientNet-Lite that are made of it: efficientnet_lite_pytorch 0.1.0.
"""

from __future__ import annotations

from dataclasses import replace

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS, WarmEfficientNet
from .lineage import Lineage, conv_bn, gate, state_dict_code

ARCHITECTURES = {name: f"efficientnet-{name}" for name in VARIANTS if not name.startswith("v2")}
LITE = (127 / 255,) * 3, (128 / 255,) * 3  # (x - 127) / 128, official efficientnet_lite_builder.py


def _preprocessing(variant: str, architecture: str) -> Preprocessing:
    official = Preprocessing(VARIANTS[variant].resolution)
    if variant.startswith("lite"):
        return replace(official, mean=LITE[0], std=LITE[1])
    return replace(official, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)) if architecture.startswith("adv-") else official


def _loading_code(variant: str, classes: int, channels: int, path: str) -> str:
    package = "efficientnet_lite_pytorch" if variant.startswith("lite") else "efficientnet_pytorch"
    given = f"'{ARCHITECTURES[variant]}', in_channels={channels}, "
    given += f"num_classes={classes}" if classes else "include_top=False"
    return f"{package}.EfficientNet.from_name({given}).load_state_dict({state_dict_code(path)})"


AFTER_EXPAND = {
    **conv_bn(depthwise=("_depthwise_conv", "_bn1"), project=("_project_conv", "_bn2")),
    **gate("_se_reduce", "_se_expand"),
}
LINEAGE = Lineage(
    name="lukemelas",
    family=WarmEfficientNet,
    architectures=ARCHITECTURES,
    layers={"stem.conv": "_conv_stem", "stem.bn": "_bn0", "head.conv": "_conv_head", "head.bn": "_bn1", "classifier": "_fc"},
    blocks={
        "mb_block.expand": {**conv_bn(expand=("_expand_conv", "_bn0")), **AFTER_EXPAND},
        "mb_block.depthwise": AFTER_EXPAND,
    },
    block_prefix=lambda stage, block, index, _: f"_blocks.{index}.",
    options=lambda variant: {"padding": "same", "eps": 1e-3, "momentum": 0.01},
    preprocessing=_preprocessing,
    loading_code=_loading_code,
    has_several=lambda variant: variant.startswith("b"),
)
