"""A classifier that is no EfficientNet: what weights and deployment can do with it is what they can do with any."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

import warmnet
import warmnet.functional as W


class Size(NamedTuple):
    width: int
    depth: int


SIZES = {"small": Size(8, 1), "large": Size(16, 3)}


class Plain(warmnet.Classifier):
    """(B, in_channels, H, W) -> (B, num_classes): convolutions, a mean, a linear layer."""

    def __init__(
        self, variant: Any = "small", num_classes: int = 10, in_channels: int = 3, *, act: Any = F.relu,
        device: Any = None, seed: int | None = None,
    ):  # fmt: skip
        variant = SIZES.get(variant, variant) if isinstance(variant, str) else Size(*variant)
        super().__init__(variant, num_classes, in_channels, resolution=32, reduction=4, act=act)
        self.warm_up(device, seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        act = self.options.get("act", F.relu)
        x = warmnet.conv_bn_act(x, self.variant.width, 3, 4, act=act, name="stem")
        for _ in range(self.variant.depth):
            x = W.conv(x, x.shape[1], 3, padding=1, activation=act)
        return W.linear(x.mean((2, 3)), self.num_classes, name="classifier")
