"""The call that a block or layer was made by, as somebody would write it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from .. import functional as W
from ..engine.block import Block
from ..engine.messages import Arguments, named, setting, setting_names
from ..networks.classifier import Classifier

LEADING = "size", "rate", "shape", "groups", "heads"  # settings that need no name where they come first


def call_of(root: nn.Module, path: str, module: nn.Module, with_defaults: bool = False) -> str:
    """The call of a block or layer, perhaps without settings that are at their default; of any other module how it prints."""
    kind, function, settings = _call_behind(root, path, module)
    return written(kind, None if with_defaults else function, settings) if kind else _printed(module)


def _call_behind(root: nn.Module, path: str, module: nn.Module) -> tuple[str, Callable[..., Any] | None, dict[str, Any]]:
    """The name, the function and the settings of the call that made a module; no name if it was none of warmnet's."""
    if isinstance(module, Block):
        args, keywords = module.settings
        return module._get_name(), module.function, {**dict(zip(module.names, args)), **keywords}
    parent, _, key = path.rpartition(".")
    kind, settings = getattr(root.get_submodule(parent), "_built", {}).get(key, ("", {})) if path else ("", {})
    return _layer(kind, settings) if kind else ("", None, {})


def layer_call(kind: str, settings: Any) -> str:
    """The call of a layer of that kind, as its module has it."""
    return written(*_layer(kind, settings))


def _layer(kind: str, settings: Any) -> tuple[str, Callable[..., Any] | None, dict[Any, Any]]:
    """The name, the function of W's and the settings, by name, of a layer."""
    names = named(kind, settings)
    if isinstance(settings, (dict, Arguments)) or kind not in setting_names:
        return kind, None, names
    function = getattr(W, kind)
    known = inspect.signature(function).parameters
    return kind, function, {key: value for key, value in names.items() if key in known}


def written(kind: str, function: Callable[..., Any] | None, settings: Mapping[Any, Any]) -> str:
    """`kind(...)` with the settings that are not the function's defaults, a leading size or the like without its name."""
    parameters = inspect.signature(function).parameters if function else {}
    defaults = {key: _value(parameter.default) for key, parameter in parameters.items()}
    arguments = list[str]()
    for key, value in settings.items():
        text = _value(value)
        if defaults.get(key) == text:
            continue
        arguments.append(text if not arguments and key in LEADING else setting(key, text))
    return f"{kind}({', '.join(arguments)})"


def _value(value: Any) -> str:
    """A setting, short."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list) and len(value) > 2:
        return f"[{_value(value[0])}, … {_value(value[-1])}]"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return getattr(value, "__name__", None) or repr(value)


def _printed(module: nn.Module) -> str:
    """A module as it prints, without what is in it; a classifier with the name of its variant."""
    settings = "" if module._modules else module.extra_repr()
    if isinstance(module, Classifier) and (module.variant_name in module.variants or isinstance(module.variant, str)):
        settings = repr(module.variant_name)
    name = module._get_name()
    return f"{name}({settings})" if settings else name
