"""Another variant: half as wide and half as deep as b0."""

import torch

import warmnet

pocket = warmnet.Variant(width=0.5, depth=0.5, resolution=96, dropout=0.1)  # edit
model = warmnet.WarmEfficientNet(pocket, num_classes=10)  # edit

stages = [child for name, child in model.named_children() if name.startswith("stage_")]
assert [len(list(stage.children())) for stage in stages] == [1, 1, 1, 2, 2, 2, 1], "repeats are rounded up"

channels = warmnet.Endpoints(model, ["stem", *(f"stage_{i}" for i in range(1, 8)), "head"]).channels
assert list(channels.values()) == [16, 8, 16, 24, 40, 56, 96, 160, 640], "sizes are rounded to multiples of 8"
assert model.dropout.p == 0.1

side = model.resolution
assert model(torch.randn(2, 3, side, side)).shape == (2, 10)
