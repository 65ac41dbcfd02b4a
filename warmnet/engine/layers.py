"""Whose layers a call gets: those of the module that this thread is calling, sealed once they are built.

PyWarm keeps one process-wide "current parent" and gives any unseen name a new random layer at any time. Here the modules
being called are a stack, one for each thread; each finds its children by name, and one dry run makes them all.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.module import (
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_pre_hooks,
)

from ..errors import MismatchError, NameTakenError, NotWarmError, SealedError
from .location import called

if TYPE_CHECKING:
    from .build import Build


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
            thread.build.adopt(self, name, module)
        super().add_module(name, module)


class _Thread(threading.local):
    """What this thread is at: the modules being called, the innermost last.

    Each has with it the names that it has used so far, the function if it is a block that its function calls, and whether what
    is in it may be computed without `nn.Module.__call__`.
    """

    build: Build | None = None
    tap: Callable[[nn.Module, Any], None] | None = None  # follows what blocks put out
    values: Mapping[str, torch.Tensor] = {}  # noqa: RUF012  the next build starts from these

    def __init__(self) -> None:
        self.calls: list[tuple[Layered, dict[Any, int], Callable[..., Any] | None, bool]] = []


thread = _Thread()
_GLOBAL_HOOKS = _global_forward_hooks, _global_forward_pre_hooks, _global_backward_hooks, _global_backward_pre_hooks
labels: dict[str, tuple[str, ...]] = {}  # kind of layer: what its settings are called, for messages
SIZES = {"size", "groups", "shape"}  # settings that a pruned network may change, see `adopt`


def layer(kind: str, asked: tuple[Any, ...], name: str | None, share: bool, make: Callable[..., nn.Module], *args: Any) -> Any:
    """The child of the module being called that this call stands for; in the dry run, a new one from `make(*args, *asked)`.

    It is named by its place among the calls of its kind (`conv_1`, `conv_2`, ...) unless `name` is given. `asked`, its
    settings, must be the same at every call. `share=True` lets a name be used more than once in a forward.
    """
    if thread.calls and not share:  # a built layer, the first time in this call; all else is claimed
        parent, used, *_ = thread.calls[-1]
        key = name
        if key is None:
            count = used.get((kind,), 0) + 1
            key = f"{kind}_{count}"
        child = parent._modules.get(key)
        if child is not None and key not in used and parent._built.get(key) == (kind, asked):
            used[key] = 1
            if name is None:
                used[kind,] = count
            return child
    parent, name = claim(kind, asked, name, share)
    if name not in parent._built:
        build: Build = thread.build  # type: ignore[assignment]
        build.take(parent, name, make, *args, *asked)
        parent._built[name] = kind, asked
    return parent._modules[name]


def nobody_follows() -> bool:
    """Whether modules may be computed without `nn.Module.__call__`: nothing of torch's that follows calls, or is patched."""
    if torch._C._get_tracing_state() is not None or torch.compiler.is_compiling():
        return False
    return _patchable() == _ORIGINALS


def _patchable() -> tuple[Any, ...]:
    """What of torch's others put functions of their own in the place of."""
    return nn.Module.__call__, nn.Module._call_impl, F.conv1d, F.conv2d, F.conv3d, F.batch_norm


def are_bare(*modules: nn.Module) -> bool:
    """Whether a call of each is its class's forward and nothing else: it has no hooks, and nothing is patched on it."""
    for module in modules:
        own = module.__dict__
        if own["_forward_hooks"] or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"]:
            return False
        if "forward" in own or "_call_impl" in own or "_conv_forward" in own or "_check_input_dim" in own:
            return False
        if module._compiled_call_impl is not None:
            return False
    return not any(_GLOBAL_HOOKS)


_ORIGINALS = _patchable()


def claim(kind: str, asked: Any, name: str | None, share: bool) -> tuple[Layered, str]:
    """The module being called and the name of that child, or the error that says why there is none."""
    parent, used = current(kind)
    if share and name is None:
        raise ValueError(f"share=True needs a name: {kind}(..., name='shared', share=True) in each of the calls.")
    if name is None:
        used[kind,] = count = used.get((kind,), 0) + 1
        name = f"{kind}_{count}"
    path = join(parent._path, name)
    if name in used and not share:
        raise NameTakenError(
            f"The name '{path}' is used twice in one forward. Give this {kind} another name, or pass share=True if the calls "
            f"are meant to be one layer. (A function that is called twice as a whole can be a @block.)"
        )
    used[name] = 1
    if name not in parent._built:
        _check_new(parent, kind, asked, name)
    elif parent._modules.get(name) is None:
        raise SealedError(f"'{path}' was built and has been removed. Put nn.Identity() in its place.")
    elif parent._built[name] != (kind, asked):
        raise _mismatch(path, parent._built[name], (kind, asked))
    return parent, name


def current(kind: str) -> tuple[Layered, dict[Any, int]]:
    """The module being called and the names that it has used so far in this call."""
    if not thread.calls:
        refuse_fx()
        raise NotWarmError(
            f"{kind} was called outside of a WarmModule's forward, so there is nowhere to keep its layers. Call it in the "
            f"forward of a warmed-up WarmModule, and the module itself: model(x), not model.forward(x). "
            f"(torch.utils.checkpoint, too, takes the built module and not the function.)"
        )
    parent, used, *_ = thread.calls[-1]
    return parent, used


