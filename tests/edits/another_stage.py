"""Another stage: two more blocks of 320 channels before the head."""

import torch

import warmnet
from warmnet import STAGES, Stage

stages = (*STAGES, Stage(size=320, expand=6, kernel=3, stride=1, repeat=2))  # edit

plain = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0)
model = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0, stages=stages)  # edit

size, mid, se = 320, 6 * 320, 320 // 4
block = size * mid + 2 * mid  # expand
block += 3 * 3 * mid + 2 * mid  # depthwise
block += (mid * se + se) + (se * mid + mid)  # squeeze_excitation
block += mid * size + 2 * size  # project
assert sum(p.numel() for p in model.stage_8.parameters()) == 2 * block
assert sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in plain.parameters()) == 2 * block

start = plain.state_dict()
new = {name for name, value in model.state_dict().items() if not torch.equal(value, start.get(name, torch.empty(0)))}
assert new == {name for name in model.state_dict() if name.startswith("stage_8.")}, "all else starts the same"

x = torch.randn(2, 3, 64, 64)
y = warmnet.Endpoints(model, ["stage_7", "stage_8"])(x)
assert y["stage_8"].shape == y["stage_7"].shape == (2, 320, 2, 2)
assert (y["stage_8"] - y["stage_7"]).std() > 0.1, "it does something"
