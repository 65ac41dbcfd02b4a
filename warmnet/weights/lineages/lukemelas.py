"""lukemelas' efficientnet_pytorch 0.7.1: weights ported from TensorFlow, AdvProp's under names that begin with `adv-`."""

from __future__ import annotations

from dataclasses import replace

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS
from .lineage import Lineage, state_dict_code, without_expand


def _preprocessing(variant: str, architecture: str) -> Preprocessing:
    official = Preprocessing(VARIANTS[variant].resolution)
    return replace(official, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)) if architecture.startswith("adv-") else official


def _loading_code(variant: str, classes: int, channels: int, path: str) -> str:
    given = f"'efficientnet-{variant}', in_channels={channels}, "
    given += f"num_classes={classes}" if classes else "include_top=False"
    return f"efficientnet_pytorch.EfficientNet.from_name({given}).load_state_dict({state_dict_code(path)})"


BLOCK_LAYERS = {
    "expand.conv": "_expand_conv",
    "expand.bn": "_bn0",
    "depthwise.conv": "_depthwise_conv",
    "depthwise.bn": "_bn1",
    "squeeze_excitation.reduce": "_se_reduce",
    "squeeze_excitation.expand": "_se_expand",
    "project.conv": "_project_conv",
    "project.bn": "_bn2",
}

LINEAGE = Lineage(
    name="lukemelas",
    layers={"stem.conv": "_conv_stem", "stem.bn": "_bn0", "head.conv": "_conv_head", "head.bn": "_bn1", "classifier": "_fc"},
    block_prefix=lambda stage, block, index: f"_blocks.{index}.",
    block_layers=BLOCK_LAYERS,
    first_block_layers=without_expand(BLOCK_LAYERS),
    options=lambda variant: {"padding": "same", "eps": 1e-3, "momentum": 0.01},
    preprocessing=_preprocessing,
    loading_code=_loading_code,
)
