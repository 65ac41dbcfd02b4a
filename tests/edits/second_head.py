"""A second head: a class and a number for each image, from one body."""

import torch

import warmnet
import warmnet.functional as W
from warmnet import WarmModule
from warmnet.networks.efficientnet import efficientnet


class TwoHeads(WarmModule):
    """(B, 3, H, W) -> (B, 10), (B, 1)"""

    def __init__(self, seed=None):
        super().__init__()
        warmnet.up(self, [1, 3, 64, 64], seed=seed)

    def forward(self, x):
        x = efficientnet(x, "b0", num_classes=0)
        return W.linear(x, 10, name="species"), W.linear(x, 1, name="age")  # edit


plain = warmnet.WarmEfficientNet("b0", num_classes=0, seed=0)
model = TwoHeads(seed=0)

start = plain.state_dict()
heads = {"species.weight", "species.bias", "age.weight", "age.bias"}
assert set(model.state_dict()) == set(start) | heads
assert all(torch.equal(value, model.state_dict()[name]) for name, value in start.items()), "the body starts the same"

species, age = model(torch.randn(2, 3, 64, 64))
assert species.shape == (2, 10) and age.shape == (2, 1)
for y in (species, age):
    (gradient,) = torch.autograd.grad(y.square().sum(), model.stem.conv.weight, retain_graph=True)
    assert gradient.abs().sum() > 0, "each head teaches the body"
