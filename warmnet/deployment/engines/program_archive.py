"""A torch.export archive as torch can read it without running code: made anew, of what was checked alone.

torch.export.load unpickles whatever an archive says is pickled (torch 2.13.0: export/pt2_archive/_package.py), and its own
reader of ZIP files may see other entries than Python's in one that was made for that.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import torch

from ...data.files import parse_json
from .program_check import UncheckedError, check_program, check_texts

PROGRAM, SAMPLE_INPUTS = "models/model.json", "data/sample_inputs/model.pt"
LISTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"  # of tensors
TENSOR = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
FORMAT = "archive_format", "archive_version", "byteorder", ".data/version"
LEFT_OUT = ".data/serialization_id", "extra/warmnet.json"  # torch needs neither


def checked_archive(entries: Mapping[str, bytes]) -> io.BytesIO:
    """An archive of those of the entries that torch needs; an UncheckedError if one may hold code, or is of another kind."""
    checked = {}
    for name, content in entries.items():
        if name == PROGRAM:
            checked[name] = _to_json(check_program(_from_json(content, name)))
        elif name in LISTS:
            tensors = _from_json(content, name)
            _check_list(tensors, name.rpartition("/")[0], entries)
            checked[name] = _to_json(tensors)
        elif name == SAMPLE_INPUTS:
            _check_sample_inputs(content)
            checked[name] = content
        elif name in FORMAT or TENSOR.fullmatch(name):
            checked[name] = content
        elif name not in LEFT_OUT:
            raise UncheckedError(f"{name} in it is nothing that can be checked")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in checked.items():
            file.writestr(f"archive/{name}", content)
    archive.seek(0)
    return archive


def _check_list(tensors: dict[str, Any], folder: str, entries: Mapping[str, bytes]) -> None:
    """Raise UncheckedError unless every tensor of a list is in an entry of plain numbers."""
    for name, tensor in tensors["config"].items():
        file = f"{folder}/{tensor['path_name']}"
        if tensor["use_pickle"] is not False or not TENSOR.fullmatch(file):
            raise UncheckedError(f"{name} is pickled in it")
        if file not in entries:
            raise UncheckedError(f"{file} is missing in it")
    check_texts(tensors)


def _check_sample_inputs(content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # whatever a pickle that is no data raises
        raise UncheckedError("its sample inputs are a pickle of more than tensors") from error


def _from_json(content: bytes, name: str) -> dict[str, Any]:
    try:
        parsed = parse_json(content)
    except ValueError as error:
        raise UncheckedError(f"{name} in it is not JSON") from error
    if not isinstance(parsed, dict):
        raise UncheckedError(f"{name} in it is no JSON object")
    return parsed


def _to_json(value: Any) -> bytes:
    return json.dumps(value).encode()
