"""Endpoints: the outputs of a network's blocks, in one pass."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..spelling import did_you_mean, with_choices
from .block import Block
from .calls import thread
from .module import WarmModule


class _Done(BaseException):
    """Every endpoint asked for has been seen."""


class Endpoints(nn.Module):
    """The outputs of named blocks of a built `model` and its `'logits'`, as a dict, in one pass.

    Nothing is computed past the last one asked for. It shares the model's layers, and compiles and exports as the model does
    (in an exported program what comes after the last is dead code, which `run_decompositions` drops). `channels` and
    `reduction` (input size over output size, None where it is no whole number) are those of the dry run. Of a block that is
    shared, the first output counts.

    >>> import torch, warmnet
    >>> features = warmnet.Endpoints(warmnet.WarmEfficientNet('b0'), ['stage_2', 'stage_3.mb_block_1', 'stage_5'])
    >>> features.channels, features.reduction
    ({'stage_2': 24, 'stage_3.mb_block_1': 40, 'stage_5': 112}, {'stage_2': 4, 'stage_3.mb_block_1': 8, 'stage_5': 16})
    >>> {name: tuple(y.shape) for name, y in features(torch.rand(1, 3, 64, 96)).items()}
    {'stage_2': (1, 24, 16, 24), 'stage_3.mb_block_1': (1, 40, 8, 12), 'stage_5': (1, 112, 4, 6)}
    """

    def __init__(self, model: WarmModule, names: Iterable[str]):
        super().__init__()
        self.model, self.names = model, tuple(dict.fromkeys([names] if isinstance(names, str) else names))
        blocks = {name: module for name, module in model.named_modules() if isinstance(module, Block)}
        blocks["logits"] = model  # type: ignore[assignment]
        for name in self.names:
            if name not in blocks:
                outermost = [each for each in blocks if "." not in each]
                choices = with_choices(did_you_mean(name, blocks), outermost)
                raise ValueError(f"Unknown endpoint '{name}'. {choices}, or a block in one of them.")
        self.channels = {name: blocks[name]._channels for name in self.names}
        self.reduction = {name: blocks[name]._stride for name in self.names}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        ends = {name: self.model.get_submodule(name) for name in self.names if name != "logits"}
        seen: dict[str, torch.Tensor] = {}
        outer = thread.observer
        can_stop = not (torch.compiler.is_exporting() or torch.jit.is_tracing())  # these drop what is unused by themselves

        def observe(child: nn.Module, y: torch.Tensor) -> None:
            if outer is not None:
                outer(child, y)
            for name, end in ends.items():
                if child is end and name not in seen:
                    seen[name] = y
            if can_stop and len(seen) == len(self.names):
                raise _Done(seen)

        thread.observer = observe
        try:
            seen["logits"] = self.model(x)
        except _Done as done:
            if done.args[0] is not seen:
                raise
        finally:
            thread.observer = outer
        if missing := [name for name in self.names if name not in seen]:
            raise ValueError(f"Endpoint '{missing[0]}' is not a part of this forward.")
        return {name: seen[name] for name in self.names}
