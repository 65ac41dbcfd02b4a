import io
import math

import pytest
import torch
from torch import nn

from warmnet.errors import InputError
from warmnet.training.rmsprop import RMSpropTF


def parameters(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in [(4, 3, 2), (5,), (), (6, 1)]]


def set_gradients(params, step):
    """Of a size that changes a thousandfold, as in training."""
    generator = torch.Generator().manual_seed(step)
    for p in params:
        p.grad = (torch.randn(p.shape, generator=generator) * 10 ** (-3 * step / 1000)).to(p.dtype)


def rate(step):
    return 0.256 * step / 100 if step < 100 else 0.256 * 0.97 ** (step // 40)


def test_a_thousand_steps_are_the_formula():
    params = parameters()
    settings = [
        {"weight_decay": 1e-5},
        {"weight_decay": 0.0},
        {"weight_decay": 1e-2, "alpha": 0.95, "momentum": 0.8, "eps": 1e-8},
        {"momentum": 0.0},
    ]
    optimizer = RMSpropTF([{"params": [p], **s} for p, s in zip(params, settings)], lr=0.1)
    weights = [p.detach().clone() for p in params]
    ms, mom = [torch.ones_like(w) for w in weights], [torch.zeros_like(w) for w in weights]
    for step in range(1000):
        set_gradients(params, step)
        for i, group in enumerate(optimizer.param_groups):
            lr = group["lr"] = rate(step) * (i + 1)
            s = {"weight_decay": 0.0, "alpha": 0.9, "momentum": 0.9, "eps": 1e-3} | settings[i]
            g = params[i].grad + s["weight_decay"] * weights[i]
            ms[i] = s["alpha"] * ms[i] + (1 - s["alpha"]) * g**2
            mom[i] = s["momentum"] * mom[i] + lr * g / torch.sqrt(ms[i] + s["eps"])
            weights[i] = weights[i] - mom[i]
        optimizer.step()
        for p, w in zip(params, weights):
            torch.testing.assert_close(p.detach(), w, rtol=1e-12, atol=1e-12)
    assert all((p - start).abs().max() > 0.1 for p, start in zip(params, parameters())), "it has gone somewhere"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_that_was_saved_goes_on_bit_for_bit(dtype):
    def steps(params, optimizer, numbers):
        for step in numbers:
            set_gradients(params, step)
            optimizer.step()

    params = parameters(dtype)
    optimizer = RMSpropTF(params, lr=0.1, weight_decay=1e-5)
    steps(params, optimizer, range(10))
    file = io.BytesIO()
    torch.save((params, optimizer.state_dict()), file)
    steps(params, optimizer, range(10, 20))

    file.seek(0)
    resumed, state = torch.load(file, weights_only=False)
    again = RMSpropTF(resumed, lr=7.0)
    again.load_state_dict(state)
    steps(resumed, again, range(10, 20))
    assert all(torch.equal(a, b) for a, b in zip(params, resumed))


def test_with_the_papers_rates_torchs_first_steps_are_two_hundred_times_as_long():
    moved = []
    for optimizer_class in (RMSpropTF, lambda *args, **settings: torch.optim.RMSprop(*args, alpha=0.9, **settings)):
        weight = nn.Parameter(torch.zeros(1000))
        optimizer = optimizer_class([weight], lr=0.0, momentum=0.9, eps=1e-3)
        for step in range(30):
            optimizer.param_groups[0]["lr"] = 0.256 * step / 1563
            weight.grad = 1e-3 * torch.randn(1000, generator=torch.Generator().manual_seed(step))
            optimizer.step()
        moved.append(weight.abs().mean().item())
    assert 100 < moved[1] / moved[0] < 400


def test_what_has_no_gradient_is_left_alone():
    used, unused = parameters()[:2]
    optimizer = RMSpropTF([used, unused], lr=0.1, weight_decay=0.1)
    before = unused.detach().clone()
    used.grad = torch.ones_like(used)
    optimizer.step()
    assert torch.equal(unused, before) and unused not in optimizer.state
    RMSpropTF([nn.Parameter(torch.ones(1))], lr=0.1).step()


def test_a_closure_is_run_with_gradients_and_its_loss_returned():
    weight = nn.Parameter(torch.ones(3))
    optimizer = RMSpropTF([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 3 and (weight < 1).all()


def test_sparse_gradients_are_refused():
    embedding = nn.Embedding(4, 2, sparse=True)
    optimizer = RMSpropTF(embedding.parameters(), lr=0.1)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match="sparse gradients.*sparse=False"):
        optimizer.step()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"lr": -0.1}, "lr is -0.1; it must be 0 or more"),
        ({"lr": math.nan}, "lr is nan"),
        ({"lr": math.inf}, "lr is inf"),
        ({"lr": 0.1, "eps": -1.0}, "eps is -1.0"),
        ({"lr": 0.1, "weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"lr": 0.1, "alpha": 1.0}, "alpha is 1.0; .* from 0 to below 1"),
        ({"lr": 0.1, "momentum": -0.5}, "momentum is -0.5"),
    ],
)
def test_settings_that_cannot_be_are_refused_for_all_and_for_one_group(settings, message):
    with pytest.raises(InputError, match=message):
        RMSpropTF(parameters(), **settings)
    optimizer = RMSpropTF(parameters(), lr=0.1)
    with pytest.raises(InputError, match=message):
        optimizer.add_param_group({"params": parameters(), **settings})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_coarse_parameters_are_refused(dtype):
    with pytest.raises(InputError, match=f"{dtype}, too coarse .* Keep them float32"):
        RMSpropTF(parameters(dtype), lr=0.1)
