"""A U-Net on top: a class for every pixel."""

import torch
import torch.nn.functional as F

import warmnet
import warmnet.functional as W
from warmnet import Endpoints, WarmEfficientNet, WarmModule, block, conv_bn_act


@block
def merge(x, skip, size):
    """(B, C, h, w), (B, S, H, W) -> (B, size, H, W): `x` at the resolution of `skip`, with what `skip` knows."""
    x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
    x = torch.cat([x, skip], dim=1)
    x = conv_bn_act(x, size, 3, name="first")
    return conv_bn_act(x, size, 3, name="second")


class UNet(WarmModule):
    """(B, 3, H, W) -> (B, classes, H, W)"""

    def __init__(self, variant, classes, sizes=(128, 64, 32, 16)):
        super().__init__()
        self.classes, self.sizes = classes, sizes
        body = WarmEfficientNet(variant, num_classes=0)
        self.encoder = Endpoints(body, ["stage_1", "stage_2", "stage_3", "stage_5", "head"])  # strides 2, 4, 8, 16, 32
        warmnet.up(self, [1, 3, 64, 64])

    def forward(self, x):
        *skips, y = self.encoder(x).values()
        for skip, size in zip(reversed(skips), self.sizes):
            y = merge(y, skip, size)
        y = F.interpolate(y, size=x.shape[2:], mode="bilinear")
        return W.conv(y, self.classes, 3, padding="same", name="classifier")


torch.manual_seed(0)
model = UNet("b0", classes=5)
assert model(torch.randn(2, 3, 96, 75)).shape == (2, 5, 96, 75), "any size goes, odd ones too"

x = torch.randn(2, 3, 64, 64)
target = x.mean(1).mul(2).round().clamp(-2, 2).long() + 2  # how bright each pixel is, in five steps
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
losses = []
for _ in range(2):
    losses.append(F.cross_entropy(model.train()(x), target))
    optimizer.zero_grad()
    losses[-1].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters()), "every parameter takes part"
    optimizer.step()
assert losses[1] < losses[0]
