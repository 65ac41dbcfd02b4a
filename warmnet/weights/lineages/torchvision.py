"""torchvision 0.28.0: `efficientnet_b0` to `efficientnet_b7`."""

from __future__ import annotations

from ...data.preprocessing import Preprocessing
from .lineage import Lineage, state_dict_code

SIZES = {  # the side that the short side is resized to, and that of the central square cut out of it: models/efficientnet.py
    "b0": (256, 224), "b1": (256, 240), "b2": (288, 288), "b3": (320, 300),
    "b4": (384, 380), "b5": (456, 456), "b6": (528, 528), "b7": (600, 600),
}  # fmt: skip


def _preprocessing(variant: str, architecture: str) -> Preprocessing:
    """That of the released weights; b1 has two, told apart by their file's name."""
    resize, resolution = SIZES[variant]
    if architecture.startswith("efficientnet_b1-"):
        return Preprocessing(resolution, resolution / 255, "bilinear", crop_mode="center")
    return Preprocessing(resolution, resolution / resize, crop_mode="center")


def _options(variant: str) -> dict[str, object]:
    batch_norm = {"eps": 1e-3, "momentum": 0.01} if variant in ("b5", "b6", "b7") else {"eps": 1e-5, "momentum": 0.1}
    return {"padding": "symmetric", **batch_norm}


def _loading_code(variant: str, classes: int, channels: int, path: str) -> str:
    return f"torchvision.models.efficientnet_{variant}(num_classes={classes}).load_state_dict({state_dict_code(path)})"


LINEAGE = Lineage(
    name="torchvision",
    layers={
        "stem.conv": "features.0.0",
        "stem.bn": "features.0.1",
        "head.conv": "features.8.0",
        "head.bn": "features.8.1",
        "classifier": "classifier.1",
    },
    block_prefix=lambda stage, block, _: f"features.{stage}.{block - 1}.block.",
    block_layers={
        "expand.conv": "0.0",
        "expand.bn": "0.1",
        "depthwise.conv": "1.0",
        "depthwise.bn": "1.1",
        "squeeze_excitation.reduce": "2.fc1",
        "squeeze_excitation.expand": "2.fc2",
        "project.conv": "3.0",
        "project.bn": "3.1",
    },
    first_block_layers={
        "depthwise.conv": "0.0",
        "depthwise.bn": "0.1",
        "squeeze_excitation.reduce": "1.fc1",
        "squeeze_excitation.expand": "1.fc2",
        "project.conv": "2.0",
        "project.bn": "2.1",
    },
    options=_options,
    preprocessing=_preprocessing,
    loading_code=_loading_code,
    variants=tuple(SIZES),
    supports=lambda classes, channels: classes > 0 and channels == 3,
)
