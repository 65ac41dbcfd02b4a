"""In inference a batch normalization becomes part of the convolution before it, which only time and rounding tell."""

import copy

import pytest
import torch
import torch.nn.functional as F
from alive import error, fill, images

import warmnet
import warmnet.functional as W
from warmnet import WarmModule

X = images(64, 64).float()


def normalizations(call):
    """What a call gives, and how many batch normalizations were computed by themselves."""
    with torch.profiler.profile() as profile:
        y = call()
    events = profile.profiler.kineto_results.events()  # as they were recorded: to sum 300,000 of them takes torch half a minute
    return y, sum(event.name() == "aten::batch_norm" for event in events)


def network(dtype=torch.float32, **options):
    return fill(warmnet.WarmEfficientNet("b0", 10, **options)).to(dtype).eval()


@pytest.mark.parametrize("dtype, allowed", [(torch.float32, 5e-6), (torch.float64, 1e-13)])
def test_it_computes_what_the_two_layers_do(dtype, allowed):
    model, x = network(dtype), X.to(dtype)
    y, by_themselves = normalizations(lambda: model(x))
    with torch.no_grad():
        folded, fewer = normalizations(lambda: model(x))
    assert by_themselves == 49 and 0 < fewer < 45
    assert 0 < error(folded, y) < allowed


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(
    "path", ["stem", "stage_2.mb_block_1.expand", "stage_2.mb_block_1.depthwise", "stage_3.mb_block_2.expand"]
)
def test_a_layer_rounds_no_more_than_twice_as_much_as_torchs(path, layout):
    """Each is compared with float64, on the numbers that reach it in the network."""
    model, given = network(), []
    model.get_submodule(path).register_forward_pre_hook(lambda module, args: given.append(args[0]))
    x = images(224, 224).float().contiguous(memory_format=layout)
    block = network().to(memory_format=layout).get_submodule(path)
    with torch.no_grad():
        model(x)
        truth = copy.deepcopy(block).double()(given[0].double())
        own, count = normalizations(lambda: block(given[0]))
        block.conv.register_forward_hook(lambda module, args, y: None)
        torchs, apart = normalizations(lambda: block(given[0]))
    assert (count, apart) == (0, 1)
    assert 0 < error(own.double(), truth) <= 2 * error(torchs.double(), truth) < 1e-5


def test_every_call_gives_the_same_bits():
    model = network()
    with torch.inference_mode():
        assert len({model(X).numpy().tobytes() for _ in range(8)}) == 1


def test_it_follows_every_change_of_the_tensors_even_behind_their_backs():
    model, other = network(), network(seed=1)
    with torch.no_grad():
        for _ in range(5):
            before = model(X)
        model.stem.conv.weight.data.mul_(2)
        model.stem.bn.running_var.data.mul_(3)
        other.load_state_dict(model.state_dict())
        assert not torch.equal(model(X), before)
        assert torch.equal(model(X), other(X))


@pytest.mark.parametrize("mode", ["training", "gradients", "bfloat16", "autocast"])
def test_elsewhere_every_normalization_is_computed(mode):
    model = network(torch.bfloat16 if mode == "bfloat16" else torch.float32).train(mode == "training")
    with torch.set_grad_enabled(mode == "gradients"), torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast"):
        assert normalizations(lambda: model(X.to(model.stem.conv.weight.dtype)))[1] == 49


def test_a_hook_on_the_convolution_sees_its_output_and_what_it_returns_counts():
    model, seen = network(), []
    with torch.no_grad():
        expected = model.stem.bn(model.stem.conv(X) + 1)
        model.stem.conv.register_forward_hook(lambda module, args, y: seen.append(y) or y + 1)
        assert torch.equal(model.stem(X), F.silu(expected))
    assert type(seen[0]) is torch.Tensor and seen[0].shape == (2, 32, 32, 32)


class Pair(WarmModule):
    """A convolution and its normalization, as a pair or one after the other."""

    def __init__(self, together=True, **options):
        super().__init__()
        self.together, self.options = together, {"padding": "same", **options}

    def forward(self, x):
        if self.together:
            return W.conv_batch_norm(x, 64, 3, names=("conv", "bn"), **self.options)
        return W.batch_norm(W.conv(x, 64, 3, bias=False, name="conv", **self.options), name="bn")


