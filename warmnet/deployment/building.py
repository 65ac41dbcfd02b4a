"""A model for an engine: frozen, in int8 if asked, and verified. What `export` and `deploy` have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from ..data.samples import check_is_data
from ..engine.copies import unwrapped
from ..errors import InputError
from ..networks.classifier import Classifier
from ..spelling import choose_one
from ..weights import from_pretrained
from .engines import ENGINES
from .engines.engine import Engine, ToOnnx
from .errors import DeployError
from .int8 import quantize
from .metadata import Metadata
from .onnx_graph import to_onnx
from .predictor import Predictor
from .samples import CALIBRATED, COMPARED, MEASURED, Samples, choose_samples, synthetic_samples
from .verification import Verification, verify

PRECISIONS = "fp32", "bf16", "int8"


def to_model(source: Any) -> nn.Module:
    """The model itself, out of what wraps it, or the classifier of a checkpoint."""
    if not isinstance(source, nn.Module):
        return from_pretrained(Classifier, source)
    model = unwrapped(source)
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise DeployError("The model is on 'meta' and has no values. Build it on a device first.")
    return model


def check_precision(engine: str, precision: str) -> None:
    """Raise InputError if there is no such engine, or it does not compute in that precision.

    >>> from warmnet.deployment import check_precision
    >>> check_precision('onnx', 'int8')
    """
    if engine not in ENGINES:
        raise InputError(f"Unknown engine {engine!r}. {choose_one(engine, ENGINES)}.")
    if precision not in ENGINES[engine].precisions:
        message = f"{engine} has no precision {precision!r} on a CPU. Choose one of {', '.join(ENGINES[engine].precisions)}"
        others = [name for name, each in ENGINES.items() if precision in each.precisions]
        raise InputError(f"{message}; or {' or '.join(others)}." if others else f"{message}.")


def check_data(precision: str, data: Any) -> None:
    """Raise InputError for what is no data set, and if a precision needs one and there is none."""
    if data is not None:
        check_is_data(data)
    if precision == "int8" and data is None:
        raise InputError("int8 is calibrated and measured on labelled images. Pass data, such as warmnet.training.folder(...).")


def build(
    model: nn.Module, metadata: Metadata, onnx_in_fp32: Callable[[], Any], data: Any, max_top1_drop: float
) -> tuple[Engine, Metadata, Verification]:
    """A model for the engine of its metadata, and how near it is to the model; a DeployError if that is not near enough."""
    samples = _samples_to_compare(data, metadata)
    network = ENGINES[metadata.engine].build(model, metadata, _onnx_maker(onnx_in_fp32, metadata, data))
    verification = verify(model, Predictor(network, metadata), samples)
    verification.require(max_top1_drop)
    return network, replace(metadata, verification=verification.to_dict()), verification


def in_onnx(model: nn.Module, metadata: Metadata) -> Callable[[], Any]:
    """A function that gives the network in fp32 as an ONNX ModelProto, made when it is first asked for."""
    return functools.cache(lambda: to_onnx(model, metadata))


def _onnx_maker(onnx_in_fp32: Callable[[], Any], metadata: Metadata, data: Any) -> ToOnnx:
    def make(*, results_in_int8: bool = True) -> Any:
        if metadata.precision != "int8":
            return onnx_in_fp32()
        images = choose_samples(data, data.train, CALIBRATED, metadata, "training images")
        return quantize(onnx_in_fp32(), images.inputs, results_in_int8=results_in_int8)

    return make


def _samples_to_compare(data: Any, metadata: Metadata) -> Samples:
    if data is None:
        return synthetic_samples(metadata)
    most = COMPARED if metadata.precision == "fp32" else MEASURED
    return choose_samples(data, data.held_out, most, metadata, "held-out images")
