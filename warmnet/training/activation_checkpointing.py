"""Less memory: blocks whose activations are computed again going back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from ..engine.block import Block


def recompute_blocks(model: nn.Module) -> None:
    """Have every block of a stage keep its input alone in training; going back it computes the rest once more, to the bit."""
    for stage in model.children():
        for block in stage.children():
            if isinstance(stage, Block) and isinstance(block, Block):
                block._call_impl = partial(_recomputed, block, block._call_impl)  # type: ignore[method-assign]


def _recomputed(block: nn.Module, call: Any, *args: Any, **kw: Any) -> Any:
    if not block.training:
        return call(*args, **kw)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    return checkpoint(call, *args, use_reentrant=False, context_fn=contexts, **kw)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Within it batch normalization takes the same batch a second time into copies of its statistics, and not into its own."""
    own = [(module, name, value) for module in block.modules() for name, value in module.named_buffers(recurse=False)]
    try:
        for module, name, value in own:
            setattr(module, name, value.clone())
        yield
    finally:
        for module, name, value in own:
            setattr(module, name, value)
