"""What is exported has been compared with the model: it is written whole when it is near enough, and else not at all."""

import copy
import os

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import warmnet
import warmnet.functional as W
from warmnet.data import Data, Preprocessing
from warmnet.deployment import DeployError, Verification, deploy, export, open_exported
from warmnet.deployment.engines import ENGINES
from warmnet.deployment.engines.onnx_runtime import OnnxRuntime
from warmnet.deployment.int8 import quantize
from warmnet.deployment.metadata import describe
from warmnet.deployment.onnx_graph import to_onnx
from warmnet.deployment.predictor import Predictor
from warmnet.deployment.samples import Samples, synthetic_samples
from warmnet.deployment.verification import compare, verify
from warmnet.errors import InputError


def test_labelled_images_tell_the_accuracy_beside_the_models(model, data, tmp_path):
    found = export(model, tmp_path / "n", "torch", data=data)
    assert found.samples == "16 held-out images of noise"
    assert found.top1 == found.top1_model == 14 / 16
    assert "top-1 87.5%" in str(found)


def test_without_images_it_says_what_it_compared_on(model, tmp_path):
    assert "synthetic images" in str(export(model, tmp_path / "n", "torch"))


def test_a_network_that_is_not_the_model_is_not_written(model, tmp_path, monkeypatch):
    path = tmp_path / "n.pt2"
    path.write_bytes(b"as it was")
    make = ENGINES["torch"].build

    with monkeypatch.context() as patch, pytest.raises(DeployError, match="not the model: 1e-04 is allowed"):
        bias = model.classifier.bias.detach().clone()
        patch.setattr(ENGINES["torch"], "build", lambda *args: _of_another(make, *args))
        export(model, path, "torch")
    assert torch.equal(model.classifier.bias, bias)
    assert path.read_bytes() == b"as it was" and os.listdir(tmp_path) == ["n.pt2"]


def test_a_network_that_gives_all_images_of_a_call_the_logits_of_the_first_is_found_out(model):
    """However large the images are: of these, a predictor with two threads computes one at a time."""
    model = copy.deepcopy(model)
    model.preprocessing = Preprocessing(512)
    metadata = describe(model, "onnx", "fp32")
    graph = to_onnx(model, metadata)
    right = verify(model, Predictor(OnnxRuntime(graph.SerializeToString()), metadata, 2), synthetic_samples(metadata))
    logits = graph.graph.output[0].name
    for node in graph.graph.node:
        node.output[:] = ["each" if name == logits else name for name in node.output]
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.int64), "0"))
    first = onnx.helper.make_node("Gather", ["each", "0"], ["first"], axis=0)
    nothing = onnx.helper.make_node("Sub", ["each", "each"], ["nothing"])
    graph.graph.node.extend([first, nothing, onnx.helper.make_node("Add", ["first", "nothing"], [logits])])
    wrong = verify(model, Predictor(OnnxRuntime(graph.SerializeToString()), metadata, 2), synthetic_samples(metadata))
    assert right.error < 1e-4 < 1e-3 < wrong.error


class Branching(warmnet.WarmModule):
    """Its forward does for one image what it does for no other number of them, which torch.export does not see."""

    def forward(self, x):
        y = W.linear(x.mean((2, 3)), 2)
        return 2 * y if x.shape[0] == 1 else y


def test_a_network_that_is_another_for_one_image_is_refused(tmp_path):
    with pytest.raises(DeployError, match="not the model"):
        export(warmnet.up(Branching(), [2, 3, 32, 32]), tmp_path / "n", "torch", size=(3, 32, 32))


class Cautious(warmnet.WarmModule):
    """Its logits are no numbers for images higher than 40 pixels."""

    def forward(self, x):
        return W.linear(x.mean((2, 3)) / (torch.ones_like(x[0, 0]).sum(0).max() < 40), 2)


