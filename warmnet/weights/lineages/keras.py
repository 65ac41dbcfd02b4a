"""Keras 3.15: `keras.applications.EfficientNetB0` to `B7`. Its first layers are the preprocessing; channels come last."""

from __future__ import annotations

from torch import Tensor

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS
from .lineage import Lineage, without_expand

BLOCK_LAYERS = {
    "expand.conv": "expand_conv",
    "expand.bn": "expand_bn",
    "depthwise.conv": "dwconv",
    "depthwise.bn": "bn",
    "squeeze_excitation.reduce": "se_reduce",
    "squeeze_excitation.expand": "se_expand",
    "project.conv": "project_conv",
    "project.bn": "project_bn",
}
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


def _loading_code(variant: str, classes: int, channels: int, path: str) -> str:
    head = f"classes={classes}" if classes else "include_top=False"
    return f"keras.applications.EfficientNet{variant.upper()}(weights={path!r}, {head})"


LINEAGE = Lineage(
    name="keras",
    layers={
        "stem.conv": "stem_conv",
        "stem.bn": "stem_bn",
        "head.conv": "top_conv",
        "head.bn": "top_bn",
        "classifier": "predictions",
    },
    block_prefix=lambda stage, block, _: f"block{stage}{chr(ord('a') + block - 1)}_",
    block_layers=BLOCK_LAYERS,
    first_block_layers=without_expand(BLOCK_LAYERS),
    options=lambda variant: {"padding": "same", "eps": 1e-3, "momentum": 0.01},
    preprocessing=lambda variant, architecture: Preprocessing(VARIANTS[variant].resolution),
    loading_code=_loading_code,
    variants=tuple(f"b{n}" for n in range(8)),
    supports=lambda classes, channels: channels == 3,
    suffix=_suffix,
    to_warmnet=_to_warmnet,
    from_warmnet=_from_warmnet,
)
