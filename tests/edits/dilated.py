"""Dilated last stages: features at an eighth of the image, for segmentation and detection."""

import torch

import warmnet

plain = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0)
model = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0, output_stride=8)  # edit

start = plain.state_dict()
assert set(start) == set(model.state_dict())
assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items()), "the start is the same"

x = torch.randn(2, 3, 64, 64)
names = ["stage_2", "stage_3", "stage_5", "stage_7"]
for network, strides in (plain, [4, 8, 16, 32]), (model, [4, 8, 8, 8]):
    features = warmnet.Endpoints(network, names)
    assert list(features.reduction.values()) == strides, "known beforehand"
    assert [64 // y.shape[2] for y in features(x).values()] == strides, "and true"

for path, dilation in {"stage_3": 1, "stage_5": 2, "stage_7": 4}.items():
    assert model.get_submodule(path).mb_block_1.depthwise.conv.dilation == (dilation, dilation), "each sees as far as before"
