"""Replay: the torch functions that a call of a network came down to, called again without the Python around them.

A forward function finds its layers anew at every call, which takes a small network half as long as its arithmetic. But where
all functions are warmnet's and torch's, what is called depends on the shape of the input, the settings and the modules alone.
So a call that is like those before is recorded, as straight lines of Python, and from then on replayed: the same functions,
with the same arguments, on the parameters that the modules hold by then. Whatever else is done to the modules is noticed, and
ends it: attributes, children, hooks, code. Not seen is what goes behind their backs: writing into `__dict__`, patching a class
or a module.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook
from torch.overrides import TorchFunctionMode, _len_torch_function_stack

from .functional import is_plain
from .module import Block, Noted, is_observed, take_note

Run = Callable[[Tensor], Tensor]
MOST = 16  # shapes of input of one network that are kept
PLAIN = 3  # calls that are like each other before one is recorded, which takes as long as several
SHAPE = {"__get__", "dim", "is_contiguous", "numel", "size"}  # torch functions that ask for no numbers, as x.shape does

_plans: weakref.WeakKeyDictionary[nn.Module, dict[Any, _Plan]] = weakref.WeakKeyDictionary()


class _Plan:
    """What a call depended on, how many like it there were, and how it is repeated once it was recorded."""

    def __init__(self, depends: tuple[Any, ...]):
        self.depends, self.calls = depends, 0
        self.run: Run | None = None

    def watch(self, root: nn.Module) -> None:
        """Note children, dicts of hooks and functions' code, which others than their modules may change."""
        inner = [module for module in root.modules() if module is not root]
        self.hooks = [home for module in inner for home in _hooks(module)]
        functions = {module.function.__wrapped__ for module in inner if isinstance(module, Block)}  # type: ignore[attr-defined]
        self.functions = [self.depends[1], *functions]
        self.codes = [function.__code__ for function in self.functions]
        self.parents = [module._modules for module in root.modules() if module._modules]
        self.children = [*map(tuple, map(dict.values, self.parents))]

    def holds(self) -> bool:
        if any(self.hooks) or self.codes != [function.__code__ for function in self.functions]:
            return False
        return self.children == [*map(tuple, map(dict.values, self.parents))]


def replayed(module: nn.Module, function: Callable[..., Tensor], x: Tensor, *settings: Any, **options: Any) -> Tensor:
    """`function(x, *settings, **options)`, in the forward of `module`; by what it comes down to, once that is known."""
    if not is_plain(x) or is_observed() or _has_any_global_hook():
        return function(x, *settings, **options)
    plans = _plans.setdefault(module, {})
    autocast = torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")
    cudnn = torch._C._get_cudnn_enabled(), torch._C._get_cudnn_benchmark()
    layout = x.is_cuda and x.is_contiguous(memory_format=torch.channels_last)  # asked for by warmnet.fused
    key = x.shape, x.dtype, x.device, torch.is_grad_enabled(), autocast, cudnn, layout
    depends = Noted.changes, function, settings, options
    plan = plans.get(key)
    if plan is not None and plan.depends == depends:
        if plan.run is not None and plan.holds():
            try:
                return plan.run(x)
            except RuntimeError:  # which the function explains
                plans.pop(key, None)
                if module.training:  # whose statistics would be updated twice
                    raise
                return function(x, *settings, **options)
        plan.calls += 1
        if plan.calls % 64 == PLAIN and _can_be_recorded(module):
            take_note()
            y, run = _recorded(module, lambda x: function(x, *settings, **options), x)
            plan.watch(module)
            plan.run = run  # from now on other threads use it
            return y
    elif _is_own((function, settings, *options.values())):
        if plan is not None or len(plans) == MOST:
            plans.clear()  # of what has changed, too
        plans[key] = _Plan(depends)
    return function(x, *settings, **options)


