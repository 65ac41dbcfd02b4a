"""Gates are what squeeze-and-excitation multiplies channels by."""

import pytest
import torch
from small_families import SMALL
from small_networks import images

import warmnet
from warmnet.errors import InputError

IMAGES = images(height=64, width=64)


@pytest.fixture
def model():
    small = warmnet.Variant(0.5, 0.5, 64, 0.2)
    return warmnet.WarmEfficientNet(small, 10, stages=warmnet.STAGES[:3], head=16, seed=0)


def test_a_gate_is_what_its_layers_compute(model):
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if path.endswith("squeeze_excitation.expand.bias"):
                parameter.normal_(std=2)
    asked = {}
    for path, module in model.named_modules():
        if path.endswith("squeeze_excitation.expand"):
            module.register_forward_hook(lambda module, x, y, path=path: asked.update({path: y.detach().sigmoid().flatten(1)}))
    model.eval()(IMAGES)
    found = warmnet.gates(model, IMAGES)
    assert [f"{path}.expand" for path in found] == [*asked] and len(found) == 3
    for gates, expected in zip(found.values(), asked.values()):
        assert gates.shape == expected.shape and gates.std() > 0.1
        torch.testing.assert_close(gates, expected, rtol=1e-5, atol=1e-6)


def test_gates_that_are_shut_are_0_and_open_ones_1(model):
    for bias, gate in (-200, 0), (50, 1):
        with torch.no_grad():
            model.stage_2.mb_block_1.squeeze_excitation.expand.bias.fill_(bias)
        assert (warmnet.gates(model, IMAGES)["stage_2.mb_block_1.squeeze_excitation"] == gate).all()


def test_the_gate_of_a_channel_that_is_0_is_not_known(model):
    norm = model.stage_1.mb_block_1.depthwise.bn
    with torch.no_grad():
        norm.weight[3] = norm.bias[3] = 0
    gates = warmnet.gates(model, IMAGES)["stage_1.mb_block_1.squeeze_excitation"]
    assert gates[:, 3].isnan().all() and gates.isnan().sum() == 2


def test_a_network_is_left_as_it_was_and_needs_no_gradients(model):
    modes = [module.training for module in model.modules()]
    expected = warmnet.gates(model, IMAGES)
    with torch.inference_mode():
        again = warmnet.gates(model, IMAGES)
    assert all(torch.equal(gates, again[path]) and not gates.requires_grad for path, gates in expected.items())
    assert [module.training for module in model.modules()] == modes == [True] * len(modes)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("family", ["lite", "mobilenet_v2", "resnet"])
def test_a_network_without_gates_says_so(family):
    model = SMALL[family](10)
    with pytest.raises(InputError, match=f"{type(model).__name__} has no gates"):
        warmnet.gates(model, IMAGES)
    assert len(warmnet.gates(SMALL["v2"](10), IMAGES)) > 0
