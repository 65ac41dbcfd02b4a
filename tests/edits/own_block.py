"""A block of one's own: mb_block, its first two convolutions fused to one full one (Fused-MBConv)."""

import torch
import torch.nn.functional as F

import warmnet
import warmnet.functional as W
from warmnet import STAGES, block, conv_bn_act


@block
def fused_block(x, size, expand=1, kernel=3, stride=1, dilation=1, se_ratio=0, drop=0.0, act=F.silu, **conv):
    y = conv_bn_act(x, x.shape[1] * expand, kernel, stride, dilation=dilation, act=act, name="fused", **conv)  # edit
    y = conv_bn_act(y, size, act=None, name="project", **conv)
    if y.shape == x.shape:
        y = x + W.drop_connect(y, drop, name="drop_connect")
    return y


plain = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0)
model = warmnet.WarmEfficientNet("b0", num_classes=10, seed=0, block=fused_block)  # edit

parameters, size_in = 0, 32
for row in STAGES:
    for _ in range(row.repeat):
        mid = size_in * row.expand
        parameters += row.kernel**2 * size_in * mid + 2 * mid  # fused
        parameters += mid * row.size + 2 * row.size  # project
        size_in = row.size
blocks = [module for path, module in model.named_modules() if path.rpartition(".")[2].startswith("fused_block_")]
assert len(blocks) == sum(row.repeat for row in STAGES)
assert sum(p.numel() for block in blocks for p in block.parameters()) == parameters

start = plain.state_dict()
kept = {name for name in model.state_dict() if "fused_block" not in name}
assert {name.split(".")[0] for name in kept} == {"stem", "head", "classifier"}
assert all(torch.equal(model.state_dict()[name], start[name]) for name in kept), "all else starts the same"

x = torch.randn(2, 3, 64, 64)
names = [f"stage_{i}" for i in range(1, 8)]
for before, after in zip(warmnet.Endpoints(plain, names)(x).values(), warmnet.Endpoints(model, names)(x).values()):
    assert before.shape == after.shape and after.std() > 0
