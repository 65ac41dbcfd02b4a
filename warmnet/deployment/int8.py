"""int8 by ONNX Runtime's static quantization, calibrated on real images. benchmarks/int8.py measures what is chosen here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import extra
from .errors import DeployError
from .logs import quiet
from .parts import in_parts

RELU = "Relu", "Clip"  # their bounds are those of the range that the result is rounded in: int8 has them for nothing
LINEAR = "Gemm", "MatMul"


def quantize(proto: Any, inputs: np.ndarray, names: list[str] | None = None, *, results_in_int8: bool = True) -> Any:
    """An ONNX model that computes in int8 by weights with a scale for each channel, and activations in ranges as on `inputs`.

    - `names`: of the nodes in int8. Default: `names_in_int8`; a DeployError if these are none.
    - `results_in_int8`: whether the results of convolutions are rounded, too, as ONNX Runtime needs it, not their inputs alone.
    """
    with extra("deploy"):
        import onnx
        from onnxruntime import quantization as q

    class Batches(q.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(in_parts(inputs))  # each image of a call takes memory, one of b7's 5 GB

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {proto.graph.input[0].name: batch}

    if names is None:
        names = names_in_int8(proto, results_in_int8)
        if not names:
            raise DeployError(
                "This network has no layer that int8 is for, and would stay float: int8 is for convolutions, but for the "
                "first, those of gates, and depthwise ones without a ReLU behind them. Choose fp32."
            )
    if not names:  # by which ONNX Runtime means all
        return proto
    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = f"{folder}/fp32.onnx", f"{folder}/int8.onnx"
        onnx.save(proto, source)
        q.quantize_static(
            source, target, Batches(), q.QuantFormat.QDQ, op_types_to_quantize=["Conv", *LINEAR, *RELU],
            nodes_to_quantize=names, per_channel=True, activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8,
            extra_options={} if results_in_int8 else {"OpTypesToExcludeOutputQuantization": ["Conv"]},
        )  # fmt: skip
        return onnx.load_from_string(Path(target).read_bytes())


def names_in_int8(proto: Any, results_in_int8: bool = True) -> list[str]:
    """The names of the nodes that are computed in int8: convolutions, but for the first, the depthwise and those of gates.

    The first and gates are little work. The classifier stays float, too: in int8 it about doubled how far lite0's
    probabilities on photographs diverge. And the input of a depthwise convolution would be rounded for its sake alone, with one
    scale for large and small channels. If results are rounded anyway, a ReLU is part of that, and so is a depthwise convolution
    that a ReLU follows: one left in float between two roundings ONNX Runtime takes into int8 itself, with one scale for all
    weights (1.32).
    """
    kinds = layers_by_kind(proto)
    others = [node.name for node in kinds["others"]]
    if not results_in_int8:
        return others
    relus = [node for node in proto.graph.node if node.op_type in RELU]
    before_relu = {relu.input[0] for relu in relus}
    depthwise = [node.name for node in kinds["depthwise"] if node.output[0] in before_relu]
    convolutions = others + depthwise
    return convolutions + [relu.name for relu in relus] if convolutions else []


def layers_by_kind(proto: Any) -> dict[str, list[Any]]:
    """The nodes of convolutions and of the classifier: 'first', 'depthwise', 'gates', 'classifier', and 'others'.

    Gates and classifier are what works on global means, and on what is made of these alone.
    """
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    means = _names_of_means(proto)
    kinds: dict[str, list[Any]] = {
        "first": convolutions[:1],
        "depthwise": [],
        "gates": [],
        "classifier": [node for node in proto.graph.node if node.op_type in LINEAR and node.name in means],
        "others": [],
    }
    for node in convolutions[1:]:
        is_depthwise = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        kinds["gates" if node.name in means else "depthwise" if is_depthwise else "others"].append(node)
    return kinds


def _names_of_means(proto: Any) -> set[str]:
    """The names of the nodes whose inputs are global means, what was made of these, and constants."""
    constants = {tensor.name for tensor in proto.graph.initializer} | {""}
    means: set[str] = set()
    names = set()
    for node in proto.graph.node:
        if node.op_type == "GlobalAveragePool" or (means & {*node.input} and {*node.input} <= means | constants):
            means.update(node.output)
            names.add(node.name)
    return names
