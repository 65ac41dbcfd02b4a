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

from ..errors import MismatchError, WarmError
from .messages import join

HERE = os.path.dirname(__file__)
PACKAGE = os.path.dirname(HERE)
FUNCTIONAL = os.path.join(PACKAGE, "functional")
CHANNELS = "in_channels", "num_features", "in_features"  # what a layer's input channels are called in torch
ENTERED = {  # the frames of modules' calls, and what holds the module there
    (os.path.join(HERE, "module.py"), "_call_impl"): "self",
    (os.path.join(HERE, "block.py"), "call"): "child",
    (os.path.join(HERE, "block.py"), "alone"): "self",
}
ENGINE = tuple(os.path.dirname(file) + os.sep for file in (torch.__file__, warm.__file__, np.__file__, HERE))
STANDARD = os.path.dirname(os.__file__) + os.sep
INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
KINDS = RuntimeError, ValueError, TypeError, IndexError, AssertionError  # what a wrong shape causes


def located(error: Exception, outputs: list[str] | None = None) -> Exception:
    """The error with where it was raised in its message, once; of the frames below the outermost call only the user's remain.

    It is as it was if there are none of these; of a kind of the user's own, or one that no shape causes, it keeps its message.
    Where a layer was not built for its input, it is a MismatchError. `outputs` are in a dry run those of blocks so far, in
    words.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    error = misfit(frames, error) or error
    others = [(frame, line) for frame, line in frames if not _is_engines(frame.f_code.co_filename)]
    if not others:
        return error
    users = [(frame, line) for frame, line in others if is_users(frame.f_code.co_filename)]
    frame, line = (users or others)[-1]
    blocks = [_block(frame) for frame, _ in frames if called(frame) is not None]
    lines = [f"at {_place(frame, line)}", f"where {_shapes(frame.f_locals) or 'no tensor is'}"]
    lines += list(dict.fromkeys(reversed(blocks)))[:8]
    if outputs is not None:
        lines.append(f"in the dry run, after {', '.join(outputs[-4:])}" if outputs else "in the dry run")
    plain = isinstance(error, KINDS) and not _is_users_kind(type(error)) and type(error).__str__ is BaseException.__str__
    if plain and len(error.args) == 1 and isinstance(error.args[0], str) and not vars(error).get("is_located"):
        error.args = ("\n  ".join([error.args[0], *lines]),)
        vars(error)["is_located"] = True
    if error.__cause__ is not None and frames[-1][0].f_code.co_filename.startswith(PACKAGE):
        error.__cause__.__traceback__ = None
    return error.with_traceback(_only(others))


def misfit(frames: list[tuple[FrameType, int]], error: Exception) -> MismatchError | None:
    """What a layer of W's was built for and what it is given, if torch raised the error because these differ."""
    if not isinstance(error, RuntimeError) or isinstance(error, WarmError):
        return None
    of_w = [frame.f_locals for frame, _ in frames if frame.f_code.co_filename.startswith(FUNCTIONAL)]
    parents = [called(frame) for frame, _ in frames if called(frame) is not None]
    if not of_w or not parents:
        return None
    values, children = of_w[-1], {id(child): name for name, child in parents[-1].named_children()}
    x = values.get("x")
    for module in (values.get("module"), values.get("norm")):
        channels = next((getattr(module, key) for key in CHANNELS if hasattr(module, key)), None)
        if channels is None or not isinstance(x, torch.Tensor) or x.ndim < 2:
            continue
        path = join(parents[-1]._path, children.get(id(module), "?"))
        given = x.shape[1] if module is values.get("module") else values.get("size", x.shape[1])
        message = None
        if given != channels:
            pooled = ", or pool before it, such as by x.mean((2, 3))" if isinstance(module, torch.nn.Linear) else ""
            message = (
                f"'{path}' was built for {channels} input channels and is given {tuple(x.shape)}. Build the network again with "
                f"an input of this size{pooled}."
            )
        elif isinstance(weight := getattr(module, "weight", None), torch.Tensor) and weight.dtype != x.dtype:
            message = f"'{path}' has weights in {weight.dtype} and is given {x.dtype}. Convert one: x.float(), model.double()."
        if message is not None:
            found = MismatchError(message)
            found.__cause__ = error.with_traceback(None)
            return found
    return None


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


def _is_users_kind(kind: type[Exception]) -> bool:
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
    return f"{place}, in {frame.f_code.co_name}: {text}" if text else f"{place}, in {frame.f_code.co_name}"


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
