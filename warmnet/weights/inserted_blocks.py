"""Blocks that an edit put in, closed where that can be, so that the network computes what it did before."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..engine.block import Block
from ..engine.module import WarmModule
from ..engine.samples import make_sample
from ..functional.normalization import NORMALIZATIONS
from .report import Report, limit


def close_new_blocks(network: nn.Module, report: Report) -> Report:
    """Let each block of which all tensors are new give what it is given, if it can and can learn; the report, saying which.

    The last normalization of such a block, if it has not learned, starts with weight 0 (Goyal et al., arXiv:1706.02677, section
    5.1), so that a block that adds to its input adds nothing yet. Which blocks do, a call with the network's sample tells.
    """
    new = {row.path for row in report["new"]}
    if not isinstance(network, WarmModule) or not network._sample or any(x.is_meta for x in network.parameters()):
        return report
    blocks = [(path, block, norm) for path, block in _new_blocks(network, "", new) for norm in _last_normalization(block)]
    for _, _, norm in blocks:
        nn.init.zeros_(norm.weight)
    calls = _calls(network, [block for _, block, _ in blocks]) if blocks else {}
    closed = []
    for path, block, norm in blocks:
        if block in calls and _is_closed(*calls[block], norm.weight):
            closed.append(path)
        else:
            nn.init.ones_(norm.weight)
    if not closed:
        return report
    meaning = "new blocks that add nothing until they learn, by weight 0 in the last normalization"
    return replace(report, notes=(*report.notes, f"{meaning}: {', '.join(limit(closed, 'more'))}"))


def _new_blocks(module: nn.Module, path: str, new: Container[str]) -> Iterator[tuple[str, Block]]:
    """The outermost blocks of which all parameters are new, with their paths."""
    for name, child in module.named_children():
        parameters = [f"{path}{name}.{key}" for key, _ in child.named_parameters()]
        if not parameters or not all(key in new for key in parameters):
            yield from _new_blocks(child, f"{path}{name}.", new)
        elif isinstance(child, Block):
            yield f"{path}{name}", child


def _last_normalization(block: Block) -> list[Any]:
    """The last one in a block, if its weights can learn and are as they start: all 1."""
    norms = [module for module in block.modules() if isinstance(module, NORMALIZATIONS)]
    return [norm for norm in norms[-1:] if norm.weight is not None and norm.weight.requires_grad and (norm.weight == 1).all()]


def _calls(network: WarmModule, blocks: list[Block]) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """The input and the output of each block, in eval mode, of a sample such as the network was built with."""
    calls: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(block: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            calls[block] = inputs[0], output

    modes = [(module, module.training) for module in network.modules()]
    hooks = [block.register_forward_hook(note) for block in blocks]
    first = next(network.parameters())
    try:
        with torch.enable_grad(), torch.random.fork_rng([]):
            sample = [make_sample(each, torch.device("cpu")) for each in network._sample]
            network.eval()(*tree_map(lambda x: x.to(first.device, first.dtype if x.is_floating_point() else x.dtype), sample))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return calls


def _is_closed(x: Tensor, y: Tensor, weight: Tensor) -> bool:
    """Whether a block gives what it is given, and its normalization learns all the same."""
    if not torch.equal(x, y):
        return False
    (gradient,) = torch.autograd.grad(y.sum(), weight, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.any())
