"""Errors of the layer system: how a layer's call differs from the one that it was built by."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, fx, nn

from ..errors import MismatchError, NotWarmError, SealedError, WarmError
from .calls import thread
from .frames import first_line_of

setting_names: dict[str, tuple[str, ...]] = {}  # kind of layer: what its settings are called
SIZES = {"size", "groups", "shape", "channels", "channels_y"}  # settings that a pruned network may change, see `adopt`


class Arguments(NamedTuple):
    """The settings of a layer of any class, and the class that they are given to."""

    args: tuple[Any, ...]
    kw: dict[str, Any]
    cls: type

    def named(self) -> dict[Any, Any]:
        """The settings by their names; by its place, a number, one that was given without a name."""
        return {**dict(enumerate(self.args)), **self.kw}


LayerCall = tuple[str, Any]  # a kind of layer, and its settings: a tuple, or a dict by name


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def path_of(module: nn.Module) -> str:
    """The path of a child of the module being called."""
    parent = thread.calls[-1].module
    return join(parent._path, next((name for name, child in parent._modules.items() if child is module), "?"))


def named(kind: str, settings: Any) -> dict[Any, Any]:
    """Settings by their names, or if they have none by their places."""
    if isinstance(settings, Arguments):
        return settings.named()
    return settings if isinstance(settings, dict) else dict(zip(setting_names.get(kind, ()), settings))


def written(kind: str, settings: Any) -> str:
    """The call as a person would write it: `conv(size=8, kernel=3)`."""
    return f"{kind}({', '.join(setting(key, value) for key, value in named(kind, settings).items())})"


def setting(key: str | int, value: Any) -> str:
    """A setting as a person would write it: by its name, or by its place, which is a number."""
    return f"{value}" if isinstance(key, int) else f"{key}={value}"


def mismatch(path: str, built: LayerCall, new: LayerCall) -> MismatchError:
    """The error that says how a layer's call differs from the one that it was built by."""
    before, after = (named(*call).get("ndim", 0) for call in (built, new))
    if before != after:
        cure = "If it lacks the batch axis, give it one: x[None]. If not, build the network again with a sample like it."
        if after > before:
            sample = "[1, C, H, W]" if after == 4 else "[1, C, ...]"
            cure = f"Had the sample its batch axis? Build the network again with a sample like {sample}."
        return MismatchError(
            f"'{path}' was built for tensors of {before} dimensions, as the sample had them, and is given one of {after}. "
            f"{cure}"
        )
    was, now = _differences(built, new)
    advice = "build the network again, or give one of the two calls another name=."
    if differ_in_size(built, new):
        advice += " If layers were resized on purpose, as by pruning, call warmnet.adopt(model)."
    return MismatchError(
        f"'{path}' was built as {was} and is now asked for as {now}. A layer keeps the settings of the dry run: {advice}"
    )


def nothing_returned(name: str, function: Any) -> WarmError:
    """The error that says that a forward function returned None, and where it begins."""
    return WarmError(
        f"{name} returned None, and must return what it computes. Does it end without `return`?\n"
        f"  begins at {first_line_of(function)}"
    )


def resized(module: nn.Module, before: int, after: Any) -> MismatchError:
    """The error that says that a child of the module being called outputs other channels than it was built for."""
    return MismatchError(
        f"'{path_of(module)}' was built with {before} output channels and now has {after}, and the forward may decide by the "
        f"number that it asks for. If it was resized on purpose, as by pruning, call warmnet.adopt(model)."
    )


def reshaped(path: str, shape: tuple[int, ...], found: Tensor) -> MismatchError:
    """The error that says that a parameter does not have the shape that it is asked for with."""
    return MismatchError(
        f"'{path}' is asked for with the shape {shape} and now has {tuple(found.shape)}. Give it a parameter of the shape "
        f"{shape}, or change the forward and build the network again."
    )


def other_path(difference: str) -> SealedError:
    """The error that says how an adopted forward differs from the one that was built."""
    return SealedError(
        f"{difference} Sizes have changed since, as by pruning: does a condition, such as that of a shortcut, compare them "
        f"with settings, which have not? Compare those of tensors: y.shape == x.shape."
    )


def differ_in_size(built: LayerCall, new: LayerCall) -> bool:
    """Whether two calls are the same but for numbers of channels."""
    before, after = ({"kind": call[0], **named(*call)} for call in (built, new))
    return all(key in SIZES or before.get(key) == after.get(key) for key in before.keys() | after.keys())


def _differences(*calls: LayerCall) -> list[str]:
    """Two calls as a person would write them: `conv(size=8, …)`, the settings that they share left out."""
    (kind, _), (other, _) = calls
    before, after = (named(*call) for call in calls)
    keys = [key for key in {**before, **after} if key not in before or key not in after or before[key] != after[key]]
    if kind != other:
        return [written(*call) for call in calls]
    if not keys:  # nobody has said what they are called
        return [f"{kind}{settings}" for _, settings in calls]
    more = ["…"] if len(keys) < len(before) else []
    texts = ([setting(key, settings[key]) for key in keys if key in settings] for settings in (before, after))
    return [f"{kind}({', '.join(text + more)})" for text in texts]


def refuse_fx(error: BaseException | None = None) -> None:
    """Raise what to do instead, where torch.fx follows a forward by its symbols, which have no sizes."""
    if fx._symbolic_trace._is_fx_tracing_flag or isinstance(error, fx.proxy.TraceError):
        raise NotWarmError(
            "torch.fx's symbols have no sizes, and this forward asks for them. For the outputs of blocks take "
            "warmnet.Endpoints(model, ['stage_3', ...]); for a graph, torch.export.export(model, (x,))."
        ) from error
