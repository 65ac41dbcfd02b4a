"""Builds warmnet's or timm's b0 without weights in a process where nothing was built before, loads some and writes logits.

It runs as a program: `cd tests && python -m clients.empty_weights warmnet assign WEIGHTS LOGITS`.
"""

import sys

import torch
from accelerate import init_empty_weights, load_checkpoint_and_dispatch

from .subjects import b0, logits, timm


def main(whose, how, weights, out):
    with init_empty_weights(include_buffers=how == "assign"):
        network = b0() if whose == "warmnet" else timm.create_model("tf_efficientnet_b0", num_classes=10)
    assert {p.device.type for p in network.parameters()} == {"meta"}
    if how == "assign":
        network.load_state_dict(torch.load(weights), assign=True)
    else:
        load_checkpoint_and_dispatch(network, weights, device_map={"": "cpu"})
    torch.save(logits(network), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
