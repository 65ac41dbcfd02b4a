"""Frozen stages: fine-tuning leaves the first half of the network as it is, its statistics included.

After every `model.train()`, which sets all of it to train, the loop is due again.
"""

import torch
import torch.nn.functional as F

import warmnet

torch.manual_seed(0)
model = warmnet.WarmEfficientNet("b0", num_classes=10).train()
frozen = "stem", "stage_1", "stage_2", "stage_3"  # edit
for name in frozen:  # edit
    model.get_submodule(name).requires_grad_(False).eval()  # edit

before = {name: value.clone() for name, value in model.state_dict().items()}
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
F.cross_entropy(model(torch.randn(4, 3, 64, 64)), torch.arange(4)).backward()
optimizer.step()

moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
assert moved == {name for name in before if not name.startswith(frozen)}, "all that is not frozen, and nothing else"
