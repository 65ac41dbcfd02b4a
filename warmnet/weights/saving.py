"""warmnet's own file: safetensors with all that it takes to use the weights, written whole or not at all."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import torch as safetensors
from torch import Tensor

from ..data.files import replacing
from ..data.preprocessing import Preprocessing
from ..errors import InputError
from ..networks import efficientnet
from ..networks.efficientnet import Stage, Variant, WarmEfficientNet

FILE = "weights.safetensors"  # its name in a run folder
VERSION = 2
DESCRIPTION = "variant", "num_classes", "in_channels", "options", "classes", "preprocessing", "facts"


class WeightsError(InputError):
    """Weights that cannot be read, or do not fit; the model is as it was."""


def save(model: WarmEfficientNet, path: str | os.PathLike[str], /, **facts: Any) -> None:
    """Write a model as safetensors, its variant, options, classes and preprocessing in the file's metadata.

    At any moment `path` holds the old file or the new one, whole. Options that are functions are kept by name if they are
    torch's or warmnet's own; loading asks for any other again.

    - `facts`: anything else to keep that JSON can hold, such as an accuracy, beside what `model.metadata` has.

    >>> import tempfile, warmnet
    >>> path = tempfile.mkdtemp() + '/weights.safetensors'
    >>> warmnet.save(warmnet.WarmEfficientNet('b0', num_classes=2), path, accuracy=0.5)
    >>> warmnet.WarmEfficientNet.from_pretrained(path).metadata
    {'accuracy': 0.5}
    """
    if not isinstance(model, WarmEfficientNet):
        raise TypeError(
            f"save takes a WarmEfficientNet, not a {type(model).__name__}. For others: safetensors.torch.save_model."
        )
    classes = tuple(model.classes)
    if classes and (len(classes) != model.num_classes or len(set(classes)) != len(classes)):
        raise ValueError(f"classes must be {model.num_classes} different names, one for each output, not {list(classes)}.")
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise WeightsError("The model is on 'meta' and has no values to save. Build it on a device first.")
    if model._is_adopted:
        raise WeightsError(
            "The model was pruned, and a file of weights says of a network only what it was built with. Save all of it: "
            "torch.save(model, 'model.pt'), and torch.load('model.pt', weights_only=False)."
        )
    options = {key: _to_json(value) for key, value in model.options.items()}
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    about = {
        "version": VERSION,
        **description(model),
        "variant": model.variant._asdict(),
        "options": {key: value for key, value in options.items() if value is not _AskAgain},
        "ask_again": {key: repr(model.options[key]) for key, value in options.items() if value is _AskAgain},
        "preprocessing": model.preprocessing and model.preprocessing.to_dict(),
        "facts": {**model.metadata, **facts},
        "crc32": checksum(tensors),
    }
    with replacing(Path(path)) as temporary:  # one metadata key, as safetensors writes several in random order
        temporary.write_bytes(safetensors.save(tensors, {"warmnet": json.dumps(about)}))


def description(model: WarmEfficientNet) -> dict[str, Any]:
    """All that it takes to build and use a model, but for its weights."""
    return {key: model.metadata if key == "facts" else getattr(model, key) for key in DESCRIPTION}


def checksum(tensors: Mapping[str, Tensor]) -> int:
    """The CRC-32 of all names and values: it tells damage. Against malice no sum in the same file would help."""
    crc = 0
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(name.encode(), crc))
    return crc


def described(about: str, where: str) -> dict[str, Any]:
    """What the metadata of a file says of its model."""
    try:
        said = json.loads(about)
        if said["version"] > VERSION:
            raise WeightsError(f"{where} was written by a newer warmnet. Update it: pip install -U warmnet")
        said["variant"] = Variant(**said["variant"])
        said["classes"] = tuple(said["classes"])
        said["options"] = {key: _from_json(value) for key, value in said["options"].items()}
        if "stages" in said["options"]:
            said["options"]["stages"] = tuple(Stage(*row) for row in said["options"]["stages"])
        said["preprocessing"] = said["preprocessing"] and Preprocessing.from_dict(said["preprocessing"])
        return {key: said[key] for key in (*DESCRIPTION, "ask_again")} | {"crc32": said.get("crc32")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{where} holds a description of its model that is damaged: {error!r}.") from error


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
