"""`deploy`: a predictor of a model, without a file, on the fastest engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import engine_choice
from .building import build, check_data, check_precision, onnx_maker, to_model
from .metadata import describe
from .predictor import Predictor


def deploy(
    source: Any, engine: str = "auto", precision: str = "fp32", *, batch: int = 1, threads: int | None = None,
    data: Any = None, size: tuple[int, int, int] | None = None, max_top1_drop: float = 0.01,
) -> Predictor:  # fmt: skip
    """A predictor of a network on an engine of this machine, compared with the model as in `export`.

    - `engine`: 'onnx', 'openvino', 'torch', 'aoti', or 'auto': the fastest of the first three that are installed, measured
      once on this network with batches of `batch` images, and remembered in the user's cache folder.
    - `threads`: processor cores to use. Default: torch's number.

    Others as in `export`.
    """
    model = to_model(source)
    names = [engine] if engine != "auto" else engine_choice.candidates(precision)
    check_precision(names[0], precision)
    check_data(precision, data)
    metadata = describe(model, engine, precision, size=size)
    key = engine_choice.key(metadata, batch, threads)
    if engine == "auto" and (known := engine_choice.recall(key)) in names:
        names = [known]
    to_onnx = onnx_maker(model, metadata, data)
    predictors = dict[str, Predictor]()
    for name in names:
        try:
            network, verified, _ = build(model, replace(metadata, engine=name), to_onnx, data, max_top1_drop)
            predictors[name] = Predictor(network, verified, threads)
        except Exception:  # of a network that one engine cannot take, another may
            if name == names[-1] and not predictors:
                raise
    if len(predictors) > 1:
        times = engine_choice.measure(predictors, batch)
        engine_choice.remember(key, times)
        return predictors[min(times, key=times.__getitem__)]
    return next(iter(predictors.values()))
