"""An option of a network as JSON holds it, and back. A function goes by its name, if it is torch's or warmnet's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from .. import networks

FUNCTION = "function"  # the key of a function's name
TORCH = {"torch.nn.functional": F, "torch": torch}


class NotForFilesError(Exception):
    """A value that no file can hold, such as a function of the user's."""


def encode(value: Any) -> Any:
    """The value as JSON has it, a function as {FUNCTION: 'module:name'}; a NotForFilesError if there is no way to write it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [encode(each) for each in value]
    if isinstance(value, dict):
        if any(not isinstance(key, str) or key == FUNCTION for key in value):
            raise NotForFilesError(repr(value))
        return {key: encode(each) for key, each in value.items()}
    for module in (*TORCH, getattr(value, "__module__", "")):
        name = f"{module}:{getattr(value, '__name__', '')}"
        if find_function(name) is value:
            return {FUNCTION: name}
    raise NotForFilesError(repr(value))


def decode(value: Any) -> Any:
    """What `encode` gave as it was, but with tuples for lists; a ValueError if it names a function that files may not name."""
    if isinstance(value, list):
        return tuple(decode(each) for each in value)
    if isinstance(value, dict) and FUNCTION in value:
        function = find_function(value[FUNCTION])
        if function is None:
            raise ValueError(f"unknown function {value[FUNCTION]!r}")
        return function
    if isinstance(value, dict):
        return {key: decode(each) for key, each in value.items()}
    return value


def since_version_2(value: Any) -> Any:
    """An option of a file of version 2, where functions were texts, as version 3 has it."""
    if isinstance(value, list):
        return [since_version_2(each) for each in value]
    if isinstance(value, str) and ":" in value:
        return {FUNCTION: value.replace("warmnet.efficientnet:", "warmnet.networks.efficientnet:")}
    return value


def find_function(name: str) -> Callable[..., Any] | None:
    """The function that 'module:name' stands for, if a file from anywhere may name it: one of tensors, or a network's part."""
    module, _, function = name.partition(":")
    if function.startswith("_"):
        return None
    if module in TORCH:
        found = getattr(TORCH[module], function, None)
        is_harmless = callable(getattr(F, function, None))  # of torch, what F has too, such as tanh; but not torch.load
    else:
        found = getattr(sys.modules.get(module), function, None)
        is_harmless = module.startswith(f"{networks.__name__}.") and getattr(found, "__module__", None) == module
    return found if is_harmless and callable(found) and not isinstance(found, type) else None
