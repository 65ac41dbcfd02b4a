"""Gates are what squeeze-and-excitation multiplies channels by."""

import pytest
import torch
from small_families import SMALL
from small_networks import images

import warmnet
import warmnet.functional as W
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


class Gated(warmnet.WarmModule):
    """A network with a gate that ends as `end` says."""

    def __init__(self, end):
        super().__init__()
        self.end = end

    def forward(self, x):
        @warmnet.block
        def squeeze_excitation(x):
            gate = W.conv(W.global_average_pool(x), 4, 1, activation=torch.sigmoid)
            return self.end(x, gate)

        x = W.conv(x, 4, 3)
        return squeeze_excitation(x=x) if self.end is by_keyword else squeeze_excitation(x)


def times(x, gate):
    return x * gate


def by_keyword(x, gate):
    return x * gate


def in_place(x, gate):
    x *= gate
    return x


@pytest.mark.parametrize("end", [in_place, by_keyword])
def test_gates_of_a_block_that_writes_over_its_input_or_is_called_by_keyword_are_the_same(end):
    expected, found = (warmnet.gates(warmnet.up(Gated(each), IMAGES, seed=0), IMAGES) for each in (times, end))
    assert torch.equal(found["squeeze_excitation_1"], expected["squeeze_excitation_1"])


@pytest.mark.parametrize("end", [lambda x, gate: x + x * gate, lambda x, gate: gate], ids=["and a shortcut", "the gate alone"])
def test_what_is_more_or_less_than_a_gate_is_refused(end):
    with pytest.raises(InputError, match="'squeeze_excitation_1' outputs is not its input times gates"):
        warmnet.gates(warmnet.up(Gated(end), IMAGES, seed=0), IMAGES)


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
