"""Tensors from anywhere: a model, a state dict, a file of any kind, a run folder, the Hugging Face Hub."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import MissingExtra
from ..networks.efficientnet import WarmEfficientNet
from . import h5, hub
from .saving import FILE, WeightsError, checksum, described, description

Source = str | os.PathLike[str] | Mapping[str, Any] | nn.Module
SUFFIXES = ".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".h5", ".hdf5", ".keras"
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
WRAPPERS = "state_dict_ema", "model_ema", "ema", "state_dict", "model_state_dict", "model", "module"  # the average goes first


class Checkpoint(NamedTuple):
    """Tensors under the names that they have where they are from.

    - `where`: for messages. `called`: the name that its maker gave it, which may say how it was trained.
    - `config`: what stands beside the tensors. `about`: what a file of warmnet's says of its model.
    - `notes`: what was taken off to get at the tensors.
    - `shared`: whether somebody else has these tensors, too.
    """

    tensors: dict[str, Tensor]
    where: str
    called: str = ""
    config: dict[str, Any] = {}  # noqa: RUF012
    about: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    shared: bool = False


def read(source: Source, revision: str | None = None) -> Checkpoint:
    """The checkpoint at a path or of a Hub repository, or the tensors of a model or a state dict."""
    if isinstance(source, nn.Module):
        config = getattr(source, "pretrained_cfg", None) or {}  # of timm's models
        about = description(source) if isinstance(source, WarmEfficientNet) else None
        where, called = f"the given {type(source).__name__}", _called(config, "")
        return Checkpoint(dict(source.state_dict()), where, called, config, about, shared=True)
    if isinstance(source, Mapping):
        return _unwrapped(Checkpoint({}, "the state dict", shared=True), source)
    path = Path(source)
    if path.is_dir():
        if not (path / FILE).is_file():
            raise WeightsError(
                f"{path} is not a run folder: it has no {FILE}. A run that was stopped in its first epoch has none."
            )
        path /= FILE
    if path.exists():
        if revision is not None:
            raise ValueError(f"revision={revision!r} is for repositories of the Hugging Face Hub, and {path} is a file.")
        hub.check_named_hash(path)
        return _read_file(path, str(path), path.stem, {})
    if path.suffix in SUFFIXES or not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", str(source)):
        raise WeightsError(f"{path} does not exist.")
    try:
        path, config = hub.download(str(source), revision)
    except (WeightsError, MissingExtra) as error:
        raise type(error)(f"There is no {source} here. On the Hugging Face Hub: {error}") from error
    repository = str(source).partition("@")[0]
    return _read_file(path, str(source), _called(config, repository.partition("/")[2]), config)


def _read_file(path: Path, where: str, called: str, config: dict[str, Any]) -> Checkpoint:
    with open(path, "rb") as file:
        head = file.read(9)
    checkpoint = Checkpoint({}, where, called, config)
    if head[:8] == b"\x89HDF\r\n\x1a\n" or path.suffix == ".keras":
        return _unwrapped(checkpoint, h5.read(path))
    # A zip archive, or a pickle as torch wrote them before 2020; a safetensors file may begin with any number.
    if head[8:] != b"{" and (head[:2] == b"PK" or head[:1] == b"\x80"):
        return _unwrapped(checkpoint, _pickle(path))
    return _safetensors(path, checkpoint)


def _safetensors(path: Path, checkpoint: Checkpoint) -> Checkpoint:
    """A safetensors file, each of its tensors read once, straight into memory of its own."""
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, "pt") as content, open(path, "rb") as file:  # the one checks the file, the other reads it
            metadata = content.metadata() or {}
            places = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            places.pop("__metadata__", None)
            for name, place in sorted(places.items(), key=lambda item: item[1]["data_offsets"]):
                dtype = DTYPES.get(place["dtype"]) or content.get_tensor(name).dtype
                tensors[name] = torch.empty(place["shape"], dtype=dtype)
                if file.readinto(tensors[name].reshape(-1).view(torch.uint8).numpy().data) != tensors[name].nbytes:
                    raise WeightsError(f"{path} became shorter while it was read.")
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file, or is not whole: {error}.") from error
    if "warmnet" in metadata:
        about = described(metadata["warmnet"], checkpoint.where)
        if about["crc32"] not in (None, checksum(tensors)):
            raise WeightsError(f"{path} was changed or damaged: its tensors are not those that were written.")
        return checkpoint._replace(tensors=tensors, about=about)
    config = _json(metadata.get("config")) | checkpoint.config
    return _unwrapped(checkpoint._replace(called=_called(config, checkpoint.called), config=config), tensors)


def _json(text: str | None) -> dict[str, Any]:
    try:
        content = json.loads(text or "{}")
    except ValueError:
        content = {}
    return content if isinstance(content, dict) else {}


def _called(config: Mapping[str, Any], otherwise: str) -> str:
    """The architecture that a config names."""
    return config["architecture"] if isinstance(config.get("architecture"), str) else otherwise


def _pickle(path: Path) -> Mapping[str, Any]:
    """What a file of torch.save holds, if it is data alone."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # timm's checkpoints hold their command line in one
            content = torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error):
            raise WeightsError(
                f"{path} would run code of its own: {_refused(error)}. If you trust where it is from, unpickle it yourself and "
                f"pass what comes out: torch.load({str(path)!r}, 'cpu', weights_only=False)"
            ) from error
        raise WeightsError(f"{path} is not a file of torch.save, or is not whole: {error}.") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is not a file of torch.save, or is not whole: {reason}.") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, and not a state dict.")
    return content


def _refused(error: Exception) -> str:
    found = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
    return f"it asks for {found[1]}" if found else "it holds more than tensors"


def _unwrapped(checkpoint: Checkpoint, content: Mapping[str, Any]) -> Checkpoint:
    """`checkpoint` with the tensors of `content`, which may have been saved with other things around them."""
    notes, called = [], checkpoint.called
    while wrapper := next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None):
        others = [key for key in WRAPPERS if key != wrapper and isinstance(content.get(key), Mapping)]
        notes.append(f"'{wrapper}' was taken" + (f", and not '{others[0]}'" if others else ""))
        called = content["arch"] if isinstance(content.get("arch"), str) else called
        content = content[wrapper]
    tensors = {name: value.detach() for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{checkpoint.where} holds no tensors. It has {', '.join(map(str, [*content][:5])) or 'nothing'}.")
    return checkpoint._replace(tensors=tensors, called=called, notes=(*checkpoint.notes, *notes))
