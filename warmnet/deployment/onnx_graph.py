"""A frozen network as an ONNX graph, which ONNX Runtime and OpenVINO are given."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..errors import extra
from .frozen import define_conv_same, freeze
from .logs import quiet
from .metadata import Metadata


def to_onnx(model: nn.Module, metadata: Metadata) -> Any:
    """`model` frozen, as an ONNX ModelProto from 'pixels' to 'logits'."""
    with extra("deploy"):
        import onnx
        import onnxscript  # noqa: F401
    program = freeze(model, metadata.preprocessing, metadata.size, metadata.dynamic_size, to_onnx=True)
    translations = _same_in_onnx() if metadata.dynamic_size else None
    names: Any = {"input_names": ["pixels"], "output_names": ["logits"], "custom_translation_table": translations}
    with quiet():
        program_in_onnx = torch.onnx.export(program, dynamo=True, verbose=False, **names)
    assert program_in_onnx is not None
    proto = program_in_onnx.model_proto
    _pool_globally(proto.graph)
    onnx.checker.check_model(proto)
    return proto


def _pool_globally(graph: Any) -> None:
    """Write a mean over height and width as what it is: engines keep their own memory layout through a GlobalAveragePool."""
    from onnx import numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer if tensor.dims == [2]}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.value_info}
    used: set[str] = set()
    for node in graph.node:
        if node.op_type == "ReduceMean" and len(node.input) == 2 and ranks.get(node.output[0]) == 4:
            if sorted(axis % 4 for axis in constants.get(node.input[1], [])) == [2, 3]:
                if all(attribute.i for attribute in node.attribute if attribute.name == "keepdims"):
                    node.op_type = "GlobalAveragePool"
                    del node.attribute[:], node.input[1:]
        used.update(node.input)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _same_in_onnx() -> dict[Any, Any]:
    """How torch.onnx writes it: SAME_UPPER is TensorFlow's SAME."""
    from onnxscript import opset20 as op

    define_conv_same()

    def conv_same(x: Any, weight: Any, bias: Any, stride: Any, dilation: Any, groups: int) -> Any:
        return op.Conv(x, weight, bias, auto_pad="SAME_UPPER", strides=stride, dilations=dilation, group=groups)

    return {torch.ops.warmnet.conv_same.default: conv_same}
