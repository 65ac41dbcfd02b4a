"""safetensors files: their tensors, each read once, and the text that stands beside them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .errors import WeightsError

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, each straight into memory of its own, and the file's metadata; a WeightsError if it is not whole."""
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, "pt") as content, open(path, "rb") as file:  # the one checks the file, the other reads it
            metadata = content.metadata() or {}
            entries = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            entries.pop("__metadata__", None)
            for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
                dtype = DTYPES.get(entry["dtype"]) or content.get_tensor(name).dtype
                tensors[name] = torch.empty(entry["shape"], dtype=dtype)
                if file.readinto(tensors[name].reshape(-1).view(torch.uint8).numpy().data) != tensors[name].nbytes:
                    raise ValueError(f"bytes of {name} are missing")
    except (SafetensorError, RuntimeError, ValueError, TypeError, OverflowError) as error:  # of its header; of torch, by sizes
        raise WeightsError(f"{path} is not a safetensors file, or is not whole: {error}. Get it again.") from error
    return tensors, metadata
