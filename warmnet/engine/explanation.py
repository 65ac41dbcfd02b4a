"""What an error of torch's or Python's means in a network: what was given where something else is needed, and the cure."""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Iterator
from types import FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import MismatchError, WarmError
from ..spelling import choose_one
from .frames import BLOCK, FUNCTIONAL, HERE, PACKAGE, called, first_line_of, is_users
from .messages import join

Frames = list[tuple[FrameType, int]]  # of a traceback, the outermost first, each with its line

CHANNELS = "in_channels", "num_features", "in_features"  # what a layer's input channels are called in torch
CURES = (  # for what torch says: the first that fits
    (
        r"at non-singleton dimension 1$|broadcast a dimension of length \d+ at -3",
        "Make their channels equal, as by W.conv(x, y.shape[1], 1), or add only where x.shape == y.shape.",
    ),
    (
        r"at non-singleton dimension|broadcast a dimension of length",
        "Give both branches the same strides and padding, or add only where x.shape == y.shape.",
    ),
    (
        r"^Sizes of tensors must match except in dimension",
        "Give all branches the same strides and padding, or resize: F.interpolate(y, x.shape[2:]).",
    ),
    (
        r"^Expected more than 1 value per channel when training",
        "Batch normalization trains on several values of each channel: take a larger batch or larger images, or call "
        "model.eval() to use the running statistics.",
    ),
    (
        r"on the expected device|all tensors to be on the same device",
        "Make new tensors on the device of x, as by torch.zeros(..., device=x.device), or move the network there.",
    ),
    (
        r"shapes cannot be multiplied|have same reduction dim",
        "Take W.linear(x, size), which has as many inputs as x has channels, or pool before it, as by x.mean((2, 3)).",
    ),
    (r"Kernel size can't be greater than actual input size", "Take padding='same', a smaller kernel or larger images."),
)
CALL = re.compile(  # what Python says of a call that a function does not take
    r"(?P<function>[\w.<>]+)\(\) "
    r"(got an unexpected keyword argument '(?P<keyword>\w+)'|got multiple values|missing \d+ required|takes .* but \d+ )"
)


def replacement(frames: Frames, error: Exception) -> Exception | None:
    """The error that says what a layer was given and what it needs, if that is wrong; its cause is what torch or Python said.

    `frames` are those of the error's traceback.
    """
    if isinstance(error, (WarmError, torch.OutOfMemoryError)) or (frames and is_users(frames[-1][0].f_code.co_filename)):
        return None
    instead = _no_tensor(frames) or (_misfit(frames) if isinstance(error, RuntimeError) else None)
    if instead is not None:
        instead.__cause__ = error.with_traceback(None)
    return instead


def cure_for(frames: Frames, error: Exception) -> str | None:
    """What to do about an error of torch's, or one of Python's about a call, as far as it is known."""
    message = str(error)
    if isinstance(error, TypeError):
        return _call_cure(frames, message)
    return next((cure for pattern, cure in CURES if re.search(pattern, message)), None)


def layer_of(frames: Frames) -> tuple[str, nn.Module, Tensor] | None:
    """The layer of W's that was being called: its path, itself and its input. None if there is none."""
    for path, module, x, _ in _layers(frames):
        return path, module, x
    return None


def _layers(frames: Frames) -> Iterator[tuple[str, nn.Module, Tensor, int]]:
    """The layers of the innermost function of W's: the path, the layer, its input, and how many channels it is given."""
    values: dict[str, Any] = next((frame.f_locals for frame, _ in reversed(frames) if _is_of_w(frame)), {})
    parent = next((called(frame) for frame, _ in reversed(frames) if called(frame) is not None), None)
    x = values.get("x")
    if parent is None or not isinstance(x, Tensor) or x.ndim < 2:
        return
    names = {child: name for name, child in parent.named_children()}
    for key, given in ("module", x.shape[1]), ("norm", values.get("size", x.shape[1])):
        layer = values.get(key)
        if isinstance(layer, nn.Module) and layer in names:
            yield join(parent._path, names[layer]), layer, x, given


