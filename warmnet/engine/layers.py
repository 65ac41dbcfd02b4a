"""Whose layers a call gets: those of the module that this thread is calling, sealed once they are built.

PyWarm keeps one process-wide "current parent" and gives any unseen name a new random layer at any time. Here the modules
being called are a stack, one for each thread; each finds its children by name, and one dry run makes them all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..errors import NameTakenError, NotWarmError, SealedError
from . import messages
from .calls import thread
from .frames import called, with_calling_line
from .messages import join


class Layered(nn.Module):
    """A module whose children its own function makes, in the dry run, and finds again at every call."""

    _sealed = False
    _is_adopted = False
    _path = ""  # in the network that it was built in
    _sample: Any = ()  # what it was built with, and how many operations its forward did until each output; see `adopt`
    _operations: tuple[int, ...] = ()
    _channels: int | None = None  # of its output in the dry run, and the stride that led there
    _stride: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self._built: dict[str, tuple[str, Any]] = {}  # name: the kind of a layer and its settings

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Add a child; during the dry run on the target device, in the mode of the dry run."""
        if thread.build is not None and module is not None and not self._sealed:
            thread.build.take_in(self, name, module)
        super().add_module(name, module)


def layer(
    kind: str, settings: tuple[Any, ...], name: str | None, share: bool, make: Callable[..., nn.Module], *args: Any
) -> Any:
    """The child of the module being called that this call stands for; in the dry run, a new one, `make(*args, *settings)`.

    It is named by its place among the calls of its kind (`conv_1`, `conv_2`, ...) unless `name` is given. `settings` must be
    the same at every call. `share=True` lets a name be used more than once in a forward.
    """
    if thread.calls and not share:  # a built layer, the first time in this call; all else is claimed
        parent, names, *_ = thread.calls[-1]
        key = name
        if key is None:
            count = names.get((kind,), 0) + 1
            key = f"{kind}_{count}"
        child = parent._modules.get(key)
        if child is not None and key not in names and parent._built.get(key) == (kind, settings):
            names[key] = 1
            if name is None:
                names[kind,] = count
            return _of_built_size(child) if "_size" in child.__dict__ else child
    parent, name = claim(kind, settings, name, share)
    if name not in parent._built:
        thread.build.make_child(parent, name, make, *args, *settings)
        parent._built[name] = kind, settings
    return _of_built_size(parent._modules[name])


def parameter(shape: tuple[int, ...], name: str | None, share: bool, initialize: Callable[[Tensor], None]) -> Tensor:
    """The parameter of the module being called that this call stands for; in the dry run, a new one, filled by `initialize`.

    Names are as in `layer`. It is looked up as an attribute, since parametrizations and FSDP keep it elsewhere.
    """
    parent, name = claim("parameter", (shape,), name, share)
    if name not in parent._built:
        thread.build.make_parameter(parent, name, shape, initialize)
        parent._built[name] = "parameter", (shape,)
    found: Tensor = getattr(parent, name)
    if found.shape != shape:
        raise messages.reshaped(join(parent._path, name), shape, found)
    return found


def _of_built_size(child: Any) -> Any:
    """The layer, unless it was given another number of output channels since the build."""
    held = child.__dict__
    if "_size" in held:
        size = held.get("out_channels", held.get("out_features"))
        if size != held["_size"]:
            raise messages.resized(child, held["_size"], size)
    return child


def claim(kind: str, settings: Any, name: str | None, share: bool) -> tuple[Layered, str]:
    """The module being called and the name of that child, or the error that says why there is none."""
    parent, names = current(kind)
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name={name!r} of a {kind} must be a text, and is a {type(name).__name__}.")
    if share and name is None:
        raise ValueError(f"share=True needs a name: {kind}(..., name='shared', share=True) in each of the calls.")
    if name is None:
        names[kind,] = count = names.get((kind,), 0) + 1
        name = f"{kind}_{count}"
    path = join(parent._path, name)
    if name in names and not share:
        raise NameTakenError(
            f"The name '{path}' is used twice in one forward. Give this {kind} another name, or pass share=True if the calls "
            f"are meant to be one layer. (A function that is called twice as a whole can be a @block.)"
        )
    names[name] = 1
    if name not in parent._built:
        _check_new(parent, kind, settings, name)
    elif getattr(parent, name, None) is None:
        raise SealedError(f"'{path}' was built and has been removed. Put {_in_place_of(kind)} in its place.")
    elif parent._built[name] != (kind, settings):
        raise messages.mismatch(path, parent._built[name], (kind, settings))
    return parent, name


def _in_place_of(kind: str) -> str:
    """What may be put in the place of a layer of that kind, and does nothing."""
    return "a parameter of its shape" if kind == "parameter" else "nn.Identity()"


def current(kind: str) -> tuple[Layered, dict[Any, int]]:
    """The module being called and the names that its layers have been found by so far in this call."""
    if not thread.calls:
        messages.refuse_fx()
        message = (
            f"{kind} was called outside of a WarmModule's forward, so there is nowhere to keep its layers. Call it in the "
            f"forward of a warmed-up WarmModule, and the module itself: model(x), not model.forward(x). "
            f"(torch.utils.checkpoint, too, takes the built module and not the function.)"
        )
        raise NotWarmError(with_calling_line(message))
    parent, names, *_ = thread.calls[-1]
    return parent, names


def _check_new(parent: Layered, kind: str, settings: Any, name: str) -> None:
    """Raise why the module being called can have no new child of that name."""
    path = join(parent._path, name)
    if thread.build is not None and (built := thread.build.adopted.get(parent, {}).get(name)):
        if not messages.differ_in_size(built, (kind, settings)):
            raise messages.mismatch(path, built, (kind, settings))
        return
    if thread.build is not None and parent in thread.build.adopted:
        raise messages.other_path(
            f"The forward asks for '{path}', {messages.written(kind, settings)}, and did not in the build."
        )
    if (other := _in_between(parent)) is not None:
        raise NotWarmError(
            f"{type(other).__name__}.forward was called by itself in {parent._get_name()}, which would get its layers once "
            f"more. Call the module: model(x), not model.forward(x)."
        )
    if parent._sealed or thread.build is None:
        raise SealedError(
            f"'{path}', {messages.written(kind, settings)}, was not made in the dry run, and a built module takes no new "
            f"layers. It has {', '.join(parent._built) or 'none'}. The dry run, in eval mode, must pass every branch that has "
            f"layers, and a loop go round as many times as in later calls."
        )
    if not name.replace("-", "_").isidentifier() or hasattr(parent, name):  # PyWarm's examples have names like 'features-0-1'
        raise NameTakenError(
            f"'{path}' cannot name a {kind}: it must be an identifier, '-' aside, that is not yet an attribute there."
        )


def _in_between(parent: Layered) -> Layered | None:
    """Another module whose forward was called, without the module, since the call of this one."""
    frame = inspect.currentframe()
    while frame is not None:
        if called(frame) is parent:
            return None
        code = frame.f_code
        running = frame.f_locals.get(code.co_varnames[0]) if code.co_name == "forward" and code.co_argcount else None
        if isinstance(running, Layered) and running is not parent:
            return running
        frame = frame.f_back
    return None
