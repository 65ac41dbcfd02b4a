"""A stem for CIFAR: 32x32 images enter at full resolution."""

import torch

import warmnet

plain = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0)
model = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0, stem_stride=1)  # edit

start = plain.state_dict()
assert set(start) == set(model.state_dict())
assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items()), "the start is the same"

x = torch.randn(2, 3, 32, 32)
names = ["stem", "stage_2", "stage_4", "stage_7"]
for network, sides in (plain, [16, 8, 2, 1]), (model, [32, 16, 4, 2]):
    assert [y.shape[3] for y in warmnet.Endpoints(network, names)(x).values()] == sides
assert (plain.reduction, model.reduction) == (32, 16), "half the total stride, so images may be half as large"
assert model(x[..., :16, :16]).shape == (2, 10)
