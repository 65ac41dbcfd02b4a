"""Activation checkpointing: blocks whose activations are computed again going back, for less memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from ..engine.block import Block
from ..errors import InputError


def checkpoint_blocks(model: nn.Module) -> None:
    """Have every block of a stage keep its input alone in training; going back it computes the rest once more, to the bit.

    Raises InputError for a network that has no stages.
    """
    stages = [child for child in model.children() if isinstance(child, Block)]
    blocks = [child for stage in stages for child in stage.children() if isinstance(child, Block)]
    if not blocks:
        raise InputError(
            f"Activation checkpointing computes the blocks of stages again, and {type(model).__name__} has none. Train it "
            f"without, or write a @warmnet.block that calls several others as a stage."
        )
    for block in blocks:
        block._call_impl = partial(_checkpointed, block, block._call_impl)  # type: ignore[method-assign]


def _checkpointed(block: nn.Module, call: Any, *args: Any, **kw: Any) -> Any:
    """The block's output by its `call`, checkpointed in training."""
    if not block.training:
        return call(*args, **kw)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    return checkpoint(call, *args, use_reentrant=False, context_fn=contexts, **kw)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Within it batch normalization takes the same batch a second time into copies of its statistics."""
    buffers = [(module, name, value) for module in block.modules() for name, value in module.named_buffers(recurse=False)]
    try:
        for module, name, value in buffers:
            setattr(module, name, value.clone())
        yield
    finally:
        for module, name, value in buffers:
            setattr(module, name, value)
