"""Another activation: ReLU instead of SiLU, everywhere but in the gates."""

import torch
import torch.nn.functional as F

import warmnet

plain = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0)
model = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0, act=F.relu)  # edit

start = plain.state_dict()
assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items()), "the start is the same"

x = torch.randn(2, 3, 64, 64)
inside = ["stem", "stage_4.mb_block_1.expand", "stage_7.mb_block_1.depthwise", "head"]
for before, after in zip(warmnet.Endpoints(plain, inside)(x).values(), warmnet.Endpoints(model, inside)(x).values()):
    assert before.min() < 0, "SiLU goes below zero"
    assert after.min() == 0 < after.max(), "ReLU does not"
