"""A checkpoint from anywhere: a model, a state dict, a file of any kind, a run folder, the Hugging Face Hub."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..data.files import parse_json
from ..errors import MissingExtra
from ..networks.classifier import Classifier
from . import hub, keras_files, packages, safetensors_files, torch_files
from .checkpoints import CHECKPOINTS, NamedCheckpoint, of_file
from .description import Description, describe, from_json
from .errors import WeightsError
from .foreign_files import check_kind, describe_folder
from .saving import FILE, OTHERS, SUFFIX, checksum
from .state_dicts import find_state_dict
from .wrong_names import explain_missing, explain_unknown

Source = str | os.PathLike[str] | Mapping[str, Any] | nn.Module
SUFFIXES = SUFFIX, *OTHERS


class Checkpoint(NamedTuple):
    """Tensors under the names that they have where they are from.

    - `source`: where that is, for messages. `architecture`: the name that its maker gave it, which may say how it was trained.
    - `config`: what stands beside the tensors. `description`: what a file or a model of warmnet's says of the network.
    - `named`: which of the checkpoints it is that have a name, if it is one.
    - `notes`: what was taken off to get at the tensors.
    - `is_shared`: whether somebody else has these tensors, too. `network`: who, if it is not one of warmnet's.
    """

    tensors: dict[str, Tensor]
    source: str
    architecture: str = ""
    config: dict[str, Any] = {}  # noqa: RUF012
    description: Description | None = None
    named: NamedCheckpoint | None = None
    notes: tuple[str, ...] = ()
    is_shared: bool = False
    network: nn.Module | None = None


def read(source: Source | Checkpoint, revision: str | None = None) -> Checkpoint:
    """The checkpoint at a path, of a name or of a Hub repository, or the tensors of a model or a state dict."""
    if isinstance(source, Checkpoint):  # which was read already
        return source
    if isinstance(source, nn.Module):
        return _read_model(source)
    if not isinstance(source, (str, os.PathLike)):
        return _unwrap(Checkpoint({}, "the state dict", is_shared=True), source)
    path, text = Path(source), str(source)
    if path.exists():
        return _read_path(path, revision)
    if Path(f"{path}.index").exists():
        check_kind(Path(f"{path}.index"))
    if text in CHECKPOINTS:
        return _read_named(CHECKPOINTS[text], revision)
    is_repository = path.suffix not in SUFFIXES and re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", text)
    if is_repository and ("@" in text or revision is not None or not path.parent.is_dir()):
        return _read_repository(text, revision)
    if is_repository:
        raise WeightsError(f"{explain_missing(path)} The Hugging Face Hub's {text} is written {text}@main.")
    if path.suffix in SUFFIXES or path.name != text or re.fullmatch(r"\.[a-z]{2,}\d?", path.suffix):  # a file's name
        raise WeightsError(explain_missing(path))
    raise WeightsError(f"{text!r} is neither a path here nor the name of a checkpoint. {explain_unknown(text)}")


def _read_path(path: Path, revision: str | None) -> Checkpoint:
    """The checkpoint of a file or a run folder that is there. It goes before the checkpoint that has its path as a name."""
    notes: tuple[str, ...] = ()
    if str(path) in CHECKPOINTS:
        notes = (f"{str(path)!r} is a path here, and no name: taken from there, not from {CHECKPOINTS[str(path)].source}",)
    if path.is_dir():
        path /= FILE
        if not path.is_file():
            mend = f" Rename it if you mean the checkpoint {path.parent}." if notes else ""
            raise WeightsError(f"{path.parent} {describe_folder(path.parent)}.{mend}")
    if revision is not None:
        raise ValueError(f"revision={revision!r} is for repositories of the Hugging Face Hub, and {path} is a file.")
    check_kind(path)
    hub.check_named_hash(path)
    return _read_file(path, Checkpoint({}, str(path), path.stem, named=of_file(path), notes=notes))


def _read_named(named: NamedCheckpoint, revision: str | None) -> Checkpoint:
    """The checkpoint of a name, from the package or the Hub repository that has it."""
    if named.file:
        if revision is not None:
            raise ValueError(
                f"revision={revision!r} is for repositories of the Hugging Face Hub, and {named.name} is a package's."
            )
        path = packages.verified_file(named)
        return _read_file(path, Checkpoint({}, named.name, path.stem, named=named))
    try:
        path, config = hub.download(named.source, revision)
    except MissingExtra as error:
        raise MissingExtra(f"The weights of {named.name!r} are on the Hugging Face Hub: {named.source}. {error}") from error
    except WeightsError as error:
        raise WeightsError(
            f"The weights of {named.name!r} are not at hand; this gets them: {named.command}\n{error}"
        ) from error
    return _read_file(path, Checkpoint({}, named.name, named.source.partition("/")[2], config, named=named))


def _read_model(model: nn.Module) -> Checkpoint:
    tensors, source = dict(model.state_dict()), f"the given {type(model).__name__}"
    if isinstance(model, Classifier):
        return Checkpoint(tensors, source, description=describe(model), is_shared=True)
    config = getattr(model, "pretrained_cfg", None) or {}  # of timm's models
    return Checkpoint(tensors, source, _architecture(config, ""), config, is_shared=True, network=model)


def _read_repository(source: str, revision: str | None) -> Checkpoint:
    try:
        path, config = hub.download(source, revision)
    except (WeightsError, MissingExtra) as error:
        raise type(error)(f"There is no {source} here. On the Hugging Face Hub: {error}") from error
    name = source.partition("@")[0].partition("/")[2]
    return _read_file(path, Checkpoint({}, source, _architecture(config, name), config))


def _read_file(path: Path, checkpoint: Checkpoint) -> Checkpoint:
    """`checkpoint` with the tensors of a file, whose kind its first bytes tell."""
    with open(path, "rb") as file:
        head = file.read(9)
    if head[:8] == b"\x89HDF\r\n\x1a\n" or path.suffix == ".keras":
        return _unwrap(checkpoint, keras_files.read(path))
    # A zip archive, or a pickle as torch wrote them before 2020; a safetensors file may begin with any number.
    if head[8:] != b"{" and (head[:2] == b"PK" or head[:1] == b"\x80"):
        return _unwrap(checkpoint, torch_files.read(path))
    tensors, metadata = safetensors_files.read(path)
    if "warmnet" in metadata:
        description, crc32 = from_json(metadata["warmnet"], checkpoint.source)
        if crc32 not in (None, checksum(tensors)):
            raise WeightsError(f"{path} was changed or damaged: its tensors are not those that were written.")
        return checkpoint._replace(tensors=tensors, description=description)
    config = _parse(metadata.get("config")) | checkpoint.config
    architecture = _architecture(config, checkpoint.architecture)
    return _unwrap(checkpoint._replace(architecture=architecture, config=config), tensors)


def _parse(text: str | None) -> dict[str, Any]:
    """The object that JSON text holds; {} where there is none."""
    try:
        content = parse_json(text or "{}")
    except ValueError:
        content = {}
    return content if isinstance(content, dict) else {}


def _architecture(config: Mapping[str, Any], default: str) -> str:
    """The architecture that a config names."""
    return config["architecture"] if isinstance(config.get("architecture"), str) else default


def _unwrap(checkpoint: Checkpoint, content: Any) -> Checkpoint:
    """`checkpoint` with the tensors of `content`, which may have been saved with other things around them."""
    found, notes = find_state_dict(content, checkpoint.source)
    if not checkpoint.is_shared:
        _check_sizes(found.tensors, checkpoint.source)
    config = checkpoint.config
    if isinstance(content, Mapping) and not config:  # `convert` writes for timm what the Hub's config.json says
        config = {key: content[key] for key in ("architecture", "label_names", "pretrained_cfg") if key in content}
        notes = () if config and found.keys == ("state_dict",) else notes
    if found.architecture:
        config = {**config, "architecture": found.architecture}
    architecture = _architecture(config, checkpoint.architecture)
    notes = (*checkpoint.notes, *notes)
    return checkpoint._replace(tensors=found.tensors, architecture=architecture, config=config, notes=notes)


def _check_sizes(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise if a file says of a tensor that it is larger than what the file holds of it."""
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized:
            continue
        size, held = math.prod(tensor.shape) * tensor.itemsize, tensor.untyped_storage().nbytes()  # nbytes overflows
        if size > held:
            raise WeightsError(
                f"{source} is damaged: it says that {name} is {tuple(tensor.shape)}, {size:,} bytes, and holds {held:,} of "
                f"them. Get it again."
            )
