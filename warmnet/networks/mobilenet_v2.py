"""MobileNetV2, where EfficientNet's block comes from: Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: Inverted
Residuals and Linear Bottlenecks", CVPR 2018, arXiv:1801.04381. Shapes are (B, C, H, W).

What differs from EfficientNet: the table, ReLU6, no gates, padding on both sides, and a head that small widths leave as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch.nn.init import normal_

from .. import functional as W
from .classifier import Classifier
from .efficientnet import Stage, conv_bn_act, mb_block, round_filters, scaled, stage
from .settings import check_settings, total_stride, unknown_variant

STAGES = (  # Table 2 of the paper
    Stage(size=16, expand=1, kernel=3, stride=1, repeat=1),
    Stage(size=24, expand=6, kernel=3, stride=2, repeat=2),
    Stage(size=32, expand=6, kernel=3, stride=2, repeat=3),
    Stage(size=64, expand=6, kernel=3, stride=2, repeat=4),
    Stage(size=96, expand=6, kernel=3, stride=1, repeat=3),
    Stage(size=160, expand=6, kernel=3, stride=2, repeat=3),
    Stage(size=320, expand=6, kernel=3, stride=1, repeat=1),
)

WIDTHS = {"mobilenetv2-0.5": 0.5, "mobilenetv2-1.0": 1.0, "mobilenetv2-1.4": 1.4}


def find_width(variant: str | float) -> float:
    """The width that 'mobilenetv2-1.0', '1.0' or 1.0 stands for."""
    try:
        width = variant if isinstance(variant, bool) else float(WIDTHS.get(str(variant), variant))  # a bool is refused below
    except (TypeError, ValueError):
        raise unknown_variant(variant, WIDTHS, "a width") from None
    check_settings(width=width)
    return width


def mobilenet_v2(
    x, variant=1.0, num_classes=1000, *, stages=STAGES, stem=32, stem_stride=2, head=1280, output_stride=None, dropout=0.2,
    drop_connect=0.0, act=F.relu6, block=mb_block, padding="symmetric", eps=1e-5, momentum=0.1,
):  # fmt: skip
    """(B, C, H, W) -> (B, num_classes), or (B, head) if `num_classes` is 0: the network as a function, for any forward."""
    width = find_width(variant)
    conv = {"act": act, "padding": padding, "eps": eps, "momentum": momentum}
    x = conv_bn_act(x, round_filters(stem, width), 3, stem_stride, name="stem", **conv)
    for row in scaled(stages, width, 1, drop_connect, stem_stride, output_stride, block):
        x = stage(x, **row, se_ratio=0, **conv)
    x = conv_bn_act(x, round_filters(head, max(width, 1)), name="head", **conv)
    x = W.global_average_pool(x).flatten(1)
    if num_classes:
        x = W.dropout(x, dropout, name="dropout")
        x = W.linear(x, num_classes, (normal_, {"std": 0.01}), "zeros_", name="classifier")
    return x


class WarmMobileNetV2(Classifier):
    """(B, in_channels, H, W) -> (B, num_classes): MobileNetV2 of any width, with random weights.

    - `variant`: the width, such as 1.0, '1.0' or 'mobilenetv2-1.0'; weights there are for 0.5, 1.0 and 1.4.
    - `num_classes`: 0 for no classifier; the output is then the pooled features.
    - `stages` to `momentum`: the keywords of `mobilenet_v2`.
    - `device`: where to build, 'meta' included. Default: torch's default device.
    - `seed`: decides the initial weights. Default: the seed of torch's generator.

    >>> import warmnet
    >>> warmnet.tabulate(warmnet.WarmMobileNetV2(1.0, device='meta')).parameters
    3504872
    """

    name_prefix = "mobilenetv2-"
    variants: ClassVar = WIDTHS

    def __init__(
        self, variant: str | float = 1.0, num_classes: int = 1000, in_channels: int = 3, *,
        stages: Sequence[Sequence[Any]] = STAGES, stem: int = 32, stem_stride: int = 2, head: int = 1280,
        output_stride: int | None = None, dropout: float = 0.2, drop_connect: float = 0.0,
        act: Callable[..., torch.Tensor] | str | None = F.relu6, block: Callable[..., torch.Tensor] = mb_block,
        padding: Any = "symmetric", eps: float = 1e-5, momentum: float | None = 0.1, device: Any = None,
        seed: int | None = None,
    ):  # fmt: skip
        width = find_width(variant)
        options = check_settings(
            stages=stages, stem=stem, stem_stride=stem_stride, head=head, output_stride=output_stride, dropout=dropout,
            drop_connect=drop_connect, act=act, block=block, padding=padding, eps=eps, momentum=momentum,
        )  # fmt: skip
        super().__init__(width, num_classes, in_channels, resolution=224, **options)
        self.reduction = output_stride or total_stride(stages, stem_stride)
        self.warm_up(device, seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.check_images(x)
        return mobilenet_v2(x, self.variant, self.num_classes, **self.options)
