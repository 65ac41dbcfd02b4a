import copy
import io

import pytest
import torch
from torch import nn

from warmnet.errors import InputError
from warmnet.training.ema import EMA


def network(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2)).to(dtype)


class Training:
    """A network that is trained with SGD on random numbers, and its average."""

    def __init__(self, **settings):
        self.model = network()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05)
        self.ema = EMA(self.model, **settings)

    def step(self, number):
        x = torch.randn(8, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
        self.optimizer.zero_grad()
        (self.model(x) - x.mean()).square().mean().backward()
        self.optimizer.step()
        self.ema.update()


def tensors(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    "settings, decay",
    [
        ({}, lambda t: min(0.9999, (1 + t) / (10 + t))),
        ({"decay": 0.9}, lambda t: min(0.9, (1 + t) / (10 + t))),  # reached at the 80th step
        ({"decay": 0.99, "constant": True}, lambda t: 0.99),
    ],
)
def test_two_hundred_steps_are_the_formula_for_weights_and_statistics(settings, decay):
    training = Training(**settings)
    expected = tensors(training.model)
    for t in range(1, 201):
        training.step(t)
        for key, value in training.model.state_dict().items():
            expected[key] = decay(t) * expected[key] + (1 - decay(t)) * value
    expected["1.num_batches_tracked"] = torch.tensor(200)
    assert {"1.running_mean", "1.running_var"} <= expected.keys()
    with training.ema.swapped() as model:
        found = tensors(model)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-12, atol=1e-12)
        assert key == "1.num_batches_tracked" or not torch.allclose(value, training.model.state_dict()[key], rtol=1e-6)


def test_a_run_that_was_saved_goes_on_bit_for_bit():
    training, resumed = Training(), Training()
    for t in range(20):
        training.step(t)
    file = io.BytesIO()
    torch.save((training.model.state_dict(), training.ema.state_dict()), file)
    for t in range(20, 40):
        training.step(t)

    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    resumed.model.load_state_dict(weights)
    resumed.ema.load_state_dict(state)
    for t in range(20, 40):
        resumed.step(t)
    assert same(training.ema.average, resumed.ema.average) and training.ema.updates == resumed.ema.updates == 40


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_the_average_while_swapped_and_itself_again_whatever_happens(fails):
    training = Training()
    for t in range(10):
        training.step(t)
    own, average, parameters = tensors(training.model), copy.deepcopy(training.ema.average), [*training.model.parameters()]
    x = torch.ones(2, 3, 5, 5, dtype=torch.float64)
    copied = network()
    copied.load_state_dict(average)
    try:
        with training.ema.swapped() as model:
            assert model is training.model and same(tensors(model), average)
            assert torch.equal(model.eval()(x), copied.eval()(x))
            model.train()(x)  # changes the statistics
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert same(tensors(training.model), own) and not same(own, average)
    assert same(training.ema.average, average)
    assert all(a is b for a, b in zip(training.model.parameters(), parameters)), "for the optimizer they are the same"
    assert all(p.requires_grad for p in parameters)


def test_a_model_in_bfloat16_is_averaged_in_float32():
    model = network(torch.bfloat16)
    ema = EMA(model, 0.999, constant=True)
    start = model[0].weight.detach().float().clone()
    with torch.no_grad():
        model[0].weight += 1
    for _ in range(10):
        ema.update()
    moved = ema.average["0.weight"] - start
    torch.testing.assert_close(moved, (1 - 0.999**10) * (model[0].weight.detach().float() - start), rtol=1e-3, atol=0)
    own = tensors(model)
    with ema.swapped():
        assert model[0].weight.dtype == torch.bfloat16 and not same(tensors(model), own)
    assert same(tensors(model), own)


def test_the_average_does_not_share_memory_with_the_model_nor_go_into_autograd():
    training = Training()
    before = copy.deepcopy(training.ema.average)
    with torch.no_grad():
        for p in training.model.parameters():
            p.zero_()
    assert same(training.ema.average, before)
    training.ema.update()
    assert not any(value.requires_grad for value in training.ema.average.values())


@pytest.mark.parametrize("updates, decay", [(89_989, 89_990 / 89_999), (89_990, 0.9999), (10**6, 0.9999)])
def test_the_papers_rule_reaches_its_bound_after_89_990_updates(updates, decay):
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    ema = EMA(model)
    nn.init.ones_(model.weight)
    ema.updates = updates - 1
    ema.update()
    assert 1 - ema.average["weight"].item() == pytest.approx(decay, abs=1e-12)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_that_cannot_be_is_refused(decay):
    with pytest.raises(InputError, match=f"decay is {decay}"):
        EMA(network(), decay)


def test_the_average_of_another_model_is_refused():
    ema = EMA(network())
    with pytest.raises(InputError, match="of another model.*(weight|bias|running)"):
        ema.load_state_dict(EMA(nn.Linear(2, 2)).state_dict())
