"""Grayscale images: one channel in."""

import torch

import warmnet

plain = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0)
model = warmnet.WarmEfficientNet("b0", num_classes=10, in_channels=1, seed=0)  # edit

assert sum(p.numel() for p in plain.parameters()) - sum(p.numel() for p in model.parameters()) == 2 * 3 * 3 * 32

start = plain.state_dict()
new = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
assert new == {"stem.conv.weight"}, "all else starts the same"

assert model(torch.randn(2, 1, 64, 64)).shape == (2, 10)
try:
    model(torch.randn(2, 3, 64, 64))
except ValueError as error:
    assert "(B, 1, H, W)" in str(error)
else:
    raise AssertionError("colour images must be refused")
