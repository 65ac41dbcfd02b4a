"""WarmModule and @block: plain forward functions become ordinary PyTorch modules.

PyWarm keeps one process-wide "current parent" and gives any unseen name a new random layer at any time. Here layers belong
to the instance that is being called, per thread; one dry run makes them all; after it nothing can be added.
This is the only file that knows PyWarm's engine.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import inspect
import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
import warm
from torch import nn
from torch.utils._pytree import tree_leaves
from warm import engine, util

from .folding import Unnormalized
from .where import located

if "ndim" in vars(torch.Tensor):
    del torch.Tensor.ndim  # PyWarm's, a slower Python property; torch's own is the base class's
activate, initialize_, permuted, torchs_own = engine.activate, engine.initialize_, engine.permute, engine.unused_kwargs
_pywarm_up, _pywarm_forward = engine.prepare_model_, engine.forward

Model = TypeVar("Model", bound=nn.Module)


class WarmError(RuntimeError):
    """Any error of the layer system."""


class NotWarmError(WarmError):
    """A layer was asked for where no warmed-up WarmModule is being called."""


class SealedError(WarmError):
    """A built module was asked for a layer that its dry run did not make."""


class MismatchError(WarmError):
    """A built layer was reached with other settings, or another input size, than it was built with."""


class NameTakenError(WarmError):
    """A name was given to two layers of one module, or cannot name a layer."""


class _Here(threading.local):
    """This thread's place: the modules being called with the names they have used so far, the build and the tap under way."""

    build: _Build | None = None
    values: Mapping[str, torch.Tensor] = {}  # noqa: RUF012  a build starts from these
    tap: Callable[[Block, Any], None] | None = None

    def __init__(self) -> None:
        self.calls: list[tuple[WarmModule, dict[Any, int]]] = []  # the innermost last


_here = _Here()
labels: dict[str, tuple[str, ...]] = {}  # kind of layer: what its settings are called, for messages
_one_build_at_a_time = threading.RLock()
_numbers = itertools.count(1)  # none twice, whatever threads do


class Noted(nn.Module):
    """A module that notes when anything but tensors' values is changed in any such module: `changes` is another number then.

    It does so once somebody wants to know, by `take_note`: it makes setting an attribute, and so a build, slower.
    """

    changes = 0


def take_note() -> None:
    """From now on count what is done to `Noted` modules."""
    for key in vars(nn.Module):
        if key.startswith("register_") or key in ("__setattr__", "__delattr__", "add_module", "_apply"):
            if key not in vars(Noted):
                setattr(Noted, key, _noted(key, getattr(nn.Module, key)))


