"""@block: a forward function becomes a module of whatever module is being called."""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from ..errors import SealedError, WarmError
from .calls import Call, thread
from .frames import with_calling_line
from .layers import Layered, layer
from .location import located
from .messages import nothing_returned
from .stand_ins import calls_are_plain, is_bare


class Block(Layered):
    """A forward function with the layers of one of its calls. Called with its inputs alone, it repeats its built settings."""

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...], kw: dict[str, Any]):
        super().__init__()
        self._function = _Function(call, call.__module__, call.__qualname__)
        self.inputs = len(_inputs(args))
        names = [*inspect.signature(call).parameters]
        self.names = names[self.inputs :]
        given = {**dict(zip(self.names, args[self.inputs :])), **kw}
        self.needs = [key for key, value in given.items() if _holds_tensors(value)]  # which no module should keep
        self.settings = args[self.inputs :], kw
        if self.needs:
            self.settings = (), {key: value for key, value in given.items() if key not in self.needs}

    def forward(self, *args: Any, **kw: Any) -> Any:
        calls = thread.calls
        if not calls or calls[-1].module is not self:
            return self.alone(*args, **kw)
        _, names, function, _ = calls[-1]  # of its function's own call, see `block`
        calls[-1] = Call(self, names, function, calls_are_plain())
        return function(*args, **kw)  # type: ignore[misc]

    def alone(self, *args: Any, **kw: Any) -> Any:
        """The output of a call that is not its function's, which leaves out the settings."""
        calls = thread.calls
        depth = len(calls)
        function = self.function
        args, kw = self._completed(args, kw)
        calls.append(Call(self, {}, function, calls_are_plain()))
        try:
            y = function(*args, **kw)
            if thread.observer is not None:
                thread.observer(self, y)
            return y
        except Exception as error:
            if depth or torch.compiler.is_compiling():
                raise
            raise located(error)  # noqa: B904  it is the same error
        finally:
            del calls[depth:]

    def _completed(self, args: tuple[Any, ...], kw: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A call's arguments with the built settings for those that it leaves out."""
        more, settings = self.settings
        if not kw and not self.needs and len(args) == self.inputs:
            return args + more, settings
        signature = inspect.signature(self.function)
        given = signature.bind_partial(*args, **kw).arguments
        known = signature.bind_partial(*args[: self.inputs], *more, **settings).arguments
        if missing := [key for key in self.needs if key not in given]:
            raise TypeError(
                f"'{self._path}' needs {', '.join(missing)}=, a tensor, which a built block does not keep. Pass it: "
                f"{self._get_name()}(x, {missing[0]}=...)."
            )
        rest = next((key for key, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD), None)
        if rest:
            given[rest] = {**known.get(rest, {}), **given.get(rest, {})}
        bound = inspect.BoundArguments(signature, {**known, **given})
        return bound.args, bound.kwargs

    @property
    def function(self) -> Callable[..., Any]:
        """The function that it was built by."""
        if self._function.call is None:
            raise WarmError(
                f"'{self._path}' cannot be called alone: its function, {self._function.path}, is no more where it was when the "
                f"network was saved, in {self._function.module}. Call the whole network once, which knows it."
            )
        return self._function.call.__wrapped__  # type: ignore[attr-defined]

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Replace a child; a new one, which nothing would call, is refused once the block is built."""
        self._refuse_new(name)
        super().add_module(name, module)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, nn.Module):
            self._refuse_new(name)
        super().__setattr__(name, value)

    def _refuse_new(self, name: str) -> None:
        if self._sealed and name not in self._built:
            message = (
                f"'{self._path}' is built, and its function calls {', '.join(self._built) or 'no layers'}. Nothing would call "
                f"'{name}'. Change the function, {self._get_name()}, or its settings, and build the network again."
            )
            raise SealedError(with_calling_line(message))

    def _get_name(self) -> str:
        return self._function.path.rpartition(".")[2]

    def extra_repr(self) -> str:
        args, kw = self.settings
        named = {**dict(zip(self.names, args)), **kw}
        return ", ".join(f"{key}={getattr(value, '__name__', value)}" for key, value in named.items())


class _Function:
    """What `block` made of a block's function. Pickles hold it by its name alone, so that its file may move."""

    def __init__(self, call: Callable[..., Any] | None, module: str, path: str):
        self.call, self.module, self.path = call, module, path

    def __deepcopy__(self, memo: Any) -> _Function:
        return self

    def __reduce__(self) -> Any:
        return _found, (self.module, self.path)


def _found(module: str, path: str) -> _Function:
    """The function of that name; none if it is not there, until the network calls it."""
    try:
        call = attrgetter(path)(importlib.import_module(module))
    except (ImportError, AttributeError):
        call = None
    return _Function(call if hasattr(call, "__wrapped__") else None, module, path)


def block(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, a forward function from `x` and settings to `x`, as a module of whatever module is being called.

    A call takes two more keywords: `name`, instead of `function_1`, `function_2`, ...; and `share=True` to use one block
    several times under one name.

    >>> import warmnet, warmnet.functional as W
    >>> @warmnet.block
    ... def mlp(x, size):
    ...     x = W.linear(x, 4 * size, activation='relu', name='hidden')
    ...     return W.linear(x, size, name='out')
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return mlp(mlp(x, 8), 4)
    >>> warmnet.up(Net(), [1, 2])
    Net(
      (mlp_1): mlp(
        size=8
        (hidden): Linear(in_features=2, out_features=32, bias=True)
        (out): Linear(in_features=32, out_features=8, bias=True)
      )
      (mlp_2): mlp(
        size=4
        (hidden): Linear(in_features=8, out_features=16, bias=True)
        (out): Linear(in_features=16, out_features=4, bias=True)
      )
    )
    """
    kind = function.__name__
    for key, parameter in inspect.signature(function).parameters.items():
        if key in ("name", "share"):
            raise TypeError(f"@block {kind}: '{parameter}' cannot be a parameter; name and share are the block's own.")

    def new(args: tuple[Any, ...], kw: dict[str, Any]) -> Block:
        return Block(call, args, kw)

    @functools.wraps(function)
    def call(*args: Any, name: str | None = None, share: bool = False, **kw: Any) -> Any:
        child = layer(kind, (), name, share, new, args, kw)
        function = call.__wrapped__
        if isinstance(child, Block):
            if child._function.call is None:
                child._function.call = call
            calls = thread.calls
            depth = len(calls)
            is_plain = calls[-1].is_plain and is_bare(child) and type(child).forward is Block.forward
            calls.append(Call(child, {}, function, is_plain))
            try:
                y = function(*args, **kw) if is_plain else child(*args, **kw)
            finally:
                del calls[depth:]
            if y is None:
                raise nothing_returned(kind, function)
            if thread.observer is not None:
                thread.observer(child, y)
            return y
        return _replaced(child, function, args, kw)

    return call


def _replaced(child: nn.Module, function: Callable[..., Any], args: tuple[Any, ...], kw: dict[str, Any]) -> Any:
    """The output of what was put in a block's place: it is given the tensors; a wrapper around a block, all."""
    wrapped = [*child.children()]
    if len(wrapped) == 1 and isinstance(wrapped[0], Block) and not isinstance(child, (nn.Sequential, Layered)):
        bound = inspect.signature(function).bind(*args, **kw)
        bound.apply_defaults()
        return child(*bound.args, **bound.kwargs)
    return child(*_inputs(args), **{key: value for key, value in kw.items() if _holds_tensors(value)})


def _inputs(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The leading arguments that are tensors, or hold some; the first in any case."""
    return args[:1] + tuple(itertools.takewhile(_holds_tensors, args[1:]))


def _holds_tensors(arg: Any) -> bool:
    return any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(arg))