def _is_of_w(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(FUNCTIONAL)


def _no_tensor(frames: Frames) -> TypeError | None:
    """The error that says what the innermost function of W's that was called was given, if that is no tensor."""
    entry, is_inside = None, False
    for frame, _ in frames:
        if _is_of_w(frame) and not is_inside:
            entry = frame
        is_inside = _is_of_w(frame)
    if entry is None or "x" not in entry.f_locals:
        return None
    x, name = entry.f_locals["x"], entry.f_code.co_name
    if isinstance(x, Tensor) or (isinstance(x, tuple) and name == "lstm"):
        return None
    kind = type(x).__name__ if type(x).__module__ == "builtins" else f"{type(x).__module__}.{type(x).__name__}"
    what = "None" if x is None else f"of type {kind}"
    return TypeError(f"x of W.{name} is {what}, and must be a tensor. {_tensor_cure(name, x)}")


def _tensor_cure(name: str, x: Any) -> str:
    if x is None:
        return "Does the function that it comes from end without `return`?"
    if isinstance(x, np.ndarray):
        return "Convert it with torch.from_numpy(x), pixels with torch.from_numpy(x).float() / 255."
    if isinstance(x, (list, tuple)):
        return "Put tensors of one shape together with torch.stack(x), or take one of them, as by x[0]."
    if isinstance(x, nn.Module):
        return "An activation is a function, such as F.relu, and no class, such as nn.ReLU."
    return f"Give the tensor first: W.{name}(x, ...)."


def _misfit(frames: Frames) -> MismatchError | None:
    """The error that says what a layer was built for and what it is given, if these differ."""
    for path, layer, x, given in _layers(frames):
        channels = next((getattr(layer, key) for key in CHANNELS if hasattr(layer, key)), given)
        weight = getattr(layer, "weight", None)
        if given != channels:
            return MismatchError(
                f"'{path}' was built for {channels} input channels and is given {tuple(x.shape)}. {_channels_cure(layer, x)}"
            )
        if isinstance(weight, Tensor) and weight.device != x.device:
            cure = f"Move one: model.to('{x.device}'), x.to('{weight.device}')."
            if weight.is_meta:
                cure = f"A network on meta has shapes and no numbers: build it with device='{x.device}'."
            return MismatchError(f"'{path}' is on {weight.device} and is given a tensor on {x.device}. {cure}")
        if isinstance(weight, Tensor) and weight.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            cure = "Convert one: x.float(), model.double()."
            if not x.is_floating_point():
                cure = "Convert it: x.float() / 255 for pixels, and normalize; x.float() for other numbers."
            return MismatchError(f"'{path}' has weights in {weight.dtype} and is given {x.dtype}. {cure}")
    return None


def _channels_cure(layer: nn.Module, x: Tensor) -> str:
    if x.ndim > 2 and x.shape[-1] == getattr(layer, "in_channels", None):
        return "Its channels come last. Bring them to dimension 1: x.movedim(-1, 1)."
    pooled = ", or pool before it, such as by x.mean((2, 3))" if isinstance(layer, nn.Linear) else ""
    return f"Build the network again with an input of this size{pooled}."


def _call_cure(frames: Frames, message: str) -> str | None:
    """What the function takes that was called otherwise, if it can be found; and where it begins, if it is the user's."""
    found = CALL.search(message)
    if found is None or not frames:
        return None
    candidates = _named(found["function"], frames[-1][0])
    function = next((each for each in candidates if found["keyword"] not in inspect.signature(each).parameters), None)
    if function is None:
        return None
    parameters, keyword = inspect.signature(function).parameters, found["keyword"]
    cure = f"It is {function.__name__}({', '.join(_declared(parameters))})."
    if keyword and "Did you mean" not in message:  # which Python says from 3.13 on
        allowed = dict.fromkeys([*parameters, *_passed_on(frames, keyword)])
        cure = f"{choose_one(keyword, [name for name in allowed if name not in ('self', 'x')])}."
    if not is_users(function.__code__.co_filename):
        return cure
    calls = [(frame.f_code.co_filename, line) for frame, line in frames if _is_forwards(frame.f_code.co_filename)]
    if calls and not is_users(calls[-1][0]):  # as `stage` calls a block of the user's
        text = linecache.getline(*calls[-1]).strip()
        cure += f" It is called as `{text}`: let its parameters be those of the call, and **options take what it does not use."
    return f"{cure}\n  begins at {first_line_of(function)}"


def _declared(parameters: Any) -> list[str]:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [stars.get(parameter.kind, "") + name for name, parameter in parameters.items()]


def _named(name: str, frame: FrameType) -> list[FunctionType]:
    """The functions of that qualified name, as the code of the frame can reach them; warmnet's own first."""
    found = []
    for value in (*frame.f_locals.values(), *frame.f_globals.values()):
        if isinstance(value, ModuleType):
            value = vars(value).get(name.partition(".")[0])
        elif isinstance(value, nn.Module):
            value = type(value)
        if isinstance(value, type):
            value = getattr(value, name.rpartition(".")[2], None)
        if isinstance(value, FunctionType) and value.__qualname__ == name:
            found.append(inspect.unwrap(value))
    return sorted(found, key=lambda function: not function.__code__.co_filename.startswith(PACKAGE))


def _passed_on(frames: Frames, keyword: str) -> list[str]:
    """The parameters of the functions on the way that took the keyword as one of `**options` and passed it on."""
    found: list[str] = []
    for frame, _ in frames:
        code = frame.f_code
        if not code.co_flags & inspect.CO_VARKEYWORDS or not (_is_forwards(code.co_filename) or code.co_filename == BLOCK):
            continue
        count = code.co_argcount + code.co_kwonlyargcount
        options = code.co_varnames[count + bool(code.co_flags & inspect.CO_VARARGS)]
        if keyword in frame.f_locals.get(options, ()):
            found += code.co_varnames[:count]
    return found


def _is_forwards(file: str) -> bool:
    """Whether code is that of a forward: the user's, or of warmnet's networks and layers."""
    return is_users(file) or (file.startswith(PACKAGE) and not file.startswith(HERE))
