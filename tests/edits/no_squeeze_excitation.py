"""No squeeze and excitation, as on chips that are slow at global pooling."""

import torch

import warmnet

plain = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0)
model = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0, se_ratio=0)  # edit


def count(model):
    return sum(p.numel() for p in model.parameters())


gates, size_in = 0, 32
for row in warmnet.STAGES:
    for _ in range(row.repeat):
        size_mid, size_se = size_in * row.expand, size_in // 4
        gates += (size_mid * size_se + size_se) + (size_se * size_mid + size_mid)  # reduce and expand, with biases
        size_in = row.size
assert count(plain) - count(model) == gates > 0

start = plain.state_dict()
kept = {name for name in start if "squeeze_excitation" not in name}
assert kept == set(model.state_dict())
assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items()), "the rest starts the same"
