"""A network of any family is on every engine what it is in torch."""

import numpy as np
import pytest
import torch
from alive import error, fill
from small_families import SMALL

import warmnet
from warmnet import training
from warmnet.data import Preprocessing
from warmnet.deployment import export, open_exported
from warmnet.deployment.exporting import exported_path
from warmnet.deployment.frozen import freeze
from warmnet.deployment.int8 import layers_by_kind, names_in_int8
from warmnet.deployment.metadata import describe
from warmnet.deployment.onnx_graph import to_onnx

EVERY = [("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("torch", "fp32"), ("torch", "bf16"), ("aoti", "fp32")]


def built(family, side=64):
    data = training.digits()
    model = fill(SMALL[family](len(data.classes), seed=0)).eval()
    model.classes, model.preprocessing = data.classes, Preprocessing(side)
    return model


@pytest.mark.parametrize("family", SMALL)
def test_frozen_it_computes_the_same_without_batch_norms(family):
    model = built(family)
    program = freeze(model, None, (3, 64, 64))
    assert not [node for node in program.graph.nodes if str(node.target) == "aten.batch_norm.default"]
    x = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        assert error(program.module()(x), model(x)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("family", SMALL)
def test_every_layer_is_of_a_kind_and_in_int8_all_are_but_the_first_gates_and_what_silu_follows(family):
    model = built(family)
    proto = to_onnx(model, describe(model, "onnx", "int8", False))
    counts = {kind: len(nodes) for kind, nodes in layers_by_kind(proto).items()}
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    gates = 2 * sum(name.endswith("squeeze_excitation") for name, _ in model.named_modules())
    depthwise = sum(m.groups > 1 for m in convolutions)
    others = len(convolutions) - 1 - depthwise - gates
    assert counts == {"first": 1, "depthwise": depthwise, "gates": gates, "classifier": 1, "others": others}
    in_int8 = {node.name for node in proto.graph.node if node.op_type == "Conv"} & {*names_in_int8(proto)}
    assert len(in_int8) == others + (0 if family == "v2" else depthwise)
    assert len(names_in_int8(proto, results_in_int8=False)) == others


@pytest.mark.slow
@pytest.mark.parametrize("engine, precision", EVERY)
@pytest.mark.parametrize("family", SMALL)
def test_it_is_exported(family, engine, precision, tmp_path):
    verification = export(built(family), tmp_path / "network", engine, precision=precision)
    assert verification.error < (1e-5 if precision == "fp32" else 0.1)
    predictor = open_exported(exported_path(tmp_path / "network", engine), **({"trust": True} if engine == "aoti" else {}))
    assert predictor(np.zeros((48, 64, 3), np.uint8)).shape == (1, 10)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize("family", SMALL)
def test_it_is_exported_in_int8(family, engine, tmp_path):
    data = training.digits()
    assert export(built(family), tmp_path / "network", engine, precision="int8", data=data, max_top1_drop=1).agreement > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("family", SMALL)
def test_it_is_exported_with_a_free_size(family, tmp_path):
    assert export(built(family), tmp_path / "network", "onnx", dynamic_size=True).error < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lite0", "v2-b0", "mobilenetv2-1.0", "resnet18", "resnet50"])
def test_whole_it_is_exported(name, tmp_path):
    model = fill(warmnet.networks.families.NAMES[name](name, seed=0)).eval()
    model.preprocessing = Preprocessing(96)
    assert export(model, tmp_path / "network", "torch").error < 1e-5
