"""Blocks that an edit put in, closed where that can be, so that the network computes what it did before."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..engine.block import Block
from ..engine.module import WarmModule
from ..engine.samples import make_sample
from ..functional.normalization import NORMALIZATIONS
from .report import Report, limit

STARTS = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1, "num_batches_tracked": 0}  # of a normalization
CLOSED = "new blocks that add nothing until they learn, by weight 0 in the last normalization"
AT_RANDOM = "new blocks that start at random"
AS_THEY_WERE = "new blocks that stay as they were, as they have learned or were called in training"


def close_new_blocks(model: nn.Module, report: Report) -> Report:
    """Let each block of which all tensors are new give what it is given, if it can and can learn; the report, saying which.

    The last normalization of such a block, if it is as it was built, starts with weight 0 (Goyal et al., arXiv:1706.02677,
    section 5.1), so that a block that adds to its input adds nothing yet. Which blocks do, a call of the network that they are
    in, with its sample, tells.
    """
    if any(x.is_meta for x in model.parameters()):
        return report
    new = {row.path for row in report["new"]}
    blocks = dict(_new_blocks(model, "", new))
    as_built = {block for block in blocks.values() if _is_as_built(block)}
    closed: set[nn.Module] = set()
    for network in _networks(model):
        closed |= _close(network, [block for block in network.modules() if block in as_built])
    kinds: dict[str, list[str]] = {CLOSED: [], AT_RANDOM: [], AS_THEY_WERE: []}
    for path, block in blocks.items():
        kinds[CLOSED if block in closed else AT_RANDOM if block in as_built else AS_THEY_WERE].append(path)
    notes = [f"{kind}: {', '.join(limit(paths, 'more'))}" for kind, paths in kinds.items() if paths]
    return replace(report, notes=(*report.notes, *notes), new_blocks=tuple(blocks))


def _new_blocks(module: nn.Module, path: str, new: Container[str]) -> Iterator[tuple[str, Block]]:
    """The outermost blocks of which all parameters are new, with their paths."""
    for name, child in module.named_children():
        parameters = [f"{path}{name}.{key}" for key, _ in child.named_parameters()]
        if not parameters or not all(key in new for key in parameters):
            yield from _new_blocks(child, f"{path}{name}.", new)
        elif isinstance(child, Block):
            yield f"{path}{name}", child


def _is_as_built(block: Block) -> bool:
    """Whether its normalizations have seen nothing yet and have not learned."""
    for norm in _normalizations(block):
        for name, tensor in chain(norm.named_parameters(), norm.named_buffers()):
            if name in STARTS and not (tensor == STARTS[name]).all():
                return False
    return True


def _normalizations(block: nn.Module) -> list[Any]:
    return [module for module in block.modules() if isinstance(module, NORMALIZATIONS)]


def _networks(module: nn.Module) -> Iterator[WarmModule]:
    """The outermost networks that can be called with the sample that they were built with."""
    if isinstance(module, WarmModule) and module._sample:
        yield module
    else:
        for child in module.children():
            yield from _networks(child)


def _close(network: WarmModule, blocks: list[nn.Module]) -> set[nn.Module]:
    """Those of the blocks that are closed now, since so they give what they are given and learn all the same."""
    norms = {block: norm for block in blocks for norm in _normalizations(block)[-1:] if _can_learn(norm, block)}
    if not norms:
        return set()
    frozen = [norm.weight for norm in norms.values() if not norm.weight.requires_grad]
    closed: set[nn.Module] = set()
    try:
        for norm in norms.values():
            nn.init.zeros_(norm.weight.requires_grad_())
        calls = _calls(network, [*norms])
        closed |= {block for block, norm in norms.items() if block in calls and _is_closed(*calls[block], norm.weight)}
    finally:
        for block, norm in norms.items():
            if block not in closed:
                nn.init.ones_(norm.weight)
        for weight in frozen:
            weight.requires_grad_(False)
    return closed


def _can_learn(norm: Any, block: nn.Module) -> bool:
    """Whether a normalization has a weight, and none that stays frozen while others in its block learn."""
    if not isinstance(norm.weight, nn.Parameter):
        return False
    return norm.weight.requires_grad or not any(parameter.requires_grad for parameter in block.parameters())


def _calls(network: WarmModule, blocks: list[nn.Module]) -> dict[nn.Module, tuple[Tensor, Tensor]]:
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
