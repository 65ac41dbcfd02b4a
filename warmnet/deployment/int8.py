"""int8 by ONNX Runtime's static quantization: where a network is wide, calibrated on real images."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import extra
from .logs import quiet

BATCH = 16


def quantize(proto: Any, inputs: np.ndarray) -> Any:
    """An ONNX model whose convolutions are int8, with ranges of activations as they are on `inputs`.

    Weights have a scale for each channel. Float stay: the first convolution and the classifier, which make most of the error;
    whatever follows a global mean, and depthwise convolutions, where int8 gains nothing.
    """
    with extra("deploy"):
        import onnx
        from onnxruntime import quantization as q

    class Batches(q.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(np.array_split(inputs, math.ceil(len(inputs) / BATCH)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {proto.graph.input[0].name: batch}

    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = f"{folder}/fp32.onnx", f"{folder}/int8.onnx"
        onnx.save(proto, source)
        q.quantize_static(
            source, target, Batches(), q.QuantFormat.QDQ, op_types_to_quantize=["Conv"],
            nodes_to_exclude=names_of_float(proto), per_channel=True,
            activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8,
        )  # fmt: skip
        return onnx.load_from_string(Path(target).read_bytes())


def names_of_float(proto: Any) -> list[str]:
    """The names of the convolutions that stay float: the first, the depthwise, and those of what global means are made into."""
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    kept = [node.name for node in convolutions if any(a.name == "group" and a.i > 1 for a in node.attribute)]
    means: set[str] = set()
    for node in proto.graph.node:
        varying = [name for name in node.input if name not in means]
        if node.op_type == "GlobalAveragePool" or (means & {*node.input} and _are_constants(varying, proto)):
            means.update(node.output)
            kept.append(node.name)
    return [convolutions[0].name, *kept] if convolutions else []


def _are_constants(names: list[str], proto: Any) -> bool:
    constants = {tensor.name for tensor in proto.graph.initializer}
    return {*names} <= constants | {""}
