"""PyWarm on this engine: its `up` and `forward`, mended. This is the only file that knows PyWarm's engine."""

from __future__ import annotations

import functools
from typing import Any

import torch
import warm
from torch import nn
from torch.utils._pytree import tree_leaves
from warm import engine, util

from .. import checks
from ..errors import MismatchError, NotWarmError, WarmError
from ..spelling import nearest
from . import build
from .build import Build, Model
from .calls import thread
from .frames import first_line_of, with_calling_line
from .layers import Layered, claim, current
from .messages import join, written

if "ndim" in vars(torch.Tensor):
    del torch.Tensor.ndim  # PyWarm's, a slower Python property; torch's own is the base class's
permuted, torch_keywords = engine.permute, engine.unused_kwargs
snake_case = util.camel_to_snake
_up, _forward, _parent, _auto_name = engine.prepare_model_, engine.forward, engine.get_default_parent, engine._auto_name
_activate = engine.activate


def up(model: Model, *data: Any, device: Any = None, seed: int | None = None) -> Model:
    if not isinstance(model, nn.Module):
        raise TypeError(with_calling_line(f"up takes a module, such as Net(), and not {model!r}."))
    if (module := _without_init(model)) is not None:
        message = f"{type(module).__name__}.__init__ does not call nn.Module's own. Make super().__init__() its first line."
        raise NotWarmError(with_calling_line(f"{message}\n  begins at {first_line_of(type(module).__init__)}"))
    if not any(isinstance(module, Layered) for module in model.modules()):
        return _up(model, *data, device=device or "cpu")
    for path, module in model.named_modules():
        if engine.is_ready(module) and not isinstance(module, Layered):
            raise NotWarmError(f"'{path}' is a PyWarm network. Let its class inherit from WarmModule to use it in another.")
    return build.up(model, *data, device=device, seed=seed)


up.__doc__ = build.up.__doc__


def _without_init(module: nn.Module) -> nn.Module | None:
    """The module, or one in it, whose class forgot `super().__init__()`."""
    if "_modules" not in vars(module):
        return module
    return next(
        (found for child in module._modules.values() if child is not None and (found := _without_init(child)) is not None), None
    )


def activate(x: Any, spec: Any, lookup: Any = None) -> Any:
    """`x` after an activation, or filled by an initialization, whose name is looked up in these modules."""
    homes = lookup or [nn.functional, torch]
    if isinstance(spec, str) and not any(hasattr(home, spec) for home in homes):
        raise ValueError(_unknown_function(spec, homes[0]))
    if isinstance(spec, type):
        raise TypeError(
            f"activation={spec.__name__} is a class. An activation is a function, such as F.silu, its name, or a module: "
            f"{spec.__name__}()."
        )
    pair = isinstance(spec, (tuple, list)) and len(spec) == 2 and callable(spec[0])
    if not (spec is None or isinstance(spec, str) or callable(spec) or pair):
        raise TypeError(
            f"{spec!r} is no function, name in {homes[0].__name__} or pair (function, keywords). Is it meant for another "
            f"setting? Give that by its keyword, such as stride=2; the input's channels are not given: W.conv(x, size, kernel)."
        )
    return _activate(x, spec, homes)


def initialize_(x: torch.Tensor, spec: Any) -> None:
    """Fill `x` as an initialization says."""
    if spec is None:
        return
    result = activate(x, spec, [nn.init])
    if isinstance(result, torch.Tensor) and result.data_ptr() != x.data_ptr():
        raise ValueError(
            f"{spec!r} gives a new tensor and leaves the layer's as it was. An initialization fills the tensor that it gets, "
            f"as lambda x: x.fill_(1) does."
        )


def _unknown_function(name: str, home: Any) -> str:
    """What to write instead of a name that `home` does not have, whose functions end in _ if they fill a tensor."""
    fills = home is nn.init
    near = nearest(name, [each for each in dir(home) if not each.startswith("_") and each.endswith("_") == fills])
    meant = f"Did you mean {near!r}? " if near else ""
    return f"{name!r} is no function of {home.__name__}. {meant}Give one by its name there, or a function."


def first_call(module: Layered, args: tuple[Any, ...]) -> None:
    """Build a module that PyWarm's own `warm.up` is running (it was imported before warmnet); refuse any other."""
    if _parent() is not module:
        shapes = ", ".join(str([*x.shape]) for x in args if isinstance(x, torch.Tensor)) or "[2, 3, 32, 32]"
        raise NotWarmError(
            f"{type(module).__name__} has no layers yet. Call warm.up(model, {shapes}), which is warmnet.up, with the shape of "
            f"a sample input, before its first use: best as the last line of its __init__."
        )
    engine.set_default_parent(None)
    up(module, *args)


def forward(
    x: Any, base_class: Any, base_name: Any = None, name: Any = None, base_arg: Any = None, base_kw: Any = None,
    parent: Any = None, infer_kw: Any = None, initialization: Any = None, share: bool = False, **kw: Any,
) -> Any:  # fmt: skip
    """PyWarm's `engine.forward`, its layers kept by the WarmModule being called and every keyword honoured."""
    if not thread.calls and _parent() is not None:  # a network that does not inherit from WarmModule
        return _forward(
            x, base_class, base_name, name, base_arg, base_kw, parent, infer_kw, initialization=initialization, **kw
        )
    given, base_kw = torch_keywords(kw), base_kw or {}
    for word, value in given.items():
        if word in (infer_kw or ()) or base_kw.get(word, value) is not value:
            raise TypeError(f"{word}= is torch's word for what the input or another argument here decides. Leave it out.")
    base_kw = {**given, **base_kw}
    kw = {key: value for key, value in kw.items() if key not in base_kw}
    for key, value in base_kw.items():
        checks.refuse_tensor(key, value)
    kind = base_name or snake_case(base_class.__name__)
    home, name = claim(kind, base_kw, name, share)
    if parent not in (None, home):
        raise ValueError("parent= can only be the WarmModule being called. For a parent below it, write a @block.")

    def make(*args: Any, **kw: Any) -> nn.Module:
        child = base_class(*args, **kw)
        for key, spec in (initialization or {}).items():
            initialize_(getattr(child, key).detach(), spec)
        return child

    new = name not in home._built
    fresh: Any = functools.partial(thread.build.new_layer, home, name, make) if isinstance(thread.build, Build) else make
    try:
        y = _forward(x, fresh, name=name, base_arg=base_arg, base_kw=base_kw, parent=home, infer_kw=infer_kw, **kw)
    except RuntimeError as error:
        if new or isinstance(error, WarmError):
            raise
        given = [tuple(leaf.shape) for leaf in tree_leaves(x)]
        raise MismatchError(
            f"'{join(home._path, name)}' was built as {written(kind, base_kw)} and cannot take {given}: {error}"
        ) from error
    home._built[name] = kind, base_kw
    return y


def parent() -> Any:
    """The module whose layers a call of this thread gets, for PyWarm's `engine.namespace`."""
    return thread.calls[-1].module if thread.calls else _parent()


def counted(name: str, parent: Any) -> str:
    """`name` with the number of its use in this call of the module, for PyWarm's `engine.namespace`."""
    if not thread.calls and parent is not None:
        return _auto_name(name, parent)
    current(name)
    names = thread.calls[-1].names
    names[name, "counted"] = count = names.get((name, "counted"), 0) + 1
    return f"{name}_{count}"


engine.activate, engine.initialize_ = activate, initialize_
warm.up = engine.prepare_model_ = up
engine.forward, engine.get_default_parent, engine._auto_name = forward, parent, counted
