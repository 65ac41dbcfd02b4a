"""Keras 3.15: `keras.applications.EfficientNetB0` to `B7`. Its first layers are the preprocessing; channels come last."""

from __future__ import annotations

from torch import Tensor

from ...data.preprocessing import Preprocessing
from ...networks.efficientnet import VARIANTS
from .lineage import Lineage

INNER = {
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


def _leaf(layer: str, leaf: str) -> str | None:
    name = BATCH_NORM.get(leaf) if layer.endswith("bn") else {"weight": "kernel", "bias": "bias"}[leaf]
    return name and f"/{name}"


def _to_ours(tensor: Tensor, path: str) -> Tensor:
    """(H, W, in, out) -> (out, in, H, W); a depthwise kernel's (H, W, C, 1) -> (C, 1, H, W); a matrix transposed."""
    if tensor.ndim == 4:
        return tensor.permute((2, 3, 0, 1) if ".depthwise." in path else (3, 2, 0, 1))
    return tensor.T if tensor.ndim == 2 else tensor


def _to_theirs(tensor: Tensor, path: str) -> Tensor:
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


def _loading(variant: str, classes: int, channels: int, path: str) -> str:
    head = f"classes={classes}" if classes else "include_top=False"
    return f"keras.applications.EfficientNet{variant.upper()}(weights={path!r}, {head})"


LINEAGE = Lineage(
    name="keras",
    outer={
        "stem.conv": "stem_conv",
        "stem.bn": "stem_bn",
        "head.conv": "top_conv",
        "head.bn": "top_bn",
        "classifier": "predictions",
    },
    block=lambda stage, block, _: f"block{stage}{chr(ord('a') + block - 1)}_",
    inner=INNER,
    bare={layer: name for layer, name in INNER.items() if not layer.startswith("expand")},
    options=lambda variant: {"padding": "same", "eps": 1e-3, "momentum": 0.01},
    preprocessing=lambda variant, called: Preprocessing(VARIANTS[variant].resolution),
    loading=_loading,
    variants=tuple(f"b{n}" for n in range(8)),
    takes=lambda classes, channels: channels == 3,
    leaf=_leaf,
    to_ours=_to_ours,
    to_theirs=_to_theirs,
)
