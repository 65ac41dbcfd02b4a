"""Where a forward function failed: the user's line, the blocks it was in and the shapes there."""

from __future__ import annotations

import linecache
import os
import re
import sys
import traceback
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
import warm
from torch.utils._pytree import tree_leaves

HERE = os.path.dirname(__file__)
ENTERED = {  # the frames of modules' calls, and what holds the module there
    (os.path.join(HERE, "module.py"), "_call_impl"): "self",
    (os.path.join(HERE, "block.py"), "call"): "child",
    (os.path.join(HERE, "block.py"), "alone"): "self",
}
ENGINE = tuple(os.path.dirname(file) + os.sep for file in (torch.__file__, warm.__file__, np.__file__, HERE))
STANDARD = os.path.dirname(os.__file__) + os.sep
INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
KINDS = RuntimeError, ValueError, TypeError, IndexError, AssertionError  # what a wrong shape is met with


def located(error: Exception, met: list[str] | None = None) -> Exception:
    """The error with where it was raised in its message, once; of the frames below the outermost call only the user's remain.

    It is as it was if there are none of these; of a kind of the user's own, or one that no shape causes, it keeps its message.
    `met` are in a dry run the outputs of blocks so far, in words.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    others = [(frame, line) for frame, line in frames if not _is_engines(frame.f_code.co_filename)]
    if not others:
        return error
    own = [(frame, line) for frame, line in others if is_users(frame.f_code.co_filename)]
    frame, line = (own or others)[-1]
    blocks = [_block(frame) for frame, _ in frames if called(frame) is not None]
    after = f", after {', '.join(met[-4:])}" if met else ""
    said = [
        f"at {_place(frame, line)}",
        f"where {_shapes(frame.f_locals) or 'no tensor is'}",
        *list(dict.fromkeys(reversed(blocks)))[:8],
        *([f"in the dry run{after}"] if met is not None else []),
    ]
    plain = isinstance(error, KINDS) and not _is_own(type(error)) and type(error).__str__ is BaseException.__str__
    if plain and len(error.args) == 1 and isinstance(error.args[0], str) and not vars(error).get("is_located"):
        error.args = ("\n  ".join([error.args[0], *said]),)
        vars(error)["is_located"] = True
    if error.__cause__ is not None and frames[-1][0].f_code.co_filename.startswith(HERE):
        error.__cause__.__traceback__ = None
    return error.with_traceback(_only(others))


def called(frame: FrameType) -> Any:
    """The module that is called in a frame of the engine's; None in all other frames."""
    name = ENTERED.get((frame.f_code.co_filename, frame.f_code.co_name))
    return frame.f_locals.get(name) if name else None


def caller() -> str:
    """The user's line that is running, as Python names it."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return _place(frame, frame.f_lineno) if frame is not None else "a line of no file"


def is_users(file: str) -> bool:
    """Whether a file of code is the user's own: not torch's, warmnet's or Python's, and of no installed package."""
    return not _is_engines(file) and not INSTALLED.search(file)


def _is_own(kind: type[Exception]) -> bool:
    """Whether a kind of errors is the user's own; a notebook's module has no file."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return kind.__module__ != "builtins" and (file is None or is_users(file))


def _is_engines(file: str) -> bool:
    return file.startswith(ENGINE) or (file.startswith(STANDARD) and not INSTALLED.search(file))


def _place(frame: FrameType, line: int) -> str:
    """A line as Python names it; one of a notebook's cell as IPython does, since its file is none that can be opened."""
    file, text = frame.f_code.co_filename, linecache.getline(frame.f_code.co_filename, line).strip()
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    cell = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(file)
    place = f"{file}:{line}" if cell is None else f"Cell In[{cell}], line {line}"
    return f"{place}, in {frame.f_code.co_name}" + f": {text}" * bool(text)


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
    return f"in {path}{module._get_name()}, given {given}"


def _only(frames: list[tuple[FrameType, int]]) -> TracebackType | None:
    """A traceback of these frames, the outermost first."""
    trace = None
    for frame, line in reversed(frames):
        trace = TracebackType(trace, frame, frame.f_lasti, line)
    return trace
