"""warmnet's own file: safetensors with the description of the network, written whole or not at all."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
from torch import Tensor

from ..data.files import check_ending, replacing
from ..engine.copies import copied, has_computed_weights, settle_weights, unwrapped
from ..networks.classifier import Classifier
from .description import describe, to_json
from .errors import WeightsError
from .pruned import rebuilt

FILE = "weights.safetensors"  # its name in a run folder
SUFFIX = ".safetensors"
OTHERS = ".pth", ".pt", ".bin", ".ckpt", ".tar", ".h5", ".hdf5", ".keras"  # the endings of weights that other programs write
FOREIGN = *OTHERS, ".onnx", ".xml", ".pt2", ".tflite", ".pb", ".npz", ".pkl"


def save(model: Classifier, path: str | os.PathLike[str], /, **metadata: Any) -> None:
    """Write a classifier as safetensors, its class, variant, options, classes and preprocessing in the file's metadata.

    At any moment `path` holds the old file or the new one, whole. Options that are functions are kept by name if they are
    torch's or warmnet's own; loading asks for any other again.

    - `path`: ends in .safetensors, by custom. An InputError if it ends as files of other programs do, such as .pt or .onnx.
    - `metadata`: anything else to keep that JSON can hold, such as an accuracy, beside what `model.metadata` has.

    >>> import tempfile, warmnet
    >>> path = tempfile.mkdtemp() + '/weights.safetensors'
    >>> warmnet.save(warmnet.WarmEfficientNet('b0', num_classes=2), path, accuracy=0.5)
    >>> warmnet.WarmEfficientNet.from_pretrained(path).metadata
    {'accuracy': 0.5}
    """
    model = unwrapped(model)  # type: ignore[assignment]
    _check_can_be_saved(model)
    if Path(path).suffix.lower() in FOREIGN:
        check_ending(Path(path), SUFFIX)
    if has_computed_weights(model):
        model = settle_weights(copied(model).eval())  # type: ignore[assignment]
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    description = describe(model)._replace(metadata={**model.metadata, **metadata})
    text = to_json(description, checksum(tensors))
    with replacing(Path(path)) as temporary:  # one metadata key, as safetensors writes several in random order
        temporary.write_bytes(safetensors.save(tensors, {"warmnet": text}))


def _check_can_be_saved(model: Classifier) -> None:
    """Raise what keeps a file from holding all that there is to know of the model."""
    if not isinstance(model, Classifier):
        raise TypeError(f"save takes a classifier, not a {type(model).__name__}. For others: safetensors.torch.save_model.")
    classes = tuple(model.classes)
    if classes and (len(classes) != model.num_classes or len(set(classes)) != len(classes)):
        raise ValueError(f"classes must be {model.num_classes} different names, one for each output, not {list(classes)}.")
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise WeightsError("The model is on 'meta' and has no values to save. Build it on a device first.")
    if model._is_adopted:
        rebuilt(model, model.num_classes, "cpu")  # raises for what could not be loaded again


def checksum(tensors: Mapping[str, Tensor]) -> int:
    """The CRC-32 of all names and values: it tells damage. Against malice no sum in the same file would help."""
    crc = 0
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(name.encode(), crc))
    return crc
