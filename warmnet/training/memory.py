"""Less memory: blocks whose activations are computed again going back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from ..module import Block


def recompute_blocks(model: nn.Module) -> None:
    """Have every block of a stage keep its input alone in training; going back it computes the rest once more, to the bit."""
    for stage in model.children():
        for block in stage.children():
            if isinstance(stage, Block) and isinstance(block, Block):
                block.forward = partial(_recomputed, block, block.forward)  # type: ignore[method-assign]


def _recomputed(block: nn.Module, forward: Any, *args: Any, **kw: Any) -> Any:
    if not block.training:
        return forward(*args, **kw)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kw)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Within it batch normalization does not take the same batch into its running statistics a second time."""
    norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
