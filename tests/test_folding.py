"""In inference a batch normalization becomes part of the convolution before it, which only the time tells."""

import pytest
import torch
import torch.nn.functional as F
from alive import error, fill, images
from torch.overrides import TorchFunctionMode

import warmnet
import warmnet.functional as W
from warmnet import WarmModule

X = images(64, 64).float()


class Normalizations(TorchFunctionMode):
    """Counts the batch normalizations that are computed by themselves."""

    count = 0

    def __torch_function__(self, function, types, args=(), kw=None):
        self.count += function in (torch.batch_norm, F.batch_norm)
        return function(*args, **(kw or {}))


def normalizations(call):
    with Normalizations() as counted:
        y = call()
    return y, counted.count


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


def test_the_first_call_and_a_replayed_one_give_the_same_bits():
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
    """A convolution and its normalization, with something of the user's between, before or in place of them."""

    def __init__(self, use=lambda y: W.batch_norm(y, name="bn"), fold=True, **options):
        super().__init__()
        self.use, self.options = use, {"padding": "same", "bias": False, "fold": fold, "name": "conv", **options}

    def forward(self, x):
        return self.use(W.conv(x, 64, 3, **self.options))


def pair(*args, **kw):
    return fill(warmnet.up(Pair(*args, **kw), [1, 3, 8, 8], seed=0)).eval()


USES = {
    "an operator": lambda y: 2 * y,
    "in place": lambda y: y.mul_(3),
    "its shape": lambda y: y.shape,
    "an index": lambda y: y[:, :3],
    "a function": lambda y: F.relu(y),
    "a list of it": lambda y: torch.cat([y, y], 1),
    "another layer": lambda y: W.layer_norm(y),
    "NumPy": lambda y: y.numpy(),
    "two uses": lambda y: W.batch_norm(y, name="bn") + y,
    "nobody": lambda y: y,
    "a layer that passes it on": lambda y: W.drop_connect(y, 0.2),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_whatever_else_takes_the_output_says_what_to_do_about_it(use):
    with pytest.raises(TypeError, match="Take fold=True out of it"):
        pair(use)
    pair(use, fold=False)


def test_a_folded_convolution_has_no_activation_of_its_own():
    with pytest.raises(TypeError, match="fold=True .* Take one out"):
        pair(activation="relu")


class Scaled(W.Conv2d):
    def forward(self, x):
        return 3 * super().forward(x)


def scaled(model):
    model.conv.__class__ = Scaled


def linear(model):
    model.conv = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)


def biased(model):
    model.conv = fill(W.Conv2d(3, 64, 3, 1, "same", 1, 1, True, "zeros"))
    return model.conv


class Twice(torch.nn.Module):
    def forward(self, bias):
        return 2 * bias


def compiled(model):
    model.bn.forward = torch.compile(model.bn.forward, backend="eager")


EDITS = {
    "a class of the user's": scaled,
    "torch's own": linear,
    "a bias": biased,
    "a bias that is computed": lambda model: torch.nn.utils.parametrize.register_parametrization(
        biased(model), "bias", Twice()
    ),
    "normalized by the batch": lambda model: model.bn.train(),
    "no scale and no shift": lambda model: setattr(model, "bn", W.BatchNorm2d(64, affine=False)),
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
    model, plain = pair(), pair(fold=False)
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
    assert 0 < error(*(under_no_grad(pair(fold=fold, **options)) for fold in (True, False))) < 1e-6


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


@pytest.mark.parametrize(
    "setting", ["right", "no benchmark", "gradients", "autocast", "another activation", "a hook", "training"]
)
def test_the_kernel_for_gpus_is_asked_for_where_it_computes_what_the_layers_do(setting, monkeypatch):
    asked = []
    monkeypatch.setattr(W, "is_possible", lambda *args: asked.append(args) is not None)
    monkeypatch.setattr(W, "_folding_pays", lambda *args: False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", setting != "no benchmark")
    model = network(act=F.relu) if setting == "another activation" else network()
    model.train(setting == "training")
    if setting == "a hook":
        for module in model.modules():
            module.register_forward_hook(lambda *args: None)
    with torch.set_grad_enabled(setting == "gradients"), torch.autocast("cpu", torch.bfloat16, enabled=setting == "autocast"):
        model(X)
    assert len(asked) == (33 if setting == "right" else 0)
