"""A wider stem: 64 channels instead of 32."""

import torch

import warmnet

plain = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0)
model = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0, stem=64)  # edit

start = plain.state_dict()
new = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
assert {name.split(".")[0] for name in new} == {"stem", "stage_1"}, "all else starts the same"


def touched(stem):
    """The parameters of the stem and of stage_1, the only layers that the stem's size reaches."""
    conv_bn = 3 * 3 * 3 * stem + 2 * stem
    depthwise = 3 * 3 * stem + 2 * stem
    se = stem // 4
    gate = (stem * se + se) + (se * stem + stem)
    project = stem * 16 + 2 * 16
    return conv_bn + depthwise + gate + project


more = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in plain.parameters())
assert more == touched(64) - touched(32) > 0
assert model(torch.randn(2, 3, 64, 64)).shape == (2, 10)