def test_logits_that_are_no_numbers_on_larger_images_alone_are_found(tmp_path):
    with pytest.raises(DeployError, match="not finite"):
        export(warmnet.up(Cautious(), [2, 3, 32, 32]), tmp_path / "n", "onnx", size=(3, 32, 32), dynamic_size=True)


def test_a_network_whose_logits_are_all_0_is_exported(model, tmp_path):
    silent = copy.deepcopy(model)
    for parameter in silent.parameters():
        parameter.detach().zero_()
    assert export(silent, tmp_path / "n", "torch").error == 0


def _of_another(make, model, *args):
    other = warmnet.WarmEfficientNet(model.variant, model.num_classes, **model.options, seed=1)
    other.preprocessing = model.preprocessing
    return make(other, *args)


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_bf16_is_bf16_and_says_what_it_changes(model, data, tmp_path, engine):
    found = export(model, tmp_path / "n", engine, precision="bf16", data=data, max_top1_drop=0.1)
    assert 1e-4 < found.error < 0.1 or not torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    assert found.top1 is not None and f"{found.top1:.1%} in bf16" in str(found)
    predictor = open_exported(tmp_path / f"n{ENGINES[engine].suffix}")
    assert predictor.precision == "bf16" and predictor.logits(np.zeros((2, 64, 64, 3), np.uint8)).dtype == np.float32


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_int8_is_calibrated_and_says_what_it_changes(model, data, tmp_path, engine):
    found = export(model, tmp_path / "n", engine, precision="int8", data=data, max_top1_drop=1.0)
    assert found.samples == "80 held-out images of noise"
    assert 1e-3 < found.error < 0.3 and found.agreement > 0.8
    assert found.top1_model == 0.9 and f"{found.top1:.1%} in int8" in str(found)
    assert f"a loss of {0.9 - found.top1:.1%} ± {found.drop_error:.1%}" in str(found)
    assert open_exported(tmp_path / f"n{ENGINES[engine].suffix}").precision == "int8"


def test_the_error_of_a_loss_is_that_of_the_samples_on_which_the_networks_differ_and_at_least_of_one():
    expected = torch.eye(3)[torch.arange(100) % 3].numpy()
    deployed = expected.copy()
    labels = expected.argmax(1)
    inputs = np.zeros((100, 64, 64, 3), np.uint8)

    def found(changed):
        deployed[:changed] = np.roll(expected[:changed], 1, axis=1)
        return compare(deployed, expected, Samples(inputs, labels, "100 images"), "int8")

    assert found(0).drop_error == 0.01 and found(0).top1_drop == 0
    assert found(4).drop_error == 0.02 and found(4).top1_drop == pytest.approx(0.04)


def test_a_loss_that_may_be_chance_is_refused_with_what_would_tell():
    few = Verification("int8", "20 images", 0.1, 0.95, 0.85, 0.90, drop_error=0.05)
    with pytest.raises(
        DeployError, match="5.0% ± 5.0% of top-1, and 1.00% is allowed.*So few images cannot tell: hold out more"
    ):
        few.require(0.01)
    many = Verification("int8", "1,000 images", 0.1, 0.95, 0.85, 0.90, drop_error=0.01)
    with pytest.raises(DeployError, match="5.0% ± 1.0% of top-1, and 1.00% is allowed.* Choose fp32"):
        many.require(0.01)


@pytest.mark.parametrize("images", (100, 200, 1000))
def test_a_loss_of_just_what_is_allowed_is_allowed(images):
    one_in_a_hundred = images // 100
    for right in range(one_in_a_hundred, images + 1):
        before, after = right / images, (right - one_in_a_hundred) / images
        Verification("int8", "images", 0.1, 0.95, after, before, drop_error=0.01).require(0.01)
        if after > 0:
            worse = Verification("int8", "images", 0.1, 0.95, after - 1 / images, before, drop_error=0.01)
            with pytest.raises(DeployError, match="1.00% is allowed"):
                worse.require(0.01)


