"""`deploy`: a predictor of a model, without a file, on the fastest engine."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from torch import nn

from . import engine_choice
from .building import build, check_data, check_precision, in_onnx, to_model
from .metadata import Metadata, describe
from .predictor import Predictor


def deploy(
    source: Any, engine: str = "auto", precision: str = "fp32", *, batch: int = 1, threads: int | None = None,
    data: Any = None, size: tuple[int, int, int] | None = None, max_top1_drop: float = 0.01,
) -> Predictor:  # fmt: skip
    """A predictor of a network on an engine of this machine, compared with the model as in `export`.

    - `engine`: 'onnx', 'openvino', 'torch', 'aoti', or 'auto': the fastest of the first three that are installed, measured
      once on this network with batches of `batch` images, and remembered in the user's cache folder. If they take longer in
      bf16 or int8 than in fp32, it is fp32 that is used, with a warning.
    - `threads`: processor cores to use. Default: torch's number.

    Others as in `export`.

    >>> import numpy as np, warmnet
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), num_classes=2, seed=0)
    >>> model.preprocessing = Preprocessing(32)
    >>> warmnet.deploy(model, engine='torch')([np.zeros((480, 640, 3), np.uint8)] * 3).shape
    (3, 2)
    """
    model = to_model(source)
    engines = [engine] if engine != "auto" else engine_choice.candidates(precision)
    check_precision(engines[0], precision)
    check_data(precision, data)
    metadata = describe(model, engine, precision, size=size)
    contenders = {name: replace(metadata, engine=name) for name in engines}
    if engine == "auto":
        if precision != "fp32":
            plain = replace(metadata, precision="fp32")
            contenders |= {f"{name} fp32": replace(plain, engine=name) for name in engine_choice.candidates("fp32")}
        key = engine_choice.key(metadata, batch, threads)
        if (known := engine_choice.recall(key, contenders)) in contenders:
            contenders = {known: contenders[known]}
    predictors = _built(model, contenders, data, max_top1_drop, threads)
    name = next(iter(predictors))
    if len(predictors) > 1:
        times = engine_choice.measure(predictors, batch)
        engine_choice.remember(key, times)
        name = min(times, key=times.__getitem__)
    if predictors[name].precision != precision:
        warnings.warn(
            f"{precision} takes longer than fp32 on this machine, so that this is the network in fp32. "
            f"engine={engines[0]!r} gives {precision} all the same.",
            stacklevel=2,
        )
    return predictors[name]


def _built(
    model: nn.Module, contenders: dict[str, Metadata], data: Any, max_top1_drop: float, threads: int | None
) -> dict[str, Predictor]:
    """A predictor of each that can be built; the error if none of the first one's precision can."""
    precisions = [metadata.precision for metadata in contenders.values()]
    onnx_in_fp32 = in_onnx(model, next(iter(contenders.values())))
    found, failed = dict[str, Predictor](), list[Exception]()
    for name, metadata in contenders.items():
        try:
            network, verified, _ = build(model, metadata, onnx_in_fp32, data, max_top1_drop)
            found[name] = Predictor(network, verified, threads)
        except Exception as error:  # of a network that one engine cannot take, another may
            failed.append(error)
        if len(failed) == precisions.count(precisions[0]) and not found:
            raise failed[-1]
    return found
