"""`export`: a model as a file for an engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..data.files import check_writable
from ..errors import InputError
from ..spelling import choose_one
from ..weights.saving import OTHERS, SUFFIX
from .building import build, check_data, check_precision, in_onnx, to_model
from .engines import ENGINES
from .metadata import describe
from .verification import Verification

FOREIGN = {  # of networks, that no engine here reads
    SUFFIX, *OTHERS, ".engine", ".mlmodel", ".mlpackage", ".pb", ".plan", ".tflite", ".torchscript", ".trt",
}  # fmt: skip


def export(
    source: Any, path: str | os.PathLike[str], to: str | None = None, *, precision: str = "fp32", data: Any = None,
    dynamic_size: bool = False, size: tuple[int, int, int] | None = None, max_top1_drop: float = 0.01,
) -> Verification:  # fmt: skip
    """Write a network for an engine, with all that it takes to use it, and say how near it is to the model.

    The file takes pixels, uint8 (B, H, W, 3), as they are after `preprocessing.resized`, or without preprocessing floats
    (B, C, H, W); it gives logits. At any moment `path` holds the old file or the new one, whole; OpenVINO's two are refused
    together when they do not belong together. Raises DeployError, and writes nothing, if it is too far from the model.

    - `source`: a model, or whatever `from_pretrained` takes.
    - `path`: ends in .onnx, .xml, .pt2 or .aoti.pt2; if it does not, the ending is added.
    - `to`: 'onnx', 'openvino', 'torch' or 'aoti'. Default: that of the ending of `path`, or onnx.
    - `precision`: 'fp32', 'bf16' (not with onnx), 'int8' (onnx and openvino).
    - `data`: a `warmnet.training.Data`: compared on its held-out images, int8 calibrated on those to train on. Without it the
      images are synthetic; int8 needs it.
    - `dynamic_size`: let height and width be free; for torch and aoti that takes minutes.
    - `size`: (C, H, W), for a network that does not tell its own.
    - `max_top1_drop`: how much of top-1 bf16 and int8 may lose on the held-out images of `data`, at most 1,000, in 0..1.

    >>> import numpy as np, tempfile, warmnet
    >>> from warmnet.deployment import export, open_exported
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), num_classes=2, seed=0)
    >>> model.preprocessing, path = Preprocessing(32), tempfile.mkdtemp() + '/network.pt2'
    >>> export(model, path, 'torch').error < 1e-4
    True
    >>> open_exported(path)(np.zeros((480, 640, 3), np.uint8)).shape
    (1, 2)
    """
    to = engine_for(path, to)
    check_writable(exported_path(path, to))
    model = to_model(source)
    check_precision(to, precision)
    check_data(precision, data)
    metadata = describe(model, to, precision, dynamic_size, size)
    network, metadata, verification = build(model, metadata, in_onnx(model, metadata), data, max_top1_drop)
    network.write(exported_path(path, to), metadata)
    return verification


def engine_for(path: str | os.PathLike[str], to: str | None = None) -> str:
    """The engine `to`, or that of the ending of `path`, or onnx. Raises InputError for another program's, or if the two differ.

    >>> from warmnet.deployment import engine_for
    >>> engine_for('network.xml'), engine_for('network')
    ('openvino', 'onnx')
    """
    name = Path(path).name
    ending = max((engine.suffix for engine in ENGINES.values() if name.endswith(engine.suffix)), key=len, default=None)
    named = next((name for name, engine in ENGINES.items() if engine.suffix == ending), None)
    if Path(path).suffix.lower() in FOREIGN:
        endings = ", ".join(engine.suffix for engine in ENGINES.values())
        raise InputError(f"{path} ends as another program's files do. Here a network ends in one of {endings}.")
    if to is None:
        return named or "onnx"
    if to not in ENGINES:
        raise InputError(f"Unknown engine {to!r}. {choose_one(to, ENGINES)}.")
    if named not in (None, to):
        raise InputError(f"{path} ends as files for {named} do, and those for {to} end in {ENGINES[to].suffix}. Change one.")
    return to


def exported_files(path: str | os.PathLike[str], to: str) -> list[Path]:
    """All files that `export` writes there.

    >>> from warmnet.deployment import exported_files
    >>> [path.name for path in exported_files('network', 'openvino')]
    ['network.xml', 'network.bin']
    """
    path = exported_path(path, to)
    return [path, *(path.with_suffix(suffix) for suffix in ENGINES[to].companions)]


def exported_path(path: str | os.PathLike[str], to: str) -> Path:
    """The path with the engine's ending.

    >>> from warmnet.deployment import exported_path
    >>> exported_path('network', 'onnx').name
    'network.onnx'
    """
    path, suffix = Path(path), ENGINES[to].suffix
    return path if path.name.endswith(suffix) else path.with_name(path.name + suffix)