def test_int8_is_refused_beyond_the_allowed_loss(model, data, tmp_path):
    with pytest.raises(DeployError, match="int8 loses .* of top-1, and -100.00% is allowed"):
        export(model, tmp_path / "n", precision="int8", data=data, max_top1_drop=-1.0)
    assert not [*tmp_path.iterdir()]


def test_int8_leaves_stem_gates_and_depthwise_convolutions_in_float(model, data):
    metadata = describe(model, "onnx", "int8")
    graph = quantize(to_onnx(model, metadata), synthetic_samples(metadata).inputs).graph
    quantized_tensors = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    in_int8 = [node for node in graph.node if node.op_type == "Conv" and {*node.input[:2]} <= quantized_tensors]
    weights = {output: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found = sorted(shapes[weights[node.input[1]]] for node in in_int8)
    wide = [
        m for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and "squeeze" not in name and m.kernel_size == (1, 1)
    ]
    assert found == sorted(tuple(m.weight.shape) for m in wide)


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"to": "tensorrt"}, "Unknown engine 'tensorrt'. Choose one of onnx, openvino, torch, aoti."),
        ({"precision": "bf16"}, "Choose one of fp32, int8; or openvino or torch or aoti."),
        ({"precision": "fp16"}, "Choose one of fp32, int8."),
        ({"precision": "int8"}, "Pass data"),
        ({"data": "pets"}, "data is 'pets', and not a data set"),
        ({"size": (3, 32, 32)}, "not that of the model's preprocessing"),
    ],
    ids=str,
)
def test_what_cannot_be_is_an_input_error(model, tmp_path, asked, words):
    with pytest.raises(InputError, match=words.replace(".", r"\.")):
        export(model, tmp_path / "n", **asked)
    assert not [*tmp_path.iterdir()]


def test_images_of_classes_that_the_network_does_not_know_are_refused(model, data, tmp_path):
    with pytest.raises(InputError, match="does not know the class 'hen'"):
        export(model, tmp_path / "n", data=Data("d", ("cat", "dog", "hen"), data.train, data.held_out))


@pytest.mark.parametrize(
    "verification, allowed",
    [
        (Verification("fp32", "", 9e-5, 1.0), True),
        (Verification("fp32", "", 2e-4, 1.0), False),
        (Verification("fp32", "", float("nan"), 1.0), False),
        (Verification("bf16", "", 0.09, 0.5), True),
        (Verification("bf16", "", 0.11, 1.0), False),
        (Verification("bf16", "", 0.11, 0.5, 0.895, 0.90), True),
        (Verification("int8", "", 0.11, 1.0, 0.88, 0.90), False),
        (Verification("int8", "", 0.11, 1.0, 0.92, 0.90), True),
    ],
    ids=str,
)
def test_what_is_near_enough(verification, allowed):
    if allowed:
        verification.require(0.01)
    else:
        with pytest.raises(DeployError):
            verification.require(0.01)


def test_a_file_of_weights_is_exported_and_a_predictor_made_of_it(model, tmp_path):
    warmnet.save(model, tmp_path / "weights.safetensors")
    export(tmp_path / "weights.safetensors", tmp_path / "n", "torch")
    inputs = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    there = deploy(tmp_path / "weights.safetensors", "torch").logits(inputs)
    assert np.allclose(open_exported(tmp_path / "n.pt2").logits(inputs), there, atol=1e-5)


@pytest.mark.parametrize("name", ["net.tflite", "net.pt", "net.safetensors", "net.TFLITE", "net.ckpt"])
def test_an_ending_of_another_program_is_refused(name, tmp_path):
    with pytest.raises(InputError, match=f"{name} ends as another program's files do. .* .onnx, .xml, .pt2, .aoti.pt2"):
        warmnet.export("lite0", tmp_path / name)
    assert not any(tmp_path.iterdir())
