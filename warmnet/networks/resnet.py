"""ResNet, what readers of EfficientNet compare with: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
CVPR 2016, arXiv:1512.03385; in the form called v1.5, whose bottlenecks have their stride in the 3x3 kernel, as torchvision's
and timm's have. Shapes are (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from .. import functional as W
from ..engine.block import block
from ..functional.specs import activated
from .classifier import Classifier
from .efficientnet import Stage, conv_bn_act, scaled, stage
from .settings import check_settings, total_stride, unknown_variant


def shortcut(x, size, stride, **conv):
    """(B, C, H, W) -> (B, size, H/stride, W/stride): x itself where that is its shape, else x projected."""
    if stride == 1 and x.shape[1] == size:
        return x
    return conv_bn_act(x, size, 1, stride, act=None, name="shortcut", **conv)


@block
def basic_block(x, size, expand=1, kernel=3, stride=1, dilation=1, drop=0.0, act=F.relu, dilation_out=None, **conv):
    """(B, C, H, W) -> (B, size, H/stride, W/stride): two kernels, and x past them.

    `dilation_out`: of the second kernel, which comes after the stride. Default: that of the first.
    """
    y = conv_bn_act(x, size // expand, kernel, stride, dilation=dilation, act=act, name="first", **conv)
    y = conv_bn_act(y, size, kernel, dilation=dilation_out or dilation, act=None, name="second", **conv)
    y = shortcut(x, y.shape[1], stride, **conv) + W.drop_connect(y, drop, name="drop_connect")
    return activated(y, act)


@block
def bottleneck(x, size, expand=4, kernel=3, stride=1, dilation=1, drop=0.0, act=F.relu, **conv):
    """(B, C, H, W) -> (B, size, H/stride, W/stride): a kernel among `expand` times fewer channels, and x past it."""
    y = conv_bn_act(x, size // expand, act=act, name="reduce", **conv)
    y = conv_bn_act(y, size // expand, kernel, stride, dilation=dilation, act=act, name="spatial", **conv)
    y = conv_bn_act(y, size, act=None, name="expand", **conv)
    y = shortcut(x, y.shape[1], stride, **conv) + W.drop_connect(y, drop, name="drop_connect")
    return activated(y, act)


def _stages(block, expand, *repeats):
    """The rows of a ResNet with so many of these blocks, whose sizes are `expand` times 64, 128, 256 and 512."""
    rows = zip((64, 128, 256, 512), (1, 2, 2, 2), repeats)
    return tuple(Stage(size * expand, expand, 3, stride, repeat, block) for size, stride, repeat in rows)


DEPTHS = {  # Table 1 of the paper
    "resnet18": _stages(basic_block, 1, 2, 2, 2, 2),
    "resnet34": _stages(basic_block, 1, 3, 4, 6, 3),
    "resnet50": _stages(bottleneck, 4, 3, 4, 6, 3),
    "resnet101": _stages(bottleneck, 4, 3, 4, 23, 3),
    "resnet152": _stages(bottleneck, 4, 3, 8, 36, 3),
}


def find_depth(variant: str | int) -> int:
    """The depth that 'resnet50', '50' or 50 stands for."""
    for name in DEPTHS:
        depth = name.removeprefix("resnet")
        if variant in (name, depth, int(depth)):
            return int(depth)
    raise unknown_variant(variant, DEPTHS, "its depth")


def stages_of(depth: int) -> tuple[Stage, ...]:
    """The stages of a ResNet of that depth."""
    return DEPTHS[f"resnet{depth}"]


def resnet(
    x, variant=50, num_classes=1000, *, stages=None, stem=64, stem_stride=2, output_stride=None, dropout=0.0, drop_connect=0.0,
    act=F.relu, padding="symmetric", eps=1e-5, momentum=0.1,
):  # fmt: skip
    """(B, C, H, W) -> (B, num_classes), or the pooled features if `num_classes` is 0: the network as a function.

    `stages`: instead of those of the depth, whose block computes each stage that names no other.
    """
    conv = {"act": act, "padding": padding, "eps": eps, "momentum": momentum}
    own = stages_of(find_depth(variant))
    stages = own if stages is None else stages
    x = conv_bn_act(x, stem, 7, stem_stride, name="stem", **conv)
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for row in scaled(stages, 1, 1, drop_connect, 2 * stem_stride, output_stride, own[0].block):
        if output_stride and row["block"] is basic_block:
            row["dilation_out"] = row["dilations"][-1]
        x = stage(x, **row, **conv)
    x = W.global_average_pool(x).flatten(1)
    if num_classes:
        x = W.dropout(x, dropout, name="dropout")
        x = W.linear(x, num_classes, name="classifier")
    return x


class WarmResNet(Classifier):
    """(B, in_channels, H, W) -> (B, num_classes): ResNet of 18, 34, 50, 101 or 152 layers, with random weights.

    - `variant`: the depth, such as 50, '50' or 'resnet50'.
    - `num_classes`: 0 for no classifier; the output is then the pooled features.
    - `stages` to `momentum`: the keywords of `resnet`.
    - `device`: where to build, 'meta' included. Default: torch's default device.
    - `seed`: decides the initial weights. Default: the seed of torch's generator.

    >>> import warmnet
    >>> warmnet.tabulate(warmnet.WarmResNet(50, device='meta')).parameters
    25557032
    """

    name_prefix = "resnet"
    variants: ClassVar = {name: find_depth(name) for name in DEPTHS}

    def __init__(
        self, variant: str | int = 50, num_classes: int = 1000, in_channels: int = 3, *,
        stages: Sequence[Sequence[Any]] | None = None, stem: int = 64, stem_stride: int = 2, output_stride: int | None = None,
        dropout: float = 0.0, drop_connect: float = 0.0, act: Callable[..., torch.Tensor] | str | None = F.relu,
        padding: Any = "symmetric", eps: float = 1e-5, momentum: float | None = 0.1, device: Any = None,
        seed: int | None = None,
    ):  # fmt: skip
        depth = find_depth(variant)
        rows = stages_of(depth) if stages is None else stages
        options = check_settings(
            stages=rows, stem=stem, stem_stride=stem_stride, output_stride=output_stride, dropout=dropout,
            drop_connect=drop_connect, act=act, padding=padding, eps=eps, momentum=momentum,
        )  # fmt: skip
        super().__init__(depth, num_classes, in_channels, resolution=224, **options | {"stages": stages})
        self.reduction = output_stride or total_stride(rows, 2 * stem_stride)
        self.warm_up(device, seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.check_images(x)
        return resnet(x, self.variant, self.num_classes, **self.options)