def _noted(key: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of `nn.Module` that notes its call, unless it sets an attribute to what it is."""
    sets = key == "__setattr__"

    @functools.wraps(method)
    def noted(self: Noted, *args: Any, **kw: Any) -> Any:
        if not sets or self.__dict__.get(args[0], _here) is not args[1]:
            Noted.changes = next(_numbers)
        return method(self, *args, **kw)

    return noted


class WarmModule(Noted):
    """An `nn.Module` whose layers are made by its own forward in one dry run, `warm.up`, and are fixed from then on.

    `forward` is written with `W.*` layers and `@block` functions. After `warm.up(model, [2, 3, 32, 32])`, inside or outside
    of `__init__`, it is a plain tree of modules.

    >>> import warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         x = W.conv(x, 8, 3, padding='same', activation='relu')
    ...         return W.linear(x.mean((2, 3)), 10)
    >>> net = warmnet.up(Net(), [1, 3, 32, 32])
    >>> [name for name, _ in net.named_parameters()]
    ['conv_1.weight', 'conv_1.bias', 'linear_1.weight', 'linear_1.bias']
    """

    _pywarm_forward_pre_hook = None  # PyWarm's own warm.up asks for these two
    _pywarm_auto_name_dict: dict[str, int] = {}  # noqa: RUF012
    _sealed = False
    _path = ""
    _channels: int | None = None
    _stride: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self._built: dict[str, Any] = {}

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        cls._call_impl = _entered(nn.Module._call_impl)  # type: ignore[method-assign]

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Add a child; during the dry run on the target device, in the mode of the dry run."""
        build = _here.build
        if build is not None and module is not None and not self._sealed:
            build.adopt(self, name, module)
        super().add_module(name, module)


def _entered(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, of a module, with its `self` as the module that this thread's layers belong to.

    It is the call and not the forward, which IPython's autoreload edits in place.
    """

    @functools.wraps(call)
    def entered(self: WarmModule, *args: Any, **kw: Any) -> Any:
        depth = len(_here.calls)  # a stack: a variable that is set and set back, torch 2.11 would compile anew at each call
        if not self._sealed and _here.build is None:
            _first_call(self, args)
        _here.calls.append((self, {}))
        try:
            return call(self, *args, **kw)
        except Exception as error:
            if depth or _here.build is not None or torch.compiler.is_compiling():
                raise
            raise located(error)  # noqa: B904  it is the same error
        finally:
            del _here.calls[depth:]

    own: Any = entered
    own.__code__ = own.__code__.replace()  # torch.compile keeps eight graphs for each code object
    return own


def _first_call(module: WarmModule, args: tuple[Any, ...]) -> None:
    """Build a module that PyWarm's own `warm.up` is running (it was imported before warmnet); refuse any other."""
    if engine.get_default_parent() is not module:
        raise NotWarmError(
            f"{type(module).__name__} has no layers yet. Call warm.up(model, [2, 3, 32, 32]), with the shape of a sample "
            f"input, before its first use: best as the last line of its __init__."
        )
    engine.set_default_parent(None)
    up(module, *args)


def up(model: Model, *data: Any, device: Any = None, seed: int | None = None) -> Model:
    """`model` with all its layers, made by one dry run of its forward on a sample input. This is also `warm.up`.

    The dry run is in eval mode without gradients and leaves no trace: statistics are fresh and the global random state is
    as before. Initial values depend on the seed and each layer's path alone, not on the sample, the device or other layers.
    A forward that raises leaves the model as it was.

    - `data`: each input of `forward`: a tensor or array, its shape as a list of int, or a list or dict of these.
    - `device`: where the layers go, `'meta'` included. Default: torch's default device.
    - `seed`: default: the seed of torch's generator, the one `torch.manual_seed` was last called with.
    """
    if not any(isinstance(m, WarmModule) for m in model.modules()):
        return _pywarm_up(model, *data, device=device or "cpu")
    build = _Build(model, device, torch.initial_seed() if seed is None else seed)
    device, was = build.device, (_here.calls, _here.build, _here.tap)
    devices = [] if device.type in ("cpu", "meta") else [device]
    fork = torch.random.fork_rng(devices, device_type=device.type if devices else "cuda")
    with _one_build_at_a_time, _uncollected(), fork, torch.inference_mode(False), torch.no_grad():
        try:
            sample = [_sample(d, device) for d in data]
            height = next((x.shape[2] for x in tree_leaves(sample) if isinstance(x, torch.Tensor) and x.ndim > 2), None)
            _here.calls, _here.build, _here.tap = [], build, functools.partial(_measure, height)
            y = build.start()(*sample)
            if isinstance(model, WarmModule):
                _measure(height, model, y)
            build.seal()
        except Exception as error:
            build.undo()
            raise located(error, build.met)  # noqa: B904  it is the same error
        except BaseException:
            build.undo()
            raise
        finally:
            _here.calls, _here.build, _here.tap = was
            build.end()
    return model


@contextmanager
def starting_from(values: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """The next network built within it takes these tensors, by path, as they are instead of initial values, if they fit."""
    was, _here.values = _here.values, values
    try:
        yield
    finally:
        _here.values = was


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection, which thousands of new modules, none of them garbage, would set off to no end."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Build:
    """One dry run: the target device, the seed, the modules to seal after it, and what to take back if it fails."""

    making = ""  # the path of the layer that is being made
    values: Mapping[str, torch.Tensor]  # what layers start from

    def __init__(self, root: nn.Module, device: Any, seed: int):
        modules = dict(root.named_modules())
        if device is None:  # a built model stays where it is
            sealed = all(m._sealed for m in modules.values() if isinstance(m, WarmModule))
            device = next((p.device for p in root.parameters() if sealed), torch.get_default_device())
        self.root, self.device, self.seed = root, torch.device(device), seed
        self.values, _here.values = _here.values, {}  # which are this network's, and of none that is built in it
        self.birthplace = torch.device("meta" if self.device.type == "meta" else "cpu")  # values do not depend on the device
        self.open: list[WarmModule] = []
        self.met: list[str] = []  # what blocks put out so far
        self.made: list[tuple[WarmModule, str]] = []
        self.modes = {module: module.training for module in modules.values()}
        homes = [tensors for module in self.modes for tensors in (module._parameters, module._buffers)]
        self.tensors = [(home, key, x, x.data) for home in homes for key, x in home.items() if x is not None]
        for path, module in modules.items():
            if isinstance(module, WarmModule):
                module._path = path
                self.open.append(module)
            elif engine.is_ready(module):
                raise NotWarmError(f"'{path}' is a PyWarm network. Let its class inherit from WarmModule to use it in another.")

    def start(self) -> nn.Module:
        """The model on the target device, in eval mode; its own train() may ask for layers that are not there yet."""
        for module in self.modes:
            module.training = False
        return self.root.to(self.device)

    def adopt(self, parent: WarmModule, name: str, module: nn.Module) -> None:
        self.made.append((parent, name))
        module.train(False)
        if self.device != self.birthplace:
            module.to(self.device)
        if isinstance(module, WarmModule):
            module._path = _join(parent._path, name)
            self.open.append(module)

    def undo(self) -> None:
        for parent, name in self.made:
            parent._modules.pop(name, None)
            parent._built.pop(name, None)
        self.made.clear()
        for home, key, x, data in self.tensors:
            x.data, home[key] = data, x

    def seal(self) -> None:
        for module in self.open:
            module._sealed = True

    def end(self) -> None:
        for module, mode in self.modes.items():
            module.training = mode
        for parent, name in self.made:
            parent._modules[name].train(parent.training)  # type: ignore[union-attr]


def _sample(data: Any, device: torch.device) -> Any:
    """`data` on `device`, with random tensors for shapes."""
    if isinstance(data, (np.ndarray, torch.Tensor)):
        return torch.as_tensor(data).to(device)
    if isinstance(data, (list, tuple)) and all(isinstance(n, int) for n in data):
        return torch.randn(*data, device=device)
    if isinstance(data, (list, tuple)):
        return [_sample(d, device) for d in data]
    if isinstance(data, dict):
        return {key: _sample(d, device) for key, d in data.items()}
    raise TypeError(f"A sample is a tensor, an array, a shape, or a list or dict of these, not {data!r}.")


def _measure(height: int | None, module: WarmModule, y: Any) -> None:
    """Note what `Endpoints` says of a module beforehand: its channels, and the stride that led there."""
    if isinstance(y, Unnormalized):
        y.refuse()
    if isinstance(y, torch.Tensor):
        _here.build.met.append(f"{module._path} {tuple(y.shape)}")  # type: ignore[union-attr]
        module._channels = y.shape[1] if y.ndim > 1 else None
        module._stride = height // y.shape[2] if height and y.ndim > 2 and height % y.shape[2] == 0 else None


def is_observed() -> bool:
    """Whether somebody follows this thread's calls of blocks: a build, or endpoints."""
    return _here.build is not None or _here.tap is not None


def layer(kind: str, asked: tuple[Any, ...], name: str | None, share: bool, make: Callable[..., nn.Module], *args: Any) -> Any:
    """The child of the module being called that this call stands for; in the dry run, a new one from `make(*args, *asked)`.

    It is named by its place among the calls of its kind (`conv_1`, `conv_2`, ...) unless `name` is given. `asked`, its
    settings, must be the same at every call. `share=True` lets a name be used more than once in a forward.
    """
    calls = _here.calls
    if calls and name is not None:
        module, used = calls[-1]
        child = module._modules.get(name)
        if child is not None and name not in used and module._built.get(name) == (kind, asked):
            used[name] = 1
            return child
    module, name = claim(kind, asked, name, share)
    if name not in module._built:
        module.add_module(name, _fresh(module, name, make, *args, *asked))
        module._built[name] = kind, asked
    return module._modules[name]


def claim(kind: str, asked: Any, name: str | None, share: bool) -> tuple[WarmModule, str]:
    """The module being called and the name of that child, or the error that says why there is none."""
    if not _here.calls:
        raise NotWarmError(
            f"{kind} was called outside of a WarmModule's forward, so there is nowhere to keep its layers. Call it in the "
            f"forward of a warmed-up WarmModule, and the module itself: model(x), not model.forward(x). "
            f"(torch.utils.checkpoint, too, takes the built module and not the function.)"
        )
    module, used = _here.calls[-1]
    if share and name is None:
        raise ValueError(f"share=True needs a name: {kind}(..., name='shared', share=True) in each of the calls.")
    if name is None:
        used[kind,] = count = used.get((kind,), 0) + 1
        name = f"{kind}_{count}"
    if name in used and not share:
        raise NameTakenError(
            f"The name '{_join(module._path, name)}' is used twice in one forward. Give this {kind} another name, or pass "
            f"share=True if the calls are meant to be one layer. (A function that is called twice as a whole can be a @block.)"
        )
    used[name] = 1
    if name not in module._built:
        _check_new(module, kind, asked, name)
    elif module._built[name] != (kind, asked):
        built, now = _differing(module._built[name], (kind, asked))
        raise MismatchError(
            f"'{_join(module._path, name)}' was built as {built} and is now asked for as {now}. A layer keeps the settings of "
            f"the dry run: build the network again, or give one of the two calls another name=."
        )
    elif module._modules.get(name) is None:
        raise SealedError(f"'{_join(module._path, name)}' was built and has been removed. Put nn.Identity() in its place.")
    return module, name


def _check_new(module: WarmModule, kind: str, asked: Any, name: str) -> None:
    path = _join(module._path, name)
    if (other := _in_between(module)) is not None:
        raise NotWarmError(
            f"{type(other).__name__}.forward was called by itself in {module._get_name()}, which would get its layers once "
            f"more. Call the module: model(x), not model.forward(x)."
        )
    if module._sealed or _here.build is None:
        raise SealedError(
            f"'{path}', {_call(kind, asked)}, was not made in the dry run, and a built module takes no new layers. It has "
            f"{', '.join(module._built) or 'none'}. The dry run, in eval mode, must pass every branch that has layers."
        )
    if not name.isidentifier() or hasattr(module, name):
        raise NameTakenError(f"'{path}' cannot name a {kind}: it must be an identifier that is not yet an attribute there.")


def _in_between(module: WarmModule) -> WarmModule | None:
    """Another module whose forward was called, without the module, since the call of this one."""
    frame = inspect.currentframe()
    while frame is not None:
        code = frame.f_code
        if code is module._call_impl.__code__:
            return None
        running = frame.f_locals.get(code.co_varnames[0]) if code.co_name == "forward" and code.co_argcount else None
        if isinstance(running, WarmModule) and running is not module:
            return running
        frame = frame.f_back
    return None


def _call(kind: str, asked: Any) -> str:
    """The call as a person would write it: `conv(size=8, kernel=3)`."""
    return f"{kind}({', '.join(f'{key}={value}' for key, value in _labelled(kind, asked).items())})"


def _labelled(kind: str, asked: Any) -> dict[str, Any]:
    return asked if isinstance(asked, dict) else dict(zip(labels.get(kind, ()), asked))


def _differing(*calls: tuple[str, Any]) -> list[str]:
    """Two calls as a person would write them: `conv(size=8, …)`, the settings that they share left out."""
    (kind, _), (other, _) = calls
    before, after = (_labelled(*call) for call in calls)
    keys = [key for key in {**before, **after} if key not in before or key not in after or before[key] != after[key]]
    if kind != other:
        return [_call(*call) for call in calls]
    if not keys:  # nobody has said what they are called
        return [f"{kind}{asked}" for _, asked in calls]
    texts = [[f"{key}={settings[key]}" for key in keys if key in settings] for settings in (before, after)]
    return [f"{kind}({', '.join(text + ['…'] * (len(keys) < len(before)))})" for text in texts]


def _fresh(module: WarmModule, name: str, make: Callable[..., nn.Module], *args: Any, **kw: Any) -> nn.Module:
    """`make(*args, **kw)`, its random numbers decided by the seed and its path."""
    build: _Build = _here.build  # type: ignore[assignment]
    build.making = _join(module._path, name)
    digest = hashlib.blake2b(f"{build.seed}/{build.making}".encode(), digest_size=8).digest()
    torch.default_generator.manual_seed(int.from_bytes(digest, "big", signed=True))
    with build.birthplace if torch.get_default_device() != build.birthplace else nullcontext():
        child = make(*args, **kw)
    for home in (child._parameters, child._buffers) if build.values else ():
        for key, x in home.items():
            if x is not None and is_given(key, x):
                value = build.values[f"{build.making}.{key}"].to(x.device, x.dtype)
                home[key] = nn.Parameter(value, x.requires_grad) if home is child._parameters else value  # type: ignore[assignment]
    return child


def is_given(key: str, x: torch.Tensor) -> bool:
    """Whether this tensor of the layer that is being made starts from a value that is given, and needs none of its own."""
    build: _Build = _here.build  # type: ignore[assignment]
    value = build.values.get(f"{build.making}.{key}") if build.values else None
    return value is not None and value.shape == x.shape


def explained(module: nn.Module, x: torch.Tensor, error: RuntimeError) -> None:
    """Raise a MismatchError instead of `error` where a child of the module being called was not built for `x`."""
    parent, _ = _here.calls[-1]
    path = _join(parent._path, next((name for name, child in parent._modules.items() if child is module), "?"))
    built = next((getattr(module, key) for key in ("in_channels", "num_features", "in_features") if hasattr(module, key)), None)
    if built is not None and x.ndim > 1 and built != x.shape[1]:
        pooled = ", or pool before it, such as by x.mean((2, 3))" if isinstance(module, nn.Linear) else ""
        raise MismatchError(
            f"'{path}' was built for {built} input channels and is given {tuple(x.shape)}. Build the network again with an "
            f"input of this size{pooled}."
        ) from error
    if built is not None and module.weight is not None and module.weight.dtype != x.dtype:
        raise MismatchError(
            f"'{path}' has weights in {module.weight.dtype} and is given {x.dtype}. Convert one: x.float(), model.double()."
        ) from error


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def pywarm(
    x: Any, base_class: Any, base_name: Any = None, name: Any = None, base_arg: Any = None, base_kw: Any = None,
    parent: Any = None, infer_kw: Any = None, initialization: Any = None, share: bool = False, **kw: Any,
) -> Any:  # fmt: skip
    """PyWarm's `engine.forward`, its layers kept by the WarmModule being called and every keyword honoured."""
    if not _here.calls and engine.get_default_parent() is not None:  # a network that does not inherit from WarmModule
        return _pywarm_forward(
            x, base_class, base_name, name, base_arg, base_kw, parent, infer_kw, initialization=initialization, **kw
        )
    base_kw = {**engine.unused_kwargs(kw), **(base_kw or {})}
    kw = {key: value for key, value in kw.items() if key not in base_kw}
    kind = base_name or util.camel_to_snake(base_class.__name__)
    module, name = claim(kind, base_kw, name, share)
    if parent not in (None, module):
        raise ValueError("parent= can only be the WarmModule being called. For a parent below it, write a @block.")

    def make(*args: Any, **kw: Any) -> nn.Module:
        child = base_class(*args, **kw)
        for key, spec in (initialization or {}).items():
            initialize_(getattr(child, key).detach(), spec)
        return child

    fresh, new = functools.partial(_fresh, module, name, make), name not in module._built
    try:
        y = _pywarm_forward(x, fresh, name=name, base_arg=base_arg, base_kw=base_kw, parent=module, infer_kw=infer_kw, **kw)
    except RuntimeError as error:
        if new or isinstance(error, WarmError):
            raise
        path, given = _join(module._path, name), [tuple(leaf.shape) for leaf in tree_leaves(x)]
        raise MismatchError(f"'{path}' was built as {_call(kind, base_kw)} and cannot take {given}: {error}") from error
    module._built[name] = kind, base_kw
    return y


warm.up = engine.prepare_model_ = up
engine.forward = pywarm


class Block(WarmModule):
    """A forward function with the layers of one of its calls. Called with its inputs alone, it repeats its built settings."""

    def __init__(self, function: Callable[..., Any], names: list[str], args: tuple[Any, ...], kw: dict[str, Any]):
        super().__init__()
        self.function, self.inputs = function, len(_inputs(args))
        self.settings = args[self.inputs :], kw
        if _holds_tensors(self.settings):
            self.settings = (), {}  # no module should keep a batch's tensor
        self.names = names[self.inputs :]

    def forward(self, *args: Any, **kw: Any) -> Any:
        if not kw and len(args) == self.inputs:
            more, kw = self.settings
            args += more
        y = self.function.__wrapped__(*args, **kw)  # type: ignore[attr-defined]
        if _here.tap is not None:
            _here.tap(self, y)
        return y

    def _get_name(self) -> str:
        return self.function.__name__

    def extra_repr(self) -> str:
        args, kw = self.settings
        named = {**dict(zip(self.names, args)), **kw}
        return ", ".join(f"{key}={getattr(value, '__name__', value)}" for key, value in named.items())


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
    parameters = inspect.signature(function).parameters
    for key, parameter in parameters.items():
        if key in ("name", "share"):
            raise TypeError(
                f"@block {function.__name__}: '{parameter}' cannot be a parameter; name and share are the block's own."
            )
    kind, names = function.__name__, list(parameters)
    defaults = {key: p.default for key, p in parameters.items() if p.default is not p.empty}
    path = f"{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def call(*args: Any, name: str | None = None, share: bool = False, **kw: Any) -> Any:
        known = call if "<locals>" in path else path  # which is the same where it was defined anew
        child = layer(kind, (known,), name, share, new, names, args, kw)
        if not isinstance(child, Block):
            return child(*_inputs(args))
        if not kw and len(args) == child.inputs:  # a call with the defaults, not with the built settings
            kw = {key: defaults[key] for key in names[len(args) :] if key in defaults}
        return child(*args, **kw)

    def new(names: list[str], args: tuple[Any, ...], kw: dict[str, Any], known: Any) -> Block:
        public = getattr(sys.modules.get(function.__module__), kind, call)  # which autoreload edits in place
        return Block(public if getattr(public, "__wrapped__", None) is function else call, names, args, kw)

    return call


def _inputs(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The leading arguments that are tensors, or hold some; the first in any case."""
    return args[:1] + tuple(itertools.takewhile(_holds_tensors, args[1:]))


def _holds_tensors(arg: Any) -> bool:
    return any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(arg))


class _Done(BaseException):
    """Every endpoint asked for has been seen."""


class Endpoints(nn.Module):
    """The outputs of named blocks of a built `model` and its `'logits'`, as a dict, in one pass.

    Nothing is computed past the last one asked for. It shares the model's layers, and compiles and exports as the model does
    (in an exported program what comes after the last is dead code, which `run_decompositions` drops). `channels` and
    `reduction` (input size over output size, None where it is no whole number) are those of the dry run. Of a block that is
    shared, the first output counts.

    >>> import torch, warmnet
    >>> features = warmnet.Endpoints(warmnet.WarmEfficientNet('b0'), ['stage_2', 'stage_3.mb_block_1', 'stage_5'])
    >>> features.channels, features.reduction
    ({'stage_2': 24, 'stage_3.mb_block_1': 40, 'stage_5': 112}, {'stage_2': 4, 'stage_3.mb_block_1': 8, 'stage_5': 16})
    >>> {name: tuple(y.shape) for name, y in features(torch.rand(1, 3, 64, 96)).items()}
    {'stage_2': (1, 24, 16, 24), 'stage_3.mb_block_1': (1, 40, 8, 12), 'stage_5': (1, 112, 4, 6)}
    """

    def __init__(self, model: WarmModule, names: Iterable[str]):
        super().__init__()
        self.model, self.names = model, tuple(dict.fromkeys([names] if isinstance(names, str) else names))
        blocks = {name: module for name, module in model.named_modules() if isinstance(module, Block)}
        blocks["logits"] = model  # type: ignore[assignment]
        for name in self.names:
            if name not in blocks:
                raise ValueError(f"Unknown endpoint '{name}'. Choose among {', '.join(blocks)}.")
        self.channels = {name: blocks[name]._channels for name in self.names}
        self.reduction = {name: blocks[name]._stride for name in self.names}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        ends = {name: self.model.get_submodule(name) for name in self.names if name != "logits"}
        seen: dict[str, torch.Tensor] = {}
        outer = _here.tap
        can_stop = not (torch.compiler.is_exporting() or torch.jit.is_tracing())  # these drop what is unused by themselves

        def tap(child: Block, y: torch.Tensor) -> None:
            if outer is not None:
                outer(child, y)
            for name, end in ends.items():
                if child is end and name not in seen:
                    seen[name] = y
            if can_stop and len(seen) == len(self.names):
                raise _Done(seen)

        _here.tap = tap
        try:
            seen["logits"] = self.model(x)
        except _Done as done:
            if done.args[0] is not seen:
                raise
        finally:
            _here.tap = outer
        if missing := [name for name in self.names if name not in seen]:
            raise ValueError(f"Endpoint '{missing[0]}' is not a part of this forward.")
        return {name: seen[name] for name in self.names}
