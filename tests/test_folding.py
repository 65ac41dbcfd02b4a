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


class Between(WarmModule):
    """A convolution that is offered to a normalization, which somebody comes before."""

    def __init__(self, use):
        super().__init__()
        self.use = use

    def forward(self, x):
        y = W.conv(x, 64, 3, padding="same", bias=False, fold=True, name="conv")
        return self.use(y)


USES = {
    "an operator": lambda y: 2 * y + 1,
    "in place": lambda y: y.mul_(3),
    "its shape": lambda y: torch.ones(y.shape) + y,
    "an index": lambda y: y[:, :3],
    "a list of it": lambda y: torch.cat([y, y], 1),
    "another normalization": lambda y: F.group_norm(y, 8),
    "a plain normalization": lambda y: W.batch_norm(y, affine=False, name="bn"),
    "one of the batch": lambda y: W.batch_norm(y, track_running_stats=False, name="bn"),
    "two uses": lambda y: W.batch_norm(y, name="bn") + y,
    "NumPy": lambda y: torch.from_numpy(y.numpy() + 1),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_whatever_else_takes_the_output_gets_the_convolution(use):
    model = fill(warmnet.up(Between(use), [1, 3, 8, 8], seed=0)).eval()
    with torch.no_grad():
        y, convolved = model(X), model.conv(X)
        expected = model.bn(convolved) if "bn" in model._modules else use(convolved.clone())
        expected = expected + convolved if use is USES["two uses"] else expected
        assert error(y, expected) < 1e-6
        assert type(y) is torch.Tensor


def test_a_wrong_number_of_channels_is_told_as_ever():
    model = network()
    with torch.no_grad(), pytest.raises(warmnet.MismatchError, match="'stem.conv' was built for 3 input channels"):
        model.stem(torch.zeros(2, 4, 64, 64))
