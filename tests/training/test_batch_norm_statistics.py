from dataclasses import replace

import pytest
import torch
from torch import nn

import warmnet
from warmnet import training
from warmnet.errors import InputError
from warmnet.training.batch_norm_statistics import recalibrate_batch_norm
from warmnet.training.recipe import DIGITS

pytestmark = pytest.mark.usefixtures("undrawn")
DATA = training.digits()
TINY = warmnet.Variant(width=0.25, depth=0.3, resolution=32, dropout=0.5)


def batches(count=4, size=8):
    return list(torch.randn(count, size, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


def network():
    return warmnet.WarmEfficientNet(TINY, 5, seed=0, drop_connect=0.5)


def norms(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}


def tensors(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def outside(model):
    """All that shall stay: everything but the running statistics."""
    settings = [(m.training, getattr(m, "momentum", None)) for m in model.modules()]
    kept = {key: value.tolist() for key, value in model.state_dict().items() if "running_" not in key}
    return settings, kept, [p.requires_grad for p in model.parameters()]


def mixed_up():
    """A network with every mode, momentum and gradient in more than one state."""
    model = network().train()
    model.stage_2.eval()
    model.stage_3.requires_grad_(False)
    model.stem.bn.momentum = 0.3
    model.head.bn.num_batches_tracked += 7
    return model


def test_statistics_are_the_means_over_batches_by_hand():
    model = network().eval()
    inputs = {name: [] for name in norms(model)}
    hooks = [m.register_forward_hook(lambda m, x, y, name=name: inputs[name].append(x[0])) for name, m in norms(model).items()]
    recalibrate_batch_norm(model, iter(batches()))
    for hook in hooks:
        hook.remove()
    for name, norm in norms(model).items():
        assert len(inputs[name]) == 4
        mean = torch.stack([x.double().mean((0, 2, 3)) for x in inputs[name]]).mean(0)
        var = torch.stack([x.double().transpose(0, 1).flatten(1).var(1) for x in inputs[name]]).mean(0)
        torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(norm.running_var.double(), var, rtol=1e-5, atol=1e-5)


def test_nothing_is_dropped_and_layers_see_what_the_batch_normalizes():
    model, dropless = network().train(), warmnet.WarmEfficientNet(TINY, 5, seed=0, drop_connect=0.0, dropout=0.0).train()
    for norm in norms(dropless).values():
        norm.momentum = 1.0  # of one batch the statistics are its own
    x = batches(1)[0]
    dropless(x)
    recalibrate_batch_norm(model, [x])
    for name, norm in norms(dropless).items():
        torch.testing.assert_close(norms(model)[name].running_var, norm.running_var)


def test_all_else_is_as_before():
    model = mixed_up()
    before, statistics, rng = outside(model), tensors(model), torch.get_rng_state()
    recalibrate_batch_norm(model, torch.utils.data.DataLoader(batches(), batch_size=None, shuffle=True))
    assert outside(model) == before and torch.equal(torch.get_rng_state(), rng)
    assert all(not torch.equal(norm.running_mean, statistics[f"{name}.running_mean"]) for name, norm in norms(model).items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("error, stop", [(KeyboardInterrupt, 2), (InputError, 0)])
def test_after_an_error_the_statistics_are_as_before_too(error, stop):
    def interrupted():
        yield from batches()[:stop]
        if stop:
            raise KeyboardInterrupt

    model = mixed_up()
    before, own = outside(model), tensors(model)
    with pytest.raises(error):
        recalibrate_batch_norm(model, interrupted())
    assert outside(model) == before
    assert all(torch.equal(value, own[key]) for key, value in model.state_dict().items())


def test_a_network_whose_statistics_were_spoilt_recovers_its_accuracy(tmp_path):
    data = replace(DATA, train=DATA.train[::2], held_out=DATA.held_out[::2])
    run = training.fit(data, replace(DIGITS, epochs=4), tmp_path, variant=TINY)
    model = warmnet.WarmEfficientNet.from_pretrained(run.folder)

    def stacked(samples):
        return torch.stack([model.preprocessing(sample.image) for sample in samples])

    def accuracy():
        with torch.no_grad():
            found = model.eval()(stacked(data.held_out)).argmax(1)
        return (found == torch.tensor([label for _, label in data.held_out])).float().mean().item()

    whole = accuracy()
    for norm in norms(model).values():
        norm.reset_running_stats()
    spoilt = accuracy()
    recalibrate_batch_norm(model, stacked(data.train).split(128))
    assert spoilt < 0.5 < 0.85 < whole and accuracy() > whole - 0.02
