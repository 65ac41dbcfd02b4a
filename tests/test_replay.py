"""A replayed call is the call, bit for bit; and nothing that was done to the network in between is missed."""

import copy
import functools
import gc
import pickle
import sys
import threading
import weakref

import pytest
import torch
import torch.nn.functional as F
from alive import fill
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parametrize, prune

import warmnet
from warmnet import replay
from warmnet.efficientnet import conv_bn_act, mb_block

TINY = warmnet.Variant(width=0.25, depth=0.3, resolution=32, dropout=0.2)
X = torch.randn(4, 3, 40, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def replays(monkeypatch):
    """The number of calls that were replayed so far, of any network."""
    record, count = replay._recorded, []

    def recorded(*args):
        y, run = record(*args)
        return y, lambda x: count.append(run.__name__) or run(x)

    monkeypatch.setattr(replay, "_recorded", recorded)
    return lambda: count.count("replay")


def made(**options):
    return fill(warmnet.WarmEfficientNet(TINY, 10, seed=1, **options)).eval()


def called(model, x=X):
    with torch.no_grad():
        return model(x)


def without_replay(model, x=X):
    """What a network gives that was never called before."""
    return called(copy.deepcopy(model), x)


def used(model, x=X):
    """`model`, whose next call will be replayed if nothing changes."""
    for _ in range(replay.PLAIN + 1):
        called(model, x)
    return model


@pytest.mark.parametrize("options", [{}, {"se_ratio": 0, "act": F.relu}, {"output_stride": 8}, {"padding": "symmetric"}])
def test_calls_like_those_before_are_replayed_bit_for_bit(options, replays):
    model = used(made(**options))
    assert replays() == 0
    for x in (X, X + 1, X.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(called(model, x), without_replay(model, x))
    assert replays() == 3 and called(model).std() > 0.01


@pytest.mark.parametrize("x", [X, F.interpolate(X, (100, 96))], ids=["small", "large"])
def test_training_steps_are_replayed_bit_for_bit(replays, x):
    """Logits, gradients, statistics and what dropout and drop connect draw; where gradients.py takes part, too."""
    networks = made(drop_connect=0.5).train(), made(drop_connect=0.5).train()
    for step in range(replay.PLAIN + 3):
        replay._plans.pop(networks[0], None)
        for model in networks:
            torch.manual_seed(step)
            F.cross_entropy(model(x + step), torch.arange(4)).backward()
    assert replays() == 2
    for (name, a), b in zip(networks[0].named_parameters(), networks[1].parameters()):
        assert torch.equal(a.grad, b.grad) and a.grad.abs().max() > 0, name
    for a, b in zip(networks[0].buffers(), networks[1].buffers()):
        assert torch.equal(a, b)


def test_each_shape_mode_and_precision_is_a_call_of_its_own(replays):
    model = used(made())
    for x in (X[:2], X[:, :, :32], X[:1]):
        assert torch.equal(called(model, x), without_replay(model, x))
    with torch.enable_grad():
        assert model(X).requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(called(used(model)), without_replay(model)) and called(model).dtype == torch.bfloat16
    assert replays() == 2
    for n in range(40):
        called(model, torch.randn(1, 3, 32 + n, 32))
    assert len(replay._plans[model]) <= replay.MOST


def scale_batch_norm(model):
    model.stem.bn.weight.data.mul_(2)


def load(model):
    model.load_state_dict(made(drop_connect=0.1).state_dict() | {"classifier.bias": torch.arange(10.0)})


def assign(model):
    model.load_state_dict({key: value + 0.01 for key, value in model.state_dict().items()}, assign=True)


def replace_the_classifier(model):
    model.classifier = nn.Linear(model.classifier.in_features, 10)


def replace_a_parameter(model):
    model.stem.conv.weight = nn.Parameter(model.stem.conv.weight * 2)


def change_a_setting(model):
    model.head.bn.eps = 0.5


def change_an_option(model):
    model.options["act"] = F.relu


def parametrize_a_weight(model):
    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    parametrize.register_parametrization(model.head.conv, "weight", Double())


def prune_a_weight(model):
    prune.l1_unstructured(model.head.conv, "weight", 0.5)


def patch_forward(model):
    forward = model.stage_2.forward
    model.stage_2.forward = lambda *args, **kw: forward(*args, **kw) * 2


def let_a_part_train(model):
    model.stem.bn.train()


def rewrite_an_output(model):
    model.stage_3.register_forward_hook(lambda module, args, y: y * 2)


def edit_the_code(model):
    mb_block.__wrapped__.__code__ = doubled.__code__  # as %autoreload 2 does


def doubled(x, size, expand=1, kernel=3, stride=1, dilation=1, se_ratio=0.25, drop=0.0, act=F.silu, **conv):
    y = conv_bn_act(x, x.shape[1] * expand, act=act, name="expand", **conv) if expand > 1 else x
    y = conv_bn_act(y, y.shape[1], kernel, stride, y.shape[1], dilation, act, name="depthwise", **conv)
    return conv_bn_act(y, size, act=None, name="project", **conv)


def write_into_children(model):
    model._modules["classifier"] = nn.Linear(model.classifier.in_features, 10)


def write_into_hooks(model):
    model.stage_3._forward_hooks[7] = lambda module, args, y: y * 2


CHANGES = [
    scale_batch_norm, load, assign, replace_the_classifier, replace_a_parameter, change_a_setting, change_an_option,
    parametrize_a_weight, prune_a_weight, patch_forward, let_a_part_train, rewrite_an_output,
    write_into_children, write_into_hooks, edit_the_code,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_that_is_done_to_the_network_is_missed(change):
    model, code = used(made()), mb_block.__wrapped__.__code__
    before = called(model)
    change(model)
    now = [called(model) for _ in range(6)]
    assert not torch.equal(now[0], before) and all(torch.equal(y, now[0]) for y in now)
    mb_block.__wrapped__.__code__ = code


def test_in_another_precision_and_back(replays):
    model = used(made())
    wide = model.double()
    assert torch.equal(called(wide, X.double()), without_replay(wide, X.double()))
    with pytest.raises(warmnet.MismatchError, match="has weights in torch.float64 and is given torch.float32"):
        called(wide)
    used(model.float())
    assert torch.equal(called(model), without_replay(model)) and replays() == 1
    model.stem.conv.weight.data = model.stem.conv.weight.data.double()
    with pytest.raises(warmnet.MismatchError, match="'stem.conv' has weights in torch.float64"):
        called(model)


def test_hooks_are_called_each_time_from_the_first_on(replays):
    model, seen = used(made()), []
    conv = model.stage_4.mb_block_1.depthwise.conv
    conv.register_forward_hook(lambda *args: seen.append(1))
    used(model)
    conv.register_forward_pre_hook(lambda *args: seen.append(1))
    used(model)
    assert len(seen) == 3 * (replay.PLAIN + 1)
    model, seen = used(made()), []
    handle = nn.modules.module.register_module_forward_hook(lambda *args: seen.append(1))
    called(model)
    handle.remove()
    assert len(seen) > 50 and replays() == 0


def test_other_weights_for_one_call(replays):
    model = used(made())
    other = {key: value * 1.5 for key, value in model.state_dict().items()}
    given = copy.deepcopy(model)
    given.load_state_dict(other)
    with torch.no_grad():
        assert torch.equal(functional_call(model, other, X), called(given))
        stacked = {key: torch.stack([value, other[key]]) for key, value in model.state_dict().items()}
        both = torch.vmap(functools.partial(functional_call, model), in_dims=(0, None))(stacked, X)
    torch.testing.assert_close(both, torch.stack([without_replay(model), called(given)]), rtol=1e-3, atol=1e-4)
    assert torch.equal(called(model), without_replay(model)) and replays() >= 1


def test_copies_and_pickles_have_their_own_weights(replays):
    model = used(made())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        before = called(used(twin))
        for tensor in model.parameters():
            tensor.data += 0.01
        assert torch.equal(called(twin), before) and not torch.equal(called(model), before)
    assert replays() >= 4


def test_endpoints_are_seen(replays):
    model = used(made())
    ends = warmnet.Endpoints(model, ["stage_2", "logits"])
    for _ in range(6):
        seen = ends(X)
    assert seen["stage_2"].shape[2:] == (10, 8) and torch.equal(called(model), seen["logits"]) and replays() == 1


def test_a_function_of_somebody_elses_is_called_each_time(replays):
    calls = []

    @warmnet.block
    def mine(x, *args, **kw):
        calls.append(x.shape)
        return mb_block.__wrapped__(x, *args, **kw)

    model = made(block=mine)
    calls.clear()
    outputs = [called(model) for _ in range(6)]
    assert len(calls) % 6 == 0 and len(calls) >= 42 and replays() == 0
    assert all(torch.equal(y, outputs[0]) for y in outputs)


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


@functools.wraps(F.silu)
def disguised(x):
    return x.relu()


def cut(x, most):
    return x.clamp(0, most)


ACTIVATIONS = [
    nn.PReLU(), lambda x: x.relu(), functools.partial(F.leaky_relu, negative_slope=0.3), Rounded.apply, disguised,
    (cut, {"most": 6}), torch.jit.script(nn.ReLU()),
]  # fmt: skip


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_an_activation_of_somebody_elses_is_called_each_time(act, replays):
    model = made(act=act)
    gradients = []
    for _ in range(6):
        model.zero_grad()
        model(X).sum().backward()
        gradients.append(model.stem.conv.weight.grad.clone())
    assert replays() == 0 and gradients[0].abs().max() > 0 and all(torch.equal(gradients[0], g) for g in gradients)


def test_a_network_is_freed_with_its_last_reference():
    gc.disable()
    try:
        model = used(made())
        weight = weakref.ref(model.stem.conv.weight)
        del model
        assert weight() is None
    finally:
        gc.enable()


def test_tensors_in_two_places_are_not_mixed_up():
    model = made()
    ones = torch.ones(8)
    shared = {name: ones for name, value in model.named_parameters() if value.shape == (8,)}
    assert len(shared) > 2
    with torch.no_grad():
        for _ in range(replay.PLAIN + 2):
            functional_call(model, shared, X)
    assert torch.equal(called(model), without_replay(model))


def test_bad_input_is_refused_each_time():
    model = used(made())
    for _ in range(3):
        with pytest.raises(ValueError, match="NaN or infinite"):
            called(model, torch.where(X > 2, torch.nan, X))


def test_threads_replay_together(replays):
    model, wrong = used(made()), []
    wanted = without_replay(model)
    threads = [threading.Thread(target=lambda: wrong.extend([0] * (not torch.equal(called(model), wanted)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and replays() == 8


def test_a_replay_keeps_no_result_longer_than_the_call():
    """One that held them all would hold a network's every activation at once."""
    model = used(made())
    (plan,) = replay._plans[model].values()
    source = plan.run.__code__
    assert "y0" in source.co_varnames and source.co_nlocals > 50
    most = 0

    def trace(frame, event, _):
        nonlocal most
        if frame.f_code is not source:
            return None
        most = max(most, sum(value is not None for name, value in frame.f_locals.items() if name != "x"))
        return trace

    sys.settrace(trace)
    try:
        called(model)
    finally:
        sys.settrace(None)
    assert 1 <= most <= 5
