"""How far gates are open: squeeze-and-excitation's, by what comes out of it over what goes in."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.block import Block
from ..errors import InputError
from .copying import copy_to_inspect

GATE = "squeeze_excitation"  # what the function of such a block is called
HIGHEST = 1.01  # of a gate, with the rounding of half precision


def gates(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """(B, C, H, W) -> the path of each squeeze-and-excitation block, and its gates, (B, channels) from 0, shut, to 1, open.

    A gate is NaN where the channel is 0 at every pixel, which leaves open how far it is open. The network computes in eval
    mode, and is left as it was.

    - `model`: a network with blocks of warmnet whose function is called `squeeze_excitation`. `x`: a batch of images,
      preprocessed.

    Raises InputError for a network without gates, such as EfficientNet-Lite, MobileNetV2 and ResNet, and for a block that does
    more than to multiply channels by gates.

    >>> import torch, warmnet
    >>> gates = warmnet.gates(warmnet.WarmEfficientNet('b0'), torch.rand(2, 3, 64, 64))
    >>> gates['stage_2.mb_block_1.squeeze_excitation'].shape
    torch.Size([2, 96])
    """
    inputs, found = dict[str, tuple[torch.Size, Tensor]](), dict[str, Tensor]()

    def note_input(path: str, module: nn.Module, args: Any, keywords: Any) -> None:
        x = next(value for value in (*args, *keywords.values()) if isinstance(value, Tensor))
        inputs[path] = x.shape, x.abs().amax((2, 3))  # before the block, which may write its output over it

    def note_gates(path: str, module: nn.Module, args: Any, y: Tensor) -> None:
        shape, largest = inputs[path]
        gate = y.abs().amax((2, 3)) / largest
        if y.shape != shape or (gate > HIGHEST).any():
            raise InputError(
                f"What '{path}' outputs is not its input times gates from 0 to 1. A {GATE} is to return that alone."
            )
        found[path] = gate

    with copy_to_inspect(model, x) as network, torch.no_grad():
        for path, module in network.named_modules():
            if isinstance(module, Block) and module._get_name() == GATE:
                module.register_forward_pre_hook(partial(note_input, path), with_kwargs=True)
                module.register_forward_hook(partial(note_gates, path))
        network(x)
    if not found:
        raise InputError(
            f"{type(model).__name__} has no gates: no block of it is warmnet's {GATE}. EfficientNet's variants b0 to b8 "
            f"and V2's have such; Lite, MobileNetV2, ResNet and networks of other libraries have none."
        )
    return found
