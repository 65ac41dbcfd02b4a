"""Weights on disk: one safetensors file with all that it takes to use them, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors

from . import efficientnet
from .efficientnet import Stage, Variant, WarmEfficientNet
from .errors import InputError
from .preprocessing import Preprocessing

FILE = "weights.safetensors"  # its name in a run folder
VERSION = 1


class WeightsError(InputError):
    """A file or folder that does not hold weights of warmnet, or not whole."""


class Loaded(NamedTuple):
    """What a weights file holds; `facts` are the further keywords of `save`."""

    model: WarmEfficientNet
    classes: tuple[str, ...]
    preprocessing: Preprocessing | None
    facts: dict[str, Any]


def save(
    model: WarmEfficientNet,
    path: str | os.PathLike[str],
    classes: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    **facts: Any,
) -> None:
    """Write a model as safetensors, its variant, options, classes and preprocessing in the file's metadata.

    Options that are functions are kept by name if they are torch's or warmnet's own; `load` asks for any other again.

    - `classes`: the names of the outputs, in their order.
    - `facts`: anything else to keep that JSON can hold, such as an accuracy.
    """
    if not isinstance(model, WarmEfficientNet):
        raise TypeError(
            f"save takes a WarmEfficientNet, not a {type(model).__name__}. For others: safetensors.torch.save_model."
        )
    if classes and (len(classes) != model.num_classes or len(set(classes)) != len(classes)):
        raise ValueError(f"classes must be {model.num_classes} different names, one for each output, not {list(classes)}.")
    options = {key: _to_json(value) for key, value in model.options.items()}
    about = {
        "version": VERSION,
        "variant": model.variant._asdict(),
        "num_classes": model.num_classes,
        "in_channels": model.in_channels,
        "options": {key: value for key, value in options.items() if value is not _AskAgain},
        "ask_again": {key: repr(model.options[key]) for key, value in options.items() if value is _AskAgain},
        "classes": list(classes),
        "preprocessing": preprocessing and preprocessing.to_dict(),
        "facts": facts,
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    with replacing(Path(path)) as temporary:  # one metadata key, as safetensors writes several in random order
        temporary.write_bytes(safetensors.save(tensors, {"warmnet": json.dumps(about)}))


def load(path: str | os.PathLike[str], **options: Any) -> Loaded:
    """The model that `save` wrote, in eval mode on the CPU, with its classes and preprocessing.

    - `path`: the file, or the run folder that holds it.
    - `options`: of WarmEfficientNet, instead of the saved ones.
    """
    file = _file(Path(path))
    about, tensors = _read(file)
    for key, value in about["ask_again"].items():
        if key not in options:
            raise WeightsError(f"{file} was saved with {key}={value}, which no file can hold. Pass it: load(path, {key}=...).")
    options = {**about["options"], **options}
    model = WarmEfficientNet(about["variant"], about["num_classes"], about["in_channels"], device="meta", **options)
    _check_same(file, model.state_dict(), tensors)
    model.load_state_dict(tensors, assign=True)
    return Loaded(model.eval(), about["classes"], about["preprocessing"], about["facts"])


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block has ended; whatever goes wrong before, `path` stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # writing, unlike opening, does not name the file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _file(path: Path) -> Path:
    if not path.exists():
        raise WeightsError(f"{path} does not exist.")
    if path.is_file():
        return path
    if not (path / FILE).is_file():
        raise WeightsError(f"{path} is not a run folder: it has no {FILE}. A run that was stopped in its first epoch has none.")
    return path / FILE


def _read(file: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What a file says of its model, and its tensors."""
    try:
        with safe_open(file, "pt") as content:
            metadata = content.metadata() or {}
            tensors = {key: content.get_tensor(key).clone() for key in content.keys()}  # noqa: SIM118  clones are aligned
    except SafetensorError as error:
        raise WeightsError(f"{file} is not a safetensors file, or is not whole: {error}.") from error
    if "warmnet" not in metadata:
        raise WeightsError(f"{file} was not written by warmnet: it does not say which variant its weights are of.")
    try:
        about = json.loads(metadata["warmnet"])
        if about["version"] > VERSION:
            raise WeightsError(f"{file} was written by a newer warmnet. Update it: pip install -U warmnet")
        about["variant"] = Variant(**about["variant"])
        about["classes"] = tuple(about["classes"])
        about["options"] = {key: _from_json(value) for key, value in about["options"].items()}
        if "stages" in about["options"]:
            about["options"]["stages"] = tuple(Stage(*row) for row in about["options"]["stages"])
        about["preprocessing"] = about["preprocessing"] and Preprocessing.from_dict(about["preprocessing"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{file} holds a description of its model that is damaged: {error!r}.") from error
    return about, tensors


def _check_same(file: Path, built: dict[str, torch.Tensor], saved: dict[str, torch.Tensor]) -> None:
    """Raise what differs between the names and shapes of a model as built (-) and those in its file (+)."""
    want, have = ({(key, tuple(value.shape)) for key, value in tensors.items()} for tensors in (built, saved))
    if want != have:
        lines = [f"- {key} {shape}" for key, shape in sorted(want - have)] + [
            f"+ {k} {shape}" for k, shape in sorted(have - want)
        ]
        more = [f"and {len(lines) - 10} more"] * (len(lines) > 10)
        raise WeightsError("\n  ".join([f"{file} does not fit the model it describes (-):", *lines[:10], *more]))


class _AskAgain:
    """In place of an option that no file can hold."""


def _to_json(value: Any) -> Any:
    """An option as JSON holds it, a function as 'module:name'."""
    if isinstance(value, (list, tuple)):
        values = [_to_json(v) for v in value]
        return _AskAgain if _AskAgain in values else values
    if isinstance(value, dict):
        named = {key: _to_json(v) for key, v in value.items()}
        return _AskAgain if _AskAgain in named.values() else named
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    names = (f"{module}:{getattr(value, '__name__', '')}" for module in _MODULES)
    return next((name for name in names if _function(name) is value), _AskAgain)


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_from_json, value))
    if isinstance(value, dict):
        return {key: _from_json(v) for key, v in value.items()}
    if isinstance(value, str) and ":" in value:
        function = _function(value)
        if function is None:
            raise ValueError(f"unknown function {value!r}")
        return function
    return value


_MODULES = {"torch.nn.functional": F, "torch": torch, efficientnet.__name__: efficientnet}


def _function(name: str) -> Callable[..., Any] | None:
    """The function that 'module:name' stands for, if it is one that a file from anywhere may name."""
    module, _, function = name.partition(":")
    known = getattr(F if module == "torch" else _MODULES.get(module), function, None)  # of torch, what F has too: torch.tanh
    if function.startswith("_") or not callable(known) or isinstance(known, type):
        return None
    return getattr(_MODULES[module], function, None)
