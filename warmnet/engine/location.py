"""Where a forward function failed: the user's line, the blocks it was in and the shapes there."""

from __future__ import annotations

import sys
import traceback
from types import FrameType, TracebackType
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from ..errors import MismatchError
from .explanation import Frames, cure_for, layer_of, replacement
from .frames import PACKAGE, called, calling_line, is_engines, is_users, line_of

KINDS = RuntimeError, ValueError, TypeError, IndexError, AssertionError  # what a wrong shape causes


def located(error: Exception, outputs: list[str] | None = None) -> Exception:
    """The error with the user's line, the shapes there and the cure, where it is known, in its message, once.

    Of the frames below the outermost call only the user's remain, if there are any. An error of a kind of the user's own, or
    one that no shape causes, keeps its message. What says that a layer was not built for its input is a MismatchError.
    `outputs` are in a dry run those of blocks so far, in words.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    error = replacement(frames, error) or error
    others = [(frame, line) for frame, line in frames if not is_engines(frame.f_code.co_filename)]
    if _takes_words(error):
        message = str(error)
        if (cure := cure_for(frames, error)) is not None:
            message = f"{message if message.endswith(('.', '!', '?')) else message + '.'} {cure}"
        error.args = ("\n  ".join([message, *_lines(frames, others, error, outputs)]),)
        vars(error)["is_located"] = True
    if not others:
        return error
    if error.__cause__ is not None and frames[-1][0].f_code.co_filename.startswith(PACKAGE):
        error.__cause__.__traceback__ = None
    return error.with_traceback(_only(others))


def _takes_words(error: Exception) -> bool:
    """Whether more can be message in an error's message: it is none of the user's own, and has not been located yet."""
    if not isinstance(error, KINDS) or _is_users_kind(type(error)) or type(error).__str__ is not BaseException.__str__:
        return False
    return len(error.args) == 1 and isinstance(error.args[0], str) and not vars(error).get("is_located")


def _lines(frames: Frames, others: Frames, error: Exception, outputs: list[str] | None) -> list[str]:
    """Where an error was raised: the user's line and the shapes there, the modules it was in, the outputs before."""
    lines = []
    users = [(frame, line) for frame, line in others if is_users(frame.f_code.co_filename)]
    if others:
        frame, line = (users or others)[-1]
        lines += [f"at {line_of(frame.f_code, line)}", f"where {_shapes(frame.f_locals) or 'no tensor is'}"]
    layer = layer_of(frames)
    if layer is not None and not isinstance(error, MismatchError):
        path, module, x = layer
        lines.append(f"in '{path}', {type(module).__name__}, given {tuple(x.shape)}")
    blocks = [_block(frame) for frame, _ in frames if called(frame) is not None]
    lines += list(dict.fromkeys(reversed(blocks)))[:8]
    if outputs is not None and blocks:
        lines.append(f"in the dry run, after {', '.join(outputs[-4:])}" if outputs else "in the dry run")
    if not users and (caller := calling_line()) is not None:
        lines.append(f"called at {caller}")
    return lines


def _is_users_kind(kind: type[Exception]) -> bool:
    """Whether a kind of errors is the user's own; a notebook's module has no file."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return kind.__module__ != "builtins" and (file is None or is_users(file))


def _shapes(values: dict[str, Any]) -> str:
    """The shapes of what is a tensor, or a list or tuple of tensors, by name."""
    return ", ".join(f"{name} {shape}" for name, x in values.items() if (shape := _shape(x)))


def _shape(x: Any) -> str:
    if isinstance(x, torch.Tensor):
        return str(tuple(x.shape))
    if isinstance(x, (list, tuple)) and x and all(isinstance(y, torch.Tensor) for y in x):
        return f"[{', '.join(map(_shape, x))}]"
    return ""


def _block(frame: FrameType) -> str:
    """The module that was called in a frame, and the shapes that it was given."""
    module: Any = called(frame)
    given = ", ".join(str(tuple(x.shape)) for x in tree_leaves(frame.f_locals["args"]) if isinstance(x, torch.Tensor))
    path = f"'{module._path}', " if module._path else ""
    return f"in {path}{module._get_name()}" + (f", given {given}" if given else "")


def _only(frames: list[tuple[FrameType, int]]) -> TracebackType | None:
    """A traceback of these frames, the outermost first."""
    trace = None
    for frame, line in reversed(frames):
        trace = TracebackType(trace, frame, frame.f_lasti, line)
    return trace