def refuse_fx(error: BaseException | None = None) -> None:
    """Raise what to do instead, where torch.fx follows a forward by its symbols, which have no sizes."""
    if fx._symbolic_trace._is_fx_tracing_flag or isinstance(error, fx.proxy.TraceError):
        raise NotWarmError(
            "torch.fx's symbols have no sizes, and this forward asks for them. For the outputs of blocks take "
            "warmnet.Endpoints(model, ['stage_3', ...]); for a graph, torch.export.export(model, (x,))."
        ) from error


def _mismatch(path: str, built: tuple[str, Any], asked: tuple[str, Any]) -> MismatchError:
    before, after = (labelled(*call).get("ndim", 0) for call in (built, asked))
    if before != after:
        sample = f"a sample like [1, C{', H, W' if after == 4 else ', ...'}]" if after > before else "the right sample"
        return MismatchError(
            f"'{path}' was built for tensors of {before} dimensions, as the sample had them, and is given one of {after}. Had "
            f"the sample its batch axis? Build the network again with {sample}."
        )
    was, now = _differing(built, asked)
    adopt = (
        " If layers were resized on purpose, as by pruning, call warmnet.adopt(model)." if _differ_in_size(built, asked) else ""
    )
    return MismatchError(
        f"'{path}' was built as {was} and is now asked for as {now}. A layer keeps the settings of the dry run: build the "
        f"network again, or give one of the two calls another name=.{adopt}"
    )


def resized(module: nn.Module, before: int, after: Any) -> MismatchError:
    """The error that says that a child of the module being called puts out other channels than it was built for."""
    return MismatchError(
        f"'{_path_of(module)}' was built with {before} output channels and now has {after}, and the forward may decide by the "
        f"number that it asks for. If it was resized on purpose, as by pruning, call warmnet.adopt(model)."
    )


def _path_of(module: nn.Module) -> str:
    parent, *_ = thread.calls[-1]
    return join(parent._path, next((name for name, child in parent._modules.items() if child is module), "?"))


def _differ_in_size(built: tuple[str, Any], asked: tuple[str, Any]) -> bool:
    """Whether two calls are the same but for numbers of channels."""
    before, after = ({"kind": call[0], **labelled(*call)} for call in (built, asked))
    return all(key in SIZES or before.get(key) == after.get(key) for key in before.keys() | after.keys())


def _check_new(parent: Layered, kind: str, asked: Any, name: str) -> None:
    path = join(parent._path, name)
    if thread.build is not None and (built := thread.build.adopted.get(parent, {}).get(name)):
        if not _differ_in_size(built, (kind, asked)):
            raise _mismatch(path, built, (kind, asked))
        return
    if (other := _in_between(parent)) is not None:
        raise NotWarmError(
            f"{type(other).__name__}.forward was called by itself in {parent._get_name()}, which would get its layers once "
            f"more. Call the module: model(x), not model.forward(x)."
        )
    if parent._sealed or thread.build is None:
        raise SealedError(
            f"'{path}', {written(kind, asked)}, was not made in the dry run, and a built module takes no new layers. It has "
            f"{', '.join(parent._built) or 'none'}. The dry run, in eval mode, must pass every branch that has layers."
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


def written(kind: str, asked: Any) -> str:
    """The call as a person would write it: `conv(size=8, kernel=3)`."""
    return f"{kind}({', '.join(f'{key}={value}' for key, value in labelled(kind, asked).items())})"


def labelled(kind: str, asked: Any) -> dict[str, Any]:
    """Settings by their names."""
    return asked if isinstance(asked, dict) else dict(zip(labels.get(kind, ()), asked))


def _differing(*calls: tuple[str, Any]) -> list[str]:
    """Two calls as a person would write them: `conv(size=8, …)`, the settings that they share left out."""
    (kind, _), (other, _) = calls
    before, after = (labelled(*call) for call in calls)
    keys = [key for key in {**before, **after} if key not in before or key not in after or before[key] != after[key]]
    if kind != other:
        return [written(*call) for call in calls]
    if not keys:  # nobody has said what they are called
        return [f"{kind}{asked}" for _, asked in calls]
    texts = [[f"{key}={settings[key]}" for key in keys if key in settings] for settings in (before, after)]
    return [f"{kind}({', '.join(text + ['…'] * (len(keys) < len(before)))})" for text in texts]


def explained(module: nn.Module, x: torch.Tensor, error: RuntimeError) -> None:
    """Raise a MismatchError instead of `error` where a child of the module being called was not built for `x`."""
    path = _path_of(module)
    built = next((getattr(module, key) for key in ("in_channels", "num_features", "in_features") if hasattr(module, key)), None)
    if built is not None and x.ndim > 1 and built != x.shape[1]:
        pooled = ", or pool before it, such as by x.mean((2, 3))" if isinstance(module, nn.Linear) else ""
        raise MismatchError(
            f"'{path}' was built for {built} input channels and is given {tuple(x.shape)}. Build the network again with an "
            f"input of this size{pooled}."
        ) from error
    weight = getattr(module, "weight", None)
    if built is not None and isinstance(weight, torch.Tensor) and weight.dtype != x.dtype:
        raise MismatchError(
            f"'{path}' has weights in {weight.dtype} and is given {x.dtype}. Convert one: x.float(), model.double()."
        ) from error


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
