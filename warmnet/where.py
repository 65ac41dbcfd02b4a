"""Where a forward function failed: the user's line, the blocks it was in and the shapes there, without the library's frames."""

from __future__ import annotations

import linecache
import os
import traceback
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
import warm
from torch.utils._pytree import tree_leaves

ENTERED = os.path.join(os.path.dirname(__file__), "module.py"), "entered"  # the frame of a module's call
LIBRARIES = tuple(
    os.path.dirname(file) + os.sep for file in (torch.__file__, warm.__file__, np.__file__, os.__file__, __file__)
)


def located(error: Exception, met: list[str]) -> Exception:
    """The error with where it was raised in its message, and the user's frames alone in its traceback; as it is if it has none.

    `met` are the outputs of blocks so far, in words.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [(frame, line) for frame, line in frames if not frame.f_code.co_filename.startswith(LIBRARIES)]
    if not own:
        return error
    frame, line = own[-1]
    file, function = frame.f_code.co_filename, frame.f_code.co_name
    said = [
        f"at {file}:{line}, in {function}: {linecache.getline(file, line).strip()}",
        f"where {_shapes(frame.f_locals) or 'no tensor is'}",
        *reversed([_block(frame) for frame, _ in frames if (frame.f_code.co_filename, frame.f_code.co_name) == ENTERED]),
        *([f"after {', '.join(met[-4:])}"] if met else []),
    ]
    if type(error).__str__ is BaseException.__str__ and len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = ("\n  ".join([error.args[0], *said]),)
    if error.__cause__ is not None:
        error.__cause__.__traceback__ = None
    return error.with_traceback(_only(own))


def _shapes(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {tuple(x.shape)}" for name, x in values.items() if isinstance(x, torch.Tensor))


def _block(frame: FrameType) -> str:
    """The module that was called in a frame, and the shapes that it was given."""
    module = frame.f_locals["self"]
    given = ", ".join(str(tuple(x.shape)) for x in tree_leaves(frame.f_locals["args"]) if isinstance(x, torch.Tensor))
    path = f"'{module._path}', " if module._path else ""
    return f"in {path}{module._get_name()}, given {given}"


def _only(frames: list[tuple[FrameType, int]]) -> TracebackType | None:
    """A traceback of these frames, the outermost first."""
    trace = None
    for frame, line in reversed(frames):
        trace = TracebackType(trace, frame, frame.f_lasti, line)
    return trace