def _can_be_recorded(root: nn.Module) -> bool:
    """Whether nothing but warmnet's and torch's own functions and modules, without hooks, is called."""
    for module in root.modules():
        if module is not root:
            own = module.__dict__.keys() & {"forward", "_call_impl", "_compiled_call_impl"}
            if own or not isinstance(module, Noted) or any(_hooks(module)):
                return False
            if not _is_own((type(module), getattr(module, "function", None))):
                return False
    return not _len_torch_function_stack()


def _hooks(module: nn.Module) -> tuple[dict[Any, Any], ...]:
    return module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks


def _is_own(value: Any) -> bool:
    """Whether it is a function or class of torch's or warmnet's, or a plain value, or a tuple of such."""
    if isinstance(value, tuple):
        return all(map(_is_own, value))
    if isinstance(value, type):
        home = value.__module__
    elif isinstance(value, FunctionType):
        home = value.__globals__.get("__name__", "") if _is_own(getattr(value, "__wrapped__", None)) else ""
    elif isinstance(value, BuiltinFunctionType):
        home = value.__module__ or getattr(value.__self__, "__module__", "")
    else:
        return value is None or isinstance(value, (bool, int, float, str))
    return home.split(".")[0] in ("torch", "warmnet")


def _recorded(root: nn.Module, call: Run, x: Tensor) -> tuple[Tensor, Run | None]:
    """The output for `x`, and a function that repeats the call, unless there is more to it."""
    homes = [home for module in root.modules() for home in (module._parameters, module._buffers)]
    tape = _Tape(homes)
    tape.place[id(x)] = weakref.ref(x), "x"
    with tape:
        y = call(x)
    return y, tape.function(y)


class _Tape(TorchFunctionMode):
    """A record of the torch functions that are called on tensors, as lines of Python."""

    def __init__(self, homes: list[Any]):
        super().__init__()
        self.values: dict[str, Any] = {f"t{i}": home for i, home in enumerate(homes)}  # what the names in the lines stand for
        held = [(x, f"t{i}[{key!r}]") for i, home in enumerate(homes) for key, x in home.items() if x is not None]
        self.place: dict[int, tuple[weakref.ref[Tensor], str]] = {id(x): (weakref.ref(x), where) for x, where in held}
        self.lines: list[tuple[str, str, set[str]]] = []  # the name of the result, the call, the names of results in it
        self.whole = len(self.place) == len(held)  # else a tensor has two places

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kw: Any = None) -> Any:
        kw = kw or {}
        y = function(*args, **kw)
        if isinstance(y, Tensor):
            used: set[str] = set()
            words = [self._word(arg, used) for arg in args] + [f"{key}={self._word(arg, used)}" for key, arg in kw.items()]
            name = f"y{len(self.lines)}"
            self.lines.append((name, f"{self._constant(function)}({', '.join(words)})", used))
            self.place[id(y)] = weakref.ref(y), name
        elif getattr(function, "__name__", "") not in SHAPE:
            self.whole = False
        return y

    def _word(self, arg: Any, used: set[str]) -> str:
        """An argument in a line."""
        if isinstance(arg, (list, tuple)) and any(isinstance(item, Tensor) for item in arg):
            self.whole = False
        if not isinstance(arg, Tensor):
            return self._constant(arg)
        there, name = self.place.get(id(arg), (None, ""))
        if there is None or there() is not arg:
            self.whole = False  # a tensor that is neither a result nor the network's
        elif name[0] == "y":
            used.add(name)
        return name

    def _constant(self, value: Any) -> str:
        name = f"c{len(self.values)}"
        self.values[name] = value
        return name

    def function(self, y: Tensor) -> Run | None:
        """The lines as a function that lets go of each result after its last use."""
        there, result = self.place.get(id(y), (None, ""))
        if not self.whole or there is None or there() is not y:
            return None
        source, needed = list[str](), {result}
        for name, call, used in reversed(self.lines):
            done = sorted(used - needed)
            needed |= used
            source.append(f" {name} = {call}" + "".join(f"; {last} = None" for last in done))
        source += ["def replay(x):"]
        exec("\n".join([*reversed(source), f" return {result}"]), self.values)
        return self.values.pop("replay")  # which would else be held by its own globals
