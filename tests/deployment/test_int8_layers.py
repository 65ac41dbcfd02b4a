"""Which layers of an ONNX graph are computed in int8."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from warmnet.deployment import DeployError
from warmnet.deployment.int8 import layers_by_kind, names_in_int8, quantize

INPUTS = np.random.default_rng(0).normal(size=(16, 4, 8, 8)).astype(np.float32)


def graph(act):
    """A network of a first, a wide, a depthwise and another wide convolution, a gate and a classifier; `act` follows each."""
    nodes, tensors, names = [], [], iter("abcdefghijklmnopqrstuvwxyz")

    def layer(op, name, x, *weights, **attributes):
        inputs = [f"{name}.{n}" for n in range(len(weights))]
        tensors.extend(numpy_helper.from_array(np.asarray(w, np.float32), i) for w, i in zip(weights, inputs))
        nodes.append(helper.make_node(op, [*x.split(), *inputs], [next(names)], name, **attributes))
        return nodes[-1].output[0]

    def conv(name, x, size_in, size, **attributes):
        weight = np.random.default_rng(len(nodes)).normal(size=(size, size_in, 1, 1)) / size_in
        y = layer("Conv", name, x, weight, np.zeros(size), **attributes)
        if act == "SiLU":
            return layer("Mul", f"{name} mul", f"{y} {layer('Sigmoid', f'{name} sigmoid', y)}")
        return layer("Clip", f"{name} act", y, 0, 6) if act == "Clip" else layer(act, f"{name} act", y)

    x = conv("depthwise", conv("wide", conv("first", "pixels", 4, 8), 8, 8), 1, 8, group=8)
    gate = conv("gate", layer("GlobalAveragePool", "mean", x), 8, 8)
    x = conv("after", layer("Mul", "gated", f"{x} {gate}"), 8, 8)
    x = layer("Flatten", "flat", layer("GlobalAveragePool", "pool", x))
    layer("Gemm", "classifier", x, np.eye(8)[:, :3], np.zeros(3))
    nodes[-1].output[0] = "logits"
    pixels = helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["N", 4, 8, 8])
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", 3])
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(
        helper.make_graph(nodes, "network", [pixels], [logits], tensors), opset_imports=opset, ir_version=10
    )


def convolutions_in_int8(proto):
    """The names of the convolutions whose weights are int8."""
    rounded = {output for node in proto.graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    return {node.name for node in proto.graph.node if node.op_type == "Conv" and node.input[1] in rounded}


def test_the_kinds_of_layers_are_told_apart():
    kinds = layers_by_kind(graph("SiLU"))
    assert {kind: [node.name for node in nodes] for kind, nodes in kinds.items()} == {
        "first": ["first"], "depthwise": ["depthwise"], "gates": ["gate"], "classifier": ["classifier"],
        "others": ["wide", "after"],
    }  # fmt: skip


@pytest.mark.parametrize("act", ["SiLU", "Relu", "Clip"])
def test_depthwise_convolutions_are_in_int8_if_a_relu_follows_and_results_are_rounded(act):
    depthwise = set() if act == "SiLU" else {"depthwise"}
    assert convolutions_in_int8(quantize(graph(act), INPUTS)) == {"wide", "after"} | depthwise
    assert convolutions_in_int8(quantize(graph(act), INPUTS, results_in_int8=False)) == {"wide", "after"}


@pytest.mark.parametrize("act", ["Relu", "Clip"])
def test_a_relu_after_a_convolution_in_int8_is_the_bound_of_its_range(act):
    nodes = quantize(graph(act), INPUTS).graph.node
    assert {node.name for node in nodes if node.op_type == act} == {"first act", "gate act"}


@pytest.mark.parametrize("act", ["SiLU", "Relu", "Clip"])
def test_results_stay_float_if_they_need_not_be_rounded(act):
    def rounded(proto):
        return {node.input[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"}

    convolutions = {node.output[0] for node in graph(act).graph.node if node.op_type == "Conv"}
    assert not rounded(quantize(graph(act), INPUTS, results_in_int8=False)) & convolutions
    assert rounded(quantize(graph(act), INPUTS)) & convolutions or act != "SiLU"


def test_a_network_without_layers_for_int8_stays_as_it_is_if_told_to_and_is_refused_else():
    """A ReLU alone is none."""
    proto = graph("Relu")
    assert quantize(proto, INPUTS, names=[]) is proto
    nodes = [node for node in proto.graph.node if node.name.startswith("first") or node.op_type == "Gemm"]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    assert len(nodes) == 3 and names_in_int8(proto) == []
    with pytest.raises(DeployError, match="no layer that int8 is for"):
        quantize(proto, INPUTS)
