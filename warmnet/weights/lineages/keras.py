"""Keras 3.15: `keras.applications.EfficientNetB0` to `B7`, `EfficientNetV2B0` to `B3`, `S`, `M`, `L`.

Their first layers are the preprocessing; channels come last.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS, WarmEfficientNet
from .lineage import Lineage, conv_bn, gate

BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def _suffix(layer: str, tensor: str) -> str | None:
    if not layer.endswith("bn"):
        return {"weight": "/kernel", "bias": "/bias"}[tensor]
    return f"/{BATCH_NORM[tensor]}" if tensor in BATCH_NORM else None


def _to_warmnet(tensor: Tensor, path: str) -> Tensor:
    """(H, W, in, out) -> (out, in, H, W); a depthwise kernel's (H, W, C, 1) -> (C, 1, H, W); a matrix transposed."""
    if tensor.ndim == 4:
        return tensor.permute((2, 3, 0, 1) if ".depthwise." in path else (3, 2, 0, 1))
    return tensor.T if tensor.ndim == 2 else tensor


def _from_warmnet(tensor: Tensor, path: str) -> Tensor:
    if tensor.ndim == 4:
        return tensor.permute((2, 3, 0, 1) if ".depthwise." in path else (2, 3, 1, 0))
    return tensor.T if tensor.ndim == 2 else tensor


def normalization(mean: Tensor, variance: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the standard deviation, for pictures in 0..1, that a file's Normalization layer amounts to.

    In the released files the variance is what should be its root, and the application divides by it once more.
    """
    released = (variance - variance.new_tensor(Preprocessing(224).std)).abs().max() < 1e-3
    std = variance if released else variance.sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())


def _v2_preprocessing(variant: str, architecture: str) -> Preprocessing:
    """Of b0 to b3 that of V1; all others take (x - 128) / 128 of the whole picture."""
    resolution = VARIANTS[variant].resolution
    if variant.startswith("v2-b"):
        return Preprocessing(resolution)
    return Preprocessing(resolution, 1.0, mean=(128 / 255,) * 3, std=(128 / 255,) * 3)


def _lineage(architectures: dict[str, str], depthwise: str, momentum: float, **conventions: Any) -> Lineage:
    """A lineage of Keras', whose depthwise kernels have that name."""

    def loading_code(variant: str, classes: int, channels: int, path: str) -> str:
        head = f"classes={classes}" if classes else "include_top=False"
        return f"keras.applications.{architectures[variant]}(weights={path!r}, {head})"

    expand, project = ("expand_conv", "expand_bn"), ("project_conv", "project_bn")
    after_expand = {**conv_bn(depthwise=(depthwise, "bn"), project=project), **gate("se_reduce", "se_expand")}
    return Lineage(
        name="keras",
        family=WarmEfficientNet,
        architectures=architectures,
        layers={
            "stem.conv": "stem_conv",
            "stem.bn": "stem_bn",
            "head.conv": "top_conv",
            "head.bn": "top_bn",
            "classifier": "predictions",
        },
        blocks={
            "mb_block.expand": {**conv_bn(expand=expand), **after_expand},
            "mb_block.depthwise": after_expand,
            "fused_mb_block.expand": conv_bn(expand=expand, project=project),
            "fused_mb_block.project": conv_bn(project=project),
        },
        block_prefix=lambda stage, block, *_: f"block{stage}{chr(ord('a') + block - 1)}_",
        options=lambda variant: {"padding": "same", "eps": 1e-3, "momentum": momentum},
        loading_code=loading_code,
        supports=lambda classes, channels: channels == 3,
        suffix=_suffix,
        to_warmnet=_to_warmnet,
        from_warmnet=_from_warmnet,
        **conventions,
    )


V1 = _lineage(
    {f"b{n}": f"EfficientNetB{n}" for n in range(8)}, "dwconv", 0.01,
    preprocessing=lambda variant, architecture: Preprocessing(VARIANTS[variant].resolution),
)  # fmt: skip
V2 = _lineage(
    {f"v2-{name}": f"EfficientNetV2{name.upper()}" for name in ("b0", "b1", "b2", "b3", "s", "m", "l")}, "dwconv2", 0.1,
    preprocessing=_v2_preprocessing,
    has_several=lambda variant: True,  # by include_preprocessing
)  # fmt: skip
