"""A frozen network is the model, with nothing left in it that can be computed beforehand."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from alive import error, fill

import warmnet
import warmnet.functional as W
from warmnet.deployment import DeployError
from warmnet.deployment.frozen import freeze
from warmnet.deployment.metadata import describe
from warmnet.deployment.onnx_graph import to_onnx


def pixels(batch, height, width):
    return torch.randint(0, 256, (batch, height, width, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def expected(model, x):
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.preprocessing.mean, model.preprocessing.std))
    with torch.no_grad():
        return model((x.permute(0, 3, 1, 2) / 255 - mean) / std)


def kinds(program):
    return Counter(str(node.target) for node in program.graph.nodes if node.op == "call_function")


@pytest.mark.parametrize("side", [64, 75])
def test_it_computes_what_the_model_computes_for_any_batch(network, side):
    model = network(side)
    program = freeze(model, model.preprocessing, (3, side, side))
    for batch in (1, 2, 5):
        x = pixels(batch, side, side)
        assert error(program.module()(x).detach(), expected(model, x)) < 1e-5


def test_batch_norms_are_folded_and_depthwise_pads_are_in_the_kernels(model):
    found = kinds(freeze(model, model.preprocessing, (3, 64, 64)))
    assert found["aten.batch_norm.default"] == 0
    assert found["aten.pad.default"] == 1, "the stem's alone: its kernel is not depthwise"


@pytest.mark.parametrize("dynamic_size", [False, True])
def test_the_onnx_graph_has_neither_batch_norms_nor_pads_nor_arithmetic_with_shapes(model, dynamic_size):
    graph = to_onnx(model, describe(model, "onnx", "fp32", dynamic_size)).graph
    found = Counter(node.op_type for node in graph.node)
    layers = sum(isinstance(module, torch.nn.Conv2d) for module in model.modules())
    assert found.pop("Conv") == layers
    assert set(found) <= {"Transpose", "Cast", "Sub", "Mul", "Add", "Sigmoid", "GlobalAveragePool", "Gemm", "Reshape"}
    attributes = [{a.name: a for a in node.attribute} for node in graph.node if node.op_type == "Conv"]
    asymmetric = [a for a in attributes if "pads" in a and a["pads"].ints[0] != a["pads"].ints[2]]
    same = [a for a in attributes if "auto_pad" in a and a["auto_pad"].s == b"SAME_UPPER"]
    assert len(same if dynamic_size else asymmetric) == 2, "the layers of stride 2"


def test_the_model_is_left_as_it_was(network):
    model = network().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    freeze(model, model.preprocessing, (3, 64, 64), dynamic_size=True, to_onnx=True)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Edited(warmnet.WarmModule):
    """Whatever could disturb the folding: biases, shared and unaffine norms, norms of several, of no convolution, own pads."""

    def __init__(self):
        super().__init__()
        warmnet.up(self, [2, 3, 33, 33], seed=0)

    def forward(self, x):
        x = W.batch_norm(x, name="first")
        x = W.conv(x, 8, 3, stride=2, padding="same", bias=True, name="biased")
        y = W.batch_norm(x, affine=False, activation="hardswish", name="plain")
        z = W.batch_norm(x, activation=F.gelu, name="seen_twice")
        x = torch.cat([y, z], 1)
        x = W.conv(F.pad(x, (0, 1, 0, 2)), 16, 3, stride=2, groups=16, name="own_pad")
        x = W.conv(F.pad(x, (2, 1)), 16, 2, groups=16, name="other_pad")
        x = W.conv(x, 16, 1, name="shared", share=True)
        x = W.batch_norm(W.conv(x, 16, 1, name="shared", share=True), name="after_shared")
        x = W.batch_norm(W.linear(x.amax((2, 3)), 16), activation=torch.tanh, name="last")
        return W.linear(x, 10, name="classifier")


@pytest.mark.parametrize("to_onnx", [False, True])
def test_edited_networks_are_frozen_exactly(to_onnx):
    model, x = Edited(), torch.randn(8, 3, 33, 33, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.train()(x)
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_var.mul_(1.5)
        y = model.eval()(x)
    assert y.std() > 0.1
    assert error(freeze(model, None, (3, 33, 33), to_onnx=to_onnx).module()(x).detach(), y) < 1e-5


class TwoOutputs(warmnet.WarmModule):
    def __init__(self):
        super().__init__()
        warmnet.up(self, [2, 3, 8, 8], seed=0)

    def forward(self, x):
        x = W.conv(x, 4, 1)
        return x, x


def test_a_network_of_several_outputs_is_refused():
    with pytest.raises(DeployError, match="gives one tensor; this one gives a tuple"):
        freeze(TwoOutputs(), None, (3, 8, 8))


class Volumes(warmnet.WarmModule):
    def forward(self, x):
        y = W.conv(x[:, :, None], 8, 3, padding="same", stride=2, activation="relu")
        return W.linear(W.batch_norm(y).mean((2, 3, 4)), 3)


def test_convolutions_of_three_dimensions_are_frozen_too():
    model = fill(warmnet.up(Volumes(), [1, 3, 16, 16], seed=0)).eval()
    x = torch.rand(5, 3, 16, 16)
    assert error(freeze(model, None, (3, 16, 16)).module()(x).detach(), model(x).detach()) < 1e-5


class Branching(warmnet.WarmModule):
    def forward(self, x):
        y = W.linear(x.mean((2, 3)), 3)
        return y if x.shape[0] < 12 else 2 * y


class OfTwo(warmnet.WarmModule):
    def forward(self, x):
        return W.linear(x.mean((2, 3)), 3).view(2, 3)


@pytest.mark.parametrize("kind, fitting", [(Branching, "2 to 11"), (OfTwo, "2")])
def test_a_network_that_takes_some_batches_otherwise_is_refused(kind, fitting):
    model = warmnet.up(kind(), [2, 3, 16, 16], seed=0).eval()
    with pytest.raises(DeployError, match=rf"{kind.__name__} does not do the same .* known for {fitting}\. Take"):
        freeze(model, None, (3, 16, 16))


class Same(warmnet.WarmModule):
    same = True

    def forward(self, x):
        return W.linear(W.conv(x, 8, 3, padding="same", stride=2, activation="relu").mean((2, 3)), 3)


def test_an_attribute_of_the_users_may_be_called_same():
    model = fill(warmnet.up(Same(), [1, 3, 16, 16], seed=0)).eval()
    assert "SAME_UPPER" in str(to_onnx(model, describe(model, "onnx", "fp32", True, (3, 16, 16))).graph)


def test_preprocessing_for_three_channels_is_refused_for_a_network_of_one(network):
    model = network(in_channels=1)
    with pytest.raises(DeployError, match=r"takes 1\. Set model.preprocessing = None"):
        describe(model, "torch", "fp32")
