"""timm (pytorch-image-models 1.0.31): `tf_efficientnet_*`, ported from TensorFlow, and its own `efficientnet_*`."""

from __future__ import annotations

import re
from functools import partial

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS
from .lineage import Lineage


def _tf_preprocessing(variant: str, architecture: str) -> Preprocessing:
    resolution = 475 if "_475" in architecture else VARIANTS[variant].resolution
    mean = (0.5, 0.5, 0.5)
    adversarial = re.search(r"[._]ap([._-]|$)", architecture)  # AdvProp's pictures are in -1..1
    return Preprocessing(resolution, mean=mean, std=mean) if adversarial else Preprocessing(resolution)


def _loading_code(kind: str, variant: str, classes: int, channels: int, path: str) -> str:
    arguments = [f"'{kind}_{variant}'"]
    if classes != 1000:
        arguments.append(f"num_classes={classes}")
    if channels != 3:
        arguments.append(f"in_chans={channels}")
    return f"timm.create_model({', '.join(arguments)}, checkpoint_path={path!r})"


TF = Lineage(
    name="timm_tf",
    layers={"stem.conv": "conv_stem", "stem.bn": "bn1", "head.conv": "conv_head", "head.bn": "bn2", "classifier": "classifier"},
    block_prefix=lambda stage, block, _: f"blocks.{stage - 1}.{block - 1}.",
    block_layers={
        "expand.conv": "conv_pw",
        "expand.bn": "bn1",
        "depthwise.conv": "conv_dw",
        "depthwise.bn": "bn2",
        "squeeze_excitation.reduce": "se.conv_reduce",
        "squeeze_excitation.expand": "se.conv_expand",
        "project.conv": "conv_pwl",
        "project.bn": "bn3",
    },
    first_block_layers={
        "depthwise.conv": "conv_dw",
        "depthwise.bn": "bn1",
        "squeeze_excitation.reduce": "se.conv_reduce",
        "squeeze_excitation.expand": "se.conv_expand",
        "project.conv": "conv_pw",
        "project.bn": "bn2",
    },
    options=lambda variant: {"padding": "same", "eps": 1e-3, "momentum": 0.1},
    preprocessing=_tf_preprocessing,
    loading_code=partial(_loading_code, "tf_efficientnet"),
)

NATIVE = TF._replace(
    name="timm",
    options=lambda variant: {"padding": "symmetric", "eps": 1e-5, "momentum": 0.1},
    preprocessing=lambda variant, architecture: None,  # each of its weights has its own: the Hub's config says it
    loading_code=partial(_loading_code, "efficientnet"),
)