def pair(*args, **kw):
    return fill(warmnet.up(Pair(*args, **kw), [1, 3, 8, 8], seed=0)).eval()


def test_a_pair_is_the_two_layers_in_names_values_and_training():
    together, apart = warmnet.up(Pair(), [1, 3, 8, 8], seed=3), warmnet.up(Pair(False), [1, 3, 8, 8], seed=3)
    assert str(together) == str(apart) and together.state_dict().keys() == apart.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(together.state_dict().values(), apart.state_dict().values()))
    assert torch.equal(together(X), apart(X)) and torch.equal(together.bn.running_var, apart.bn.running_var)
    unnamed = warmnet.up(type("Net", (WarmModule,), {"forward": lambda self, x: W.conv_batch_norm(x, 4, 1)})(), [1, 3, 8, 8])
    assert [name for name, _ in unnamed.named_children()] == ["conv_1", "batch_norm_1"]


class Scaled(torch.nn.Conv2d):
    def forward(self, x):
        return 3 * super().forward(x)


def scaled(model):
    model.conv.__class__ = Scaled


def linear(model):
    model.conv = fill(torch.nn.Conv2d(3, 64, 3, padding=1, bias=False, padding_mode="reflect"))


def biased(model):
    model.conv = fill(torch.nn.Conv2d(3, 64, 3, padding=1))
    return model.conv


class Twice(torch.nn.Module):
    def forward(self, bias):
        return 2 * bias


def compiled(model):
    model.bn.forward = torch.compile(model.bn.forward, backend="eager")


EDITS = {
    "a class of the user's": scaled,
    "another convolution": linear,
    "a bias": biased,
    "a bias that is computed": lambda model: torch.nn.utils.parametrize.register_parametrization(
        biased(model), "bias", Twice()
    ),
    "normalized by the batch": lambda model: model.bn.train(),
    "no scale and no shift": lambda model: setattr(model, "bn", torch.nn.BatchNorm2d(64, affine=False)),
    "no normalization": lambda model: setattr(model, "bn", torch.nn.Identity()),
    "another's forward": compiled,
    "a hook before": lambda model: model.conv.register_forward_pre_hook(lambda module, args: (args[0] + 1,)),
    "a hook after": lambda model: model.conv.register_forward_hook(lambda module, args, y: y + 1),
    "a hook before the normalization": lambda model: model.bn.register_forward_pre_hook(lambda module, args: (args[0] * 2,)),
    "a parametrization": lambda model: torch.nn.utils.parametrizations.spectral_norm(model.conv),
    "hooks everywhere": lambda model: torch.nn.modules.module.register_module_forward_pre_hook(lambda module, args: None),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_modules_that_are_not_just_a_convolution_and_a_normalization_are_computed_as_they_are(edit):
    model, plain = pair(), pair(False)
    with torch.no_grad():
        assert 0 < error(model(X), plain(X)) < 1e-6, "it was folded"
        assert torch.equal(*(after(edit, each) for each in (model, plain)))


def after(edit, model):
    torch.manual_seed(0)
    handle = edit(model)
    try:
        return model(X)
    finally:
        getattr(handle, "remove", lambda: None)()


def under_no_grad(model):
    with torch.no_grad():
        return model(X)


@pytest.mark.parametrize("options", [{"stride": 2}, {"groups": 1, "dilation": 2}, {"padding": "symmetric"}], ids=str)
def test_it_follows_the_convolutions_settings(options):
    assert 0 < error(*(under_no_grad(pair(together, **options)) for together in (True, False))) < 1e-6


def test_weights_that_are_mapped_over_are_not_folded():
    model = pair()
    stacked = {key: torch.stack([p, 2 * p]) for key, p in model.named_parameters()}
    with torch.no_grad():
        both = torch.vmap(lambda p: torch.func.functional_call(model, p, (X,)))(stacked)
        assert error(both[0], model(X)) < 1e-6 and error(both[1], both[0]) > 0.1


def test_a_wrong_number_of_channels_is_told_as_ever():
    model = network()
    with torch.no_grad(), pytest.raises(warmnet.MismatchError, match="'stem.conv' was built for 3 input channels"):
        model.stem(torch.zeros(2, 4, 64, 64))
