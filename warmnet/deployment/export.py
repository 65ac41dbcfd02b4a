"""From a model to a file or a predictor: frozen, for an engine, compared with the model."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import InputError
from ..networks.efficientnet import WarmEfficientNet
from . import engine_choice as fastest
from .engines import ENGINES, Engine
from .int8 import quantized
from .metadata import About, DeployError, describe
from .onnx_graph import to_onnx
from .predictor import Predictor
from .samples import CALIBRATED, COMPARED, MEASURED, Pictures, drawn, of_data
from .verification import Check, check

PRECISIONS = "fp32", "bf16", "int8"


def export(
    source: Any, path: str | os.PathLike[str], to: str = "onnx", *, precision: str = "fp32", data: Any = None,
    dynamic_size: bool = False, size: tuple[int, int, int] | None = None, most_loss: float = 0.01,
) -> Check:  # fmt: skip
    """Write a network for an engine, with all that it takes to use it, and say how near it is to the model.

    The file takes pixels, uint8 (B, H, W, 3), as they are after `preprocessing.resized`, or without preprocessing floats
    (B, C, H, W); it gives logits. At any moment `path` holds the old file or the new one, whole; OpenVINO's two are refused
    together when they do not belong together. Raises DeployError, and writes nothing, if it is too far from the model.

    - `source`: a model, or whatever `from_pretrained` takes.
    - `path`: ends in .onnx, .xml, .pt2 or .aoti.pt2; if it does not, the ending is added.
    - `to`: 'onnx', 'openvino', 'torch' or 'aoti'. `precision`: 'fp32', 'bf16' (not with onnx), 'int8' (onnx and openvino).
    - `data`: a `warmnet.training.Data`: compared on its held-out images, int8 calibrated on those to train on. Without it the
      pictures are drawn by a formula; int8 needs it.
    - `dynamic_size`: let height and width be free; for torch and aoti that takes minutes.
    - `size`: (C, H, W), for a network that does not tell its own.
    - `most_loss`: how much of top-1 on `data` bf16 and int8 may lose, in 0..1.

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
    model = _model(source)
    _check_asked(to, precision, data)
    about = describe(model, to, precision, dynamic_size, size)
    network, about, found = made(model, about, _in_onnx(model, about, data), data, most_loss)
    network.write(exported_path(path, to), about)
    return found


def deploy(
    source: Any, engine: str = "auto", precision: str = "fp32", *, batch: int = 1, threads: int | None = None,
    data: Any = None, size: tuple[int, int, int] | None = None, most_loss: float = 0.01,
) -> Predictor:  # fmt: skip
    """A predictor of a network on an engine of this machine, compared with the model as in `export`.

    - `engine`: 'onnx', 'openvino', 'torch', 'aoti', or 'auto': the fastest of the first three that are installed, measured
      once on this network with batches of `batch` images, and remembered in the user's cache folder.
    - `threads`: processor cores to use. Default: torch's number.

    Others as in `export`.
    """
    model = _model(source)
    engines = [engine] if engine != "auto" else fastest.candidates(precision)
    _check_asked(engines[0], precision, data)
    about = describe(model, engine, precision, size=size)
    key = fastest.key(about, batch, threads)
    if engine == "auto" and (known := fastest.remembered(key)) in engines:
        engines = [known]
    in_onnx = _in_onnx(model, about, data)
    predictors = dict[str, Predictor]()
    for name in engines:
        try:
            network, described, _ = made(model, replace(about, engine=name), in_onnx, data, most_loss)
            predictors[name] = Predictor(network, described, threads)
        except Exception:  # of a network that one engine cannot take, another may
            if name == engines[-1] and not predictors:
                raise
    if len(predictors) > 1:
        times = fastest.measured(predictors, batch)
        fastest.remember(key, times)
        return predictors[min(times, key=times.__getitem__)]
    return next(iter(predictors.values()))


def made(
    model: nn.Module, about: About, in_onnx: Callable[[], Any], data: Any, most_loss: float
) -> tuple[Engine, About, Check]:
    """A model for the engine it is described for, and how near it is; DeployError if it is not near enough."""
    pictures = _compared(data, about)
    network = ENGINES[about.engine].of(model, about, in_onnx)
    found = check(model, Predictor(network, about), pictures)
    found.refuse(most_loss)
    return network, replace(about, checked=found.to_dict()), found


def _in_onnx(model: nn.Module, about: About, data: Any) -> Callable[[], Any]:
    """A function that gives the network as an ONNX ModelProto, made when it is first asked for."""

    @functools.cache
    def proto() -> Any:
        plain = to_onnx(model, about)
        if about.precision != "int8":
            return plain
        return quantized(plain, of_data(data, data.train, CALIBRATED, about, "training images").inputs)

    return proto


def exported_path(path: str | os.PathLike[str], to: str) -> Path:
    """The path with the engine's ending."""
    path, suffix = Path(path), ENGINES[to].suffix
    other = any(path.name.endswith(engine.suffix) for engine in ENGINES.values() if len(engine.suffix) > len(suffix))
    return path.with_name(path.name + suffix) if other or not path.name.endswith(suffix) else path


def _compared(data: Any, about: About) -> Pictures:
    if data is None:
        return drawn(about)
    most = COMPARED if about.precision == "fp32" else MEASURED
    return of_data(data, data.held_out, most, about, "held-out images")


def _check_asked(to: str, precision: str, data: Any) -> None:
    if to not in ENGINES:
        raise InputError(f"Unknown engine {to!r}. Choose one of {', '.join(ENGINES)}.")
    if precision not in ENGINES[to].precisions:
        allowed = ", ".join(ENGINES[to].precisions)
        others = " or ".join(name for name, engine in ENGINES.items() if precision in engine.precisions)
        raise InputError(
            f"{to} has no precision {precision!r} on a CPU. Choose one of {allowed}" + (f"; or {others}." if others else ".")
        )
    if precision == "int8" and data is None:
        raise InputError("int8 is calibrated and measured on labelled images. Pass data, such as warmnet.training.folder(...).")


def _model(source: Any) -> nn.Module:
    if isinstance(source, nn.Module):
        if any(tensor.is_meta for tensor in source.state_dict().values()):
            raise DeployError("The model is on 'meta' and has no values. Build it on a device first.")
        return source
    return WarmEfficientNet.from_pretrained(source)
