"""timm (pytorch-image-models 1.0.31): `tf_efficientnet_*`, ported from TensorFlow, and its own `efficientnet_*`."""

from __future__ import annotations

import re
from functools import partial

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS
from .lineage import Lineage


def _tf_preprocessing(variant: str, called: str) -> Preprocessing:
    resolution = 475 if "_475" in called else VARIANTS[variant].resolution
    mean = (0.5, 0.5, 0.5)
    adversarial = re.search(r"[._]ap([._-]|$)", called)  # AdvProp's pictures are in -1..1
    return Preprocessing(resolution, mean=mean, std=mean) if adversarial else Preprocessing(resolution)


def _loading(kind: str, variant: str, classes: int, channels: int, path: str) -> str:
    more = f", num_classes={classes}" * (classes != 1000) + f", in_chans={channels}" * (channels != 3)
    return f"timm.create_model('{kind}_{variant}'{more}, checkpoint_path={path!r})"


TF = Lineage(
    name="timm_tf",
    outer={"stem.conv": "conv_stem", "stem.bn": "bn1", "head.conv": "conv_head", "head.bn": "bn2", "classifier": "classifier"},
    block=lambda stage, block, _: f"blocks.{stage - 1}.{block - 1}.",
    inner={
        "expand.conv": "conv_pw",
        "expand.bn": "bn1",
        "depthwise.conv": "conv_dw",
        "depthwise.bn": "bn2",
        "squeeze_excitation.reduce": "se.conv_reduce",
        "squeeze_excitation.expand": "se.conv_expand",
        "project.conv": "conv_pwl",
        "project.bn": "bn3",
    },
    bare={
        "depthwise.conv": "conv_dw",
        "depthwise.bn": "bn1",
        "squeeze_excitation.reduce": "se.conv_reduce",
        "squeeze_excitation.expand": "se.conv_expand",
        "project.conv": "conv_pw",
        "project.bn": "bn2",
    },
    options=lambda variant: {"padding": "same", "eps": 1e-3, "momentum": 0.1},
    preprocessing=_tf_preprocessing,
    loading=partial(_loading, "tf_efficientnet"),
)

NATIVE = TF._replace(
    name="timm",
    options=lambda variant: {"padding": "symmetric", "eps": 1e-5, "momentum": 0.1},
    preprocessing=lambda variant, called: None,  # each of its weights has its own: the Hub's config says it
    loading=partial(_loading, "efficientnet"),
)
