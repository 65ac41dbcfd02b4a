"""A call runs your forward: no number comes from what an earlier call did, and what goes wrong says so.

Each of these inputs once gave a wrong number without a word, or an error that named neither the fault nor the cure.
"""

import copy
import functools
import gc
import importlib
import inspect
import json
import math
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import warm
from alive import error, fill
from small_networks import Small, images, unit
from torch import nn
from torch.func import functional_call
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode
from torch.package import PackageExporter, PackageImporter

import warmnet
import warmnet.functional as W
from warmnet import MismatchError, NameTakenError, SealedError, WarmError, WarmModule, block

TINY = warmnet.Variant(width=0.25, depth=0.3, resolution=32, dropout=0.2)
LARGE = torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))  # of which stand-ins compute a part
X = LARGE[:2, :, :64, :64].contiguous()
NETWORK = sys.modules[warmnet.WarmEfficientNet.__module__]  # where the functions are that a WarmEfficientNet calls


def made(kind=warmnet.WarmEfficientNet, **options):
    return fill(kind(TINY, 10, seed=1, **options)).eval()


def called(model, x=X):
    with torch.no_grad():
        return model(x)


def fresh(model, x=X):
    """What a copy gives that was never called before."""
    return called(copy.deepcopy(model), x)


def used(model, x=X, calls=6):
    for _ in range(calls):
        called(model, x)
    return model


def same(a, b):
    return torch.equal(a, b) and a.std() > 0.01


def warmed(forward, *sample, **kw):
    """A module of that one forward function, built."""
    return warmnet.up(type("Net", (WarmModule,), {"forward": lambda self, *x: forward(*x)})(), *sample, **kw)


def line_of(function, text):
    """A line of this file as an error names it."""
    lines, first = inspect.getsourcelines(getattr(function, "__wrapped__", function))
    return f"{__file__}:{first + next(i for i, line in enumerate(lines) if text in line)}"


@pytest.fixture(scope="module")
def in_a_new_process():
    """What became of functions of this file in a new process, one after the other: an error's traceback, or nothing."""
    code = "import json, sys; sys.path[0] = 'engine'; sys.path.append('.')\n"
    code += "import test_honest; print(json.dumps(test_honest.tracebacks(sys.argv[1:])))"
    names = "built_without_weights", "fork_while_another_thread_builds"
    run = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def tracebacks(names):
    found = {}
    for name in names:
        try:
            globals()[name]()
            found[name] = ""
        except Exception:
            found[name] = traceback.format_exc()
    return found


# ------------------------------------------------------------------------------------------------ every call is the call


class Longer(warmnet.WarmEfficientNet):
    """An EfficientNet, and another stage beside it: of as many channels as its first, whose name it must not take."""

    size = 8

    def forward(self, x):
        y = super().forward(x)
        z = torch.cat([x, x.flip(2), x[:, :2]], 1)
        z = warmnet.stage(z, size=self.size, expand=1, kernel=3, stride=1, drops=[0.0], dilations=[1])
        return y + W.linear(z.mean((2, 3)), 10)


class Larger(Longer):
    size = 16


@pytest.mark.parametrize("kind", [Longer, Larger])
def test_a_stage_after_super_forward_is_its_own_at_every_call(kind):
    model = made(kind)
    first = called(model)
    z = model.stage_8(torch.cat([X, X.flip(2), X[:, :2]], 1))
    whole = made()
    whole.load_state_dict({key: value for key, value in model.state_dict().items() if key in whole.state_dict()})
    torch.testing.assert_close(first, called(whole) + model.linear_1(z.mean((2, 3))).detach())
    for _ in range(7):
        assert same(called(model), first)


def test_a_stage_after_super_forward_learns_at_every_step():
    model = made(Longer).train()
    for _ in range(7):
        model.zero_grad()
        model(X[:, :, :32, :32]).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().max() > 1e-6 for p in model.stage_8.parameters())


def test_every_call_calls_every_function():
    model = made()
    functions = [NETWORK.efficientnet, warmnet.stage, warmnet.mb_block, warmnet.squeeze_excitation, warmnet.conv_bn_act]
    codes = {getattr(f, "__wrapped__", f).__code__: f.__name__ for f in functions}
    counts = []
    for _ in range(8):
        seen = Counter()
        sys.setprofile(lambda frame, event, _, seen=seen: seen.update([codes.get(frame.f_code)] if event == "call" else []))
        try:
            called(model)
        finally:
            sys.setprofile(None)
        counts.append({name: seen[name] for name in codes.values()})
    assert counts[0]["mb_block"] == 8 and counts[0]["conv_bn_act"] > 20
    assert all(count == counts[0] for count in counts)


@pytest.mark.parametrize("training", [False, True])
def test_a_call_in_another_precision_of_autocast_is_in_that_precision(training):
    model = made(drop_connect=0.5)

    def run(model, dtype):
        model.train(training).zero_grad()
        torch.manual_seed(0)  # of dropout and drop connect
        with torch.autocast("cpu", dtype):
            y = model(LARGE[:, :, :48, :48])
        y.float().square().sum().backward()
        return y.detach(), model.head.conv.weight.grad

    for _ in range(5):
        run(model, torch.bfloat16)
    results = run(copy.deepcopy(model), torch.float16), run(model, torch.float16)
    assert results[0][0].dtype == torch.float16
    for theirs, ours in zip(*results):
        assert same(ours, theirs)


# ------------------------------------------------------------------------------------ whatever changes, the next call sees


def batch_norm_by_setstate(model, patch):
    model.stem.bn.__setstate__({**model.stem.bn.__dict__, "eps": 0.5})


def batch_norm_in_its_dict(model, patch):
    model.stem.bn.__dict__["eps"] = 0.5


def a_mode_in_its_dict(model, patch):
    model.stem.bn.__dict__["training"] = True


def a_forward_in_its_dict(model, patch):
    forward = model.stem.bn.forward
    model.stem.bn.__dict__["forward"] = lambda x: 2 * forward(x)


def a_layers_class(model, patch):
    kind = type(model.stem.bn)
    model.stem.bn.__class__ = type("Louder", (kind,), {"forward": lambda self, x: 2 * kind.forward(self, x)})


def one_setting_of(key, number, where):
    """A change of the first number of a convolution's `key`, in place."""

    def change(model, patch):
        getattr(model.get_submodule(where), key)[0] = number

    change.__name__ = f"{key} of {where} in place"
    return change


def other_settings_of(key, numbers, where):
    def change(model, patch):
        setattr(model.get_submodule(where), key, numbers)

    change.__name__ = f"{key} of {where}"
    return change


def a_keywords_default(model, patch):
    patch.setitem(NETWORK.efficientnet.__kwdefaults__, "act", F.relu)


def a_keyword_default_that_leaves_layers_out(model, patch):
    patch.setitem(NETWORK.efficientnet.__kwdefaults__, "se_ratio", 0)


def edited_linear(x, size, *args, **kw):
    return 2 * x[:, :size]


def code_of_a_layer_function(model, patch):
    patch.setattr(W.linear, "__code__", edited_linear.__code__)  # as %autoreload 2 does


def a_layer_function(model, patch):
    patch.setattr(NETWORK.W, "global_average_pool", lambda x: x.amax((2, 3), keepdim=True))


def a_block_function(model, patch):
    patch.setattr(NETWORK, "squeeze_excitation", lambda x, *args, **kw: x)


def an_activation_known_by_name(model, patch):
    patch.setattr(F, "silu", F.relu)


def torchs(name):
    """torch's own function, patched so that its results are 1.5 times as large."""

    def change(model, patch):
        function = getattr(F, name)
        patch.setattr(F, name, lambda *args, **kw: 1.5 * function(*args, **kw))

    change.__name__ = f"F.{name}"
    return change


def forward_of(kind):
    """The forward of torch's own class, patched likewise."""

    def change(model, patch):
        forward = kind.forward
        patch.setattr(kind, "forward", lambda self, x: 1.5 * forward(self, x))

    change.__name__ = f"nn.{kind.__name__}.forward"
    return change


CONV = "stage_5.mb_block_1.depthwise.conv"  # 5x5, stride 1
CHANGES = [
    batch_norm_by_setstate, batch_norm_in_its_dict, a_mode_in_its_dict, a_forward_in_its_dict, a_layers_class,
    one_setting_of("dilation", 2, "stem.conv"), one_setting_of("stride", 1, "stem.conv"),
    one_setting_of("padding", 1, CONV), one_setting_of("stride", 2, CONV),
    other_settings_of("padding", (1, 1), CONV), other_settings_of("stride", (2, 2), CONV),
    a_keywords_default, a_keyword_default_that_leaves_layers_out, code_of_a_layer_function, a_layer_function,
    a_block_function, an_activation_known_by_name, torchs("conv2d"), torchs("batch_norm"), torchs("linear"),
    forward_of(nn.Conv2d), forward_of(nn.BatchNorm2d), forward_of(nn.Linear),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_the_next_call_sees(change, monkeypatch):
    model = made(**({"act": "silu"} if change is an_activation_known_by_name else {}))
    for conv in (model.stem.conv, model.get_submodule(CONV)):
        for key in ("stride", "padding", "dilation"):
            if isinstance(getattr(conv, key), tuple):
                setattr(conv, key, list(getattr(conv, key)))
    before = called(used(model))
    change(model, monkeypatch)
    now = called(model)
    assert not torch.equal(now, before)
    assert same(now, fresh(model)) and same(now, called(model))


def test_a_helper_that_asks_for_other_sizes_is_heard(monkeypatch):
    model = used(made())
    monkeypatch.setattr(NETWORK, "round_filters", lambda size, width: 16)
    with pytest.raises(MismatchError, match="size=8, … .* size=16|size=8.*size=16"):
        called(model)


def test_a_block_functions_other_settings_are_heard(monkeypatch):
    model = used(made())
    function = warmnet.conv_bn_act.__wrapped__
    monkeypatch.setattr(function, "__defaults__", tuple(0.5 if d == 1e-3 else d for d in function.__defaults__))
    with pytest.raises(MismatchError, match=r"'stem\.bn'.*eps=0\.5"):
        called(model)


@block
def scaled(x, scale=2.0, mask=None):
    y = W.linear(x, 4, name="linear") * scale
    return y if mask is None else y * mask


def test_a_block_functions_new_default_is_what_its_next_call_takes(monkeypatch):
    model, x = warmed(lambda x: scaled(x), [1, 4]), torch.randn(2, 4)
    y = used(model, x)(x)
    monkeypatch.setattr(scaled.__wrapped__, "__defaults__", (3.0, None))
    assert same(model(x), 1.5 * y) or torch.allclose(model(x), 1.5 * y)
    assert not torch.equal(model(x), y)


class Halved(torch.Tensor):
    """A weight whose convolutions come out halved."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kw=None):
        with torch._C.DisableTorchFunctionSubclass():
            y = function(*args, **(kw or {}))
        return y / 2 if function is F.conv2d else y


def test_a_call_with_a_weight_of_another_kind_asks_that_kind():
    model = used(made(), LARGE)
    weight = model.stem.conv.weight.detach()
    with torch.no_grad():
        y = functional_call(model, {"stem.conv.weight": weight.as_subclass(Halved)}, (LARGE,))
        theirs = functional_call(copy.deepcopy(model), {"stem.conv.weight": weight / 2}, (LARGE,))
    torch.testing.assert_close(y, theirs, rtol=1e-4, atol=1e-5)
    assert (y - called(model, LARGE)).abs().max() > 0.01


def test_whoever_patches_modules_call_sees_every_layer(monkeypatch):
    """torch.fx and many tools follow a network so."""
    model, seen = used(made()), set()
    call = nn.Module.__call__

    def followed(self, *args, **kw):
        seen.add(self)
        return call(self, *args, **kw)

    monkeypatch.setattr(nn.Module, "__call__", followed)
    called(model)
    assert {path for path, module in model.named_modules() if module not in seen} == set()


class Follows(warmnet.WarmModule):
    """A forward that begins to follow its own layers on its way."""

    def forward(self, x):
        x = warmnet.conv_bn_act(x, 8, 3, name="before")
        with self.following() if self._sealed else nullcontext():
            return warmnet.conv_bn_act(x, 8, 3, name="after")


def test_a_hook_on_all_modules_that_a_forward_registers_sees_the_layers_that_follow():
    model, seen = warmnet.up(Follows(), [1, 3, 8, 8]).eval(), []

    @contextmanager
    def following():
        handle = hooks.register_module_forward_hook(lambda module, *_: seen.append(module))
        yield
        handle.remove()

    vars(model)["following"] = following
    with torch.no_grad():
        model(torch.rand(1, 3, 8, 8))
    assert {model.after.conv, model.after.bn} <= {*seen} and model.before.conv not in seen


def test_a_class_that_a_forward_patches_is_what_the_layers_that_follow_compute():
    model, x = warmnet.up(Follows(), [1, 3, 8, 8]).eval(), torch.rand(1, 3, 8, 8)
    vars(model)["following"] = nullcontext
    with torch.no_grad():
        plain = model(x)
        vars(model)["following"] = lambda: mock.patch.object(nn.BatchNorm2d, "forward", lambda self, x: torch.ones_like(x))
        assert torch.equal(model(x), F.silu(torch.ones_like(plain))) and not torch.equal(plain, F.silu(torch.ones_like(plain)))


HOOKS = {
    "forward": lambda layer, see: layer.register_forward_hook(lambda *_: see(layer)),
    "forward, always": lambda layer, see: layer.register_forward_hook(lambda *_: see(layer), always_call=True),
    "before": lambda layer, see: layer.register_forward_pre_hook(lambda *_: see(layer)),
    "before, with keywords": lambda layer, see: layer.register_forward_pre_hook(lambda *_: see(layer), with_kwargs=True),
    "backward": lambda layer, see: layer.register_full_backward_hook(lambda *_: see(layer)),
    "before backward": lambda layer, see: layer.register_full_backward_pre_hook(lambda *_: see(layer)),
}
FOR_ALL = [
    hooks.register_module_forward_hook, hooks.register_module_forward_pre_hook, hooks.register_module_full_backward_hook,
    hooks.register_module_full_backward_pre_hook,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # for the stem, whose pictures need no gradients
@pytest.mark.parametrize("hook", [*HOOKS, *FOR_ALL], ids=lambda hook: getattr(hook, "__name__", hook))
def test_a_hook_on_one_layer_or_on_all_is_called_once_a_call(hook):
    model, seen = made(drop_connect=0.0, dropout=0.0).train(), Counter()
    layers = [module for module in model.modules() if not [*module.children()] and [*module.parameters()]]
    assert len(layers) > 60
    model(LARGE)
    if hook in HOOKS:
        handles = [HOOKS[hook](layer, lambda layer: seen.update([layer])) for layer in layers]
    else:
        handles = [hook(lambda layer, *_: seen.update([layer]))]
    try:
        for count in (1, 2):
            model(LARGE).square().sum().backward()
            assert [seen[layer] for layer in layers] == [count] * len(layers)
    finally:
        for handle in handles:
            handle.remove()


# --------------------------------------------------------------------------------------- what fails is not done once more


class FailsOnce(TorchFunctionMode):
    """The first `linear` runs out of memory, as far as anybody can tell."""

    failed = False

    def __torch_function__(self, function, types, args=(), kw=None):
        if function is F.linear and not self.failed:
            self.failed = True
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return function(*args, **(kw or {}))


def test_a_call_that_fails_counts_its_statistics_once():
    """A stem that trains in a network that does not: as for adapting statistics to new pictures."""
    model = made()
    model.stem.bn.train()
    twin = copy.deepcopy(model)
    used(model)
    used(twin, calls=1)
    with FailsOnce(), pytest.raises(RuntimeError, match="can't allocate memory"):
        called(model)
    assert model.stem.bn.num_batches_tracked == 7
    called(model)
    used(twin, calls=7)
    assert model.stem.bn.num_batches_tracked == 8
    assert same(model.stem.bn.running_mean, twin.stem.bn.running_mean)


@pytest.mark.parametrize("size", [8, 128], ids=["small", "large"])
def test_an_activation_that_fails_is_called_once_and_what_it_raised_is_raised(size):
    calls = []

    def act(x):
        calls.append(x.shape)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return F.silu(x)

    def forward(x):
        x = W.conv(x, 4, 3, padding="same", bias=False, name="conv")
        return W.batch_norm(W.batch_norm(x, activation=act, name="bn"), activation=F.silu, name="last")

    model = warmed(forward, [2, 3, size, size]).train()
    x = images(2, size, size)
    model(x)
    with pytest.raises(RuntimeError, match="out of memory"):
        model(x)
    assert len(calls) == 3 and (model.bn.num_batches_tracked, model.last.num_batches_tracked) == (2, 1)
    model(x).sum().backward()
    assert (model.bn.num_batches_tracked, model.last.num_batches_tracked) == (3, 2)


# ----------------------------------------------------------------------------------------------- nothing is kept for ever


class Camera:
    """As Grad-CAM does: it holds the network, hooks a block of it and keeps what that outputs."""

    def __init__(self, model, block):
        self.model, self.seen = model, []
        block.register_forward_hook(self.keep)

    def keep(self, module, args, y):
        self.seen.append(y)


@pytest.mark.parametrize("before", [0, 6])
def test_a_network_that_is_hooked_is_freed_with_whoever_hooks_it(before):
    model = used(made(), calls=before)
    camera = Camera(model, model.stage_3)
    for _ in range(6):
        model(X)[0, 0].backward()
    assert len(camera.seen) == 6
    held = [weakref.ref(camera), weakref.ref(model), weakref.ref(model.stem.conv.weight)]
    del model, camera
    gc.collect()
    assert [ref() for ref in held] == [None] * 3


def test_what_was_replaced_is_freed():
    model = used(made())
    held = [weakref.ref(model.classifier), weakref.ref(model.stage_5.mb_block_1), weakref.ref(model.stem.bn.weight)]
    model.classifier = nn.Linear(model.classifier.in_features, 3)
    model.stage_5.mb_block_1 = nn.Conv2d(24, 32, 1)
    model.stem.bn.weight = nn.Parameter(torch.ones(8))
    gc.collect()
    assert [ref() for ref in held] == [None] * 3
    assert called(model).shape == (2, 3)


def test_pictures_and_logits_are_not_kept():
    model, held = made(), []
    gc.disable()
    try:
        for _ in range(6):
            x = X.clone()
            y = model(x)
            held += [weakref.ref(x), weakref.ref(y)]
            del x, y
        assert [ref() for ref in held] == [None] * 12
        weight = weakref.ref(model.stem.conv.weight)
        del model
        assert weight() is None
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------------------- without weights


@contextmanager
def empty_weights():
    """Parameters go to 'meta' as soon as a module takes them up, as accelerate's `init_empty_weights` makes them."""
    register = nn.Module.register_parameter

    def register_empty(module, name, parameter):
        register(module, name, parameter)
        if parameter is not None:
            module._parameters[name] = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    nn.Module.register_parameter = register_empty
    try:
        yield
    finally:
        nn.Module.register_parameter = register


def built_without_weights():
    with empty_weights():
        model = warmnet.WarmEfficientNet(TINY, 10, seed=1)
        small = Small(seed=0)
    for empty in (model, small):
        assert all(p.is_meta for p in empty.parameters())
    whole = made()
    assert [*model.state_dict()] == [*whole.state_dict()]
    model.load_state_dict(whole.state_dict(), assign=True)
    assert same(called(model.eval()), called(whole))


def test_a_network_is_built_without_weights_after_others_were_called():
    used(made())
    built_without_weights()


def test_the_first_network_of_a_process_is_built_without_weights(in_a_new_process):
    assert in_a_new_process["built_without_weights"] == ""


# ------------------------------------------------------------------------------------------------------ blocks by themselves


CALLS = {
    "keywords": lambda x, m: scaled(x, scale=5.0, mask=m),
    "positions": lambda x, m: scaled(x, 5.0, m),
    "mixed": lambda x, m: scaled(x, 5.0, mask=m),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_block_called_alone_keeps_its_settings_beside_a_tensor(call):
    model = warmed(CALLS[call], [2, 4], [2, 4])
    x, mask = torch.randn(2, 4), torch.randn(2, 4)
    y = model(x, mask)
    assert same(model.scaled_1(x, mask=mask), y)
    torch.testing.assert_close(model.scaled_1(x, mask=mask, scale=1.0), y / 5)


@pytest.mark.parametrize("call", CALLS)
def test_a_block_called_alone_without_the_tensor_it_was_built_with_names_it(call):
    model = warmed(CALLS[call], [2, 4], [2, 4])
    with pytest.raises((TypeError, WarmError), match="mask"):
        model.scaled_1(torch.randn(2, 4))


# ------------------------------------------------------------------------------- gradients are anybody's to change in place


def test_the_gradient_of_what_is_pooled_may_be_changed_in_place():
    model = made(dropout=0.0, drop_connect=0.0).train()

    def gradient(hook):
        twin = copy.deepcopy(model)
        twin.head.register_forward_hook(lambda module, args, y: y.register_hook(hook) and None)
        twin(X).square().sum().backward()
        return twin.head.conv.weight.grad

    halved = gradient(lambda g: g.mul_(0.5))
    assert same(halved, gradient(lambda g: g * 0.5))
    torch.testing.assert_close(2 * halved, gradient(lambda g: None))


LAYERS = {
    "conv": (lambda x: W.conv(x, 6, 3), (2, 4, 9, 9)),
    "conv in one dimension": (lambda x: W.conv(x, 6, 3, padding="same"), (2, 4, 9)),
    "conv with padding on one side": (lambda x: W.conv(x, 6, 3, stride=2, padding="same"), (2, 4, 8, 8)),
    "conv of each channel": (lambda x: W.conv(x, 4, 5, groups=4, padding="same"), (2, 4, 9, 9)),
    "conv of each channel, stride 2": (lambda x: W.conv(x, 4, 5, stride=2, groups=4, padding="same"), (2, 4, 8, 8)),
    "batch_norm": (lambda x: W.batch_norm(x), (2, 4, 9, 9)),
    "batch_norm and silu": (lambda x: W.batch_norm(x, activation=F.silu), (2, 4, 96, 96)),
    "conv_batch_norm": (lambda x: W.conv_batch_norm(x, 6, 3, activation=F.silu), (2, 4, 9, 9)),
    "conv_batch_norm, large": (lambda x: W.conv_batch_norm(x, 6, 1, activation=F.silu), (2, 4, 96, 96)),
    "linear": (lambda x: W.linear(x, 5), (2, 4)),
    "linear of a sequence": (lambda x: W.linear(x, 5), (2, 4, 9)),
    "layer_norm": (lambda x: W.layer_norm(x), (2, 4, 9)),
    "dropout": (lambda x: W.dropout(x), (2, 4, 9)),
    "drop_connect": (lambda x: W.drop_connect(x, 0.2), (8, 4, 9)),
    "global_average_pool": (lambda x: W.global_average_pool(x), (2, 4, 3, 3)),
    "global_average_pool of rows": (lambda x: W.global_average_pool(x), (2, 4, 1, 3)),
    "embedding": (lambda x: W.embedding(x, 6, 20), torch.tensor([[7, 3, 5]])),
    "lstm": (lambda x: W.lstm(x, 5), (2, 4, 9)),
    "gru": (lambda x: W.gru(x, 5), (2, 4, 9)),
    "transformer": (lambda x: W.transformer(x, None, 1, 1, 2, dim_feedforward=8), (2, 4, 9)),
    "permute": (lambda x: W.permute(x, "BCD", "DBC"), (2, 4, 9)),
    "identity": (lambda x: W.identity(x), (2, 4, 9)),
}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("layer", LAYERS)
def test_the_gradients_of_what_a_layer_takes_and_gives_may_be_changed_in_place(layer):
    function, sample = LAYERS[layer]
    x = sample if isinstance(sample, torch.Tensor) else torch.randn(sample, generator=torch.Generator().manual_seed(0))
    model = warmed(function, x, seed=0).train()

    def gradients(hook):
        torch.manual_seed(0)  # of dropout
        twin, source = copy.deepcopy(model), x.clone()
        if x.is_floating_point():
            given = source.requires_grad_() * 1
            given.register_hook(hook)
        else:
            given = source
        y = twin(given)
        y.register_hook(hook)
        (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
        return [p.grad for p in (source, *twin.parameters()) if p.grad is not None]

    in_place, as_copies = gradients(lambda g: g.mul_(0.5)), gradients(lambda g: g * 0.5)
    assert in_place and all(torch.equal(a, b) for a, b in zip(in_place, as_copies, strict=True))
    assert any(g.abs().max() > 1e-4 for g in in_place)


# ------------------------------------------------------------------------------------------------------------ quiet builds


def test_a_build_leaves_alone_what_another_thread_draws():
    with torch.random.fork_rng():
        torch.manual_seed(7)
        drawn = []
        with ThreadPoolExecutor(2) as pool:
            builds = [pool.submit(Small, n) for n in range(6)]
            while not all(build.done() for build in builds) or len(drawn) < 1000:
                drawn.append(torch.rand(2))
        state, seed = torch.get_rng_state(), torch.initial_seed()
    alone = torch.Generator().manual_seed(7)
    wrong = sum(not torch.equal(numbers, torch.rand(2, generator=alone)) for numbers in drawn)
    assert wrong == 0, f"{wrong} of {len(drawn)} draws are others'"
    assert seed == 7 and torch.equal(state, alone.get_state())
    for n, build in enumerate(builds):
        assert torch.equal(build.result().stem.conv.weight, Small(n).stem.conv.weight)


DRAWS = {
    "randn": lambda: torch.randn(8),
    "rand": lambda: torch.rand(8),
    "randint": lambda: torch.randint(1000, (8,)),
    "randperm": lambda: torch.randperm(16),
    "rand_like": lambda: torch.rand_like(torch.empty(8)),
    "randn_like": lambda: torch.randn_like(torch.empty(8)),
    "randint_like": lambda: torch.randint_like(torch.empty(8), 1000),
    "out": lambda: torch.randn(8, out=torch.empty(8)),
    "normal": lambda: torch.normal(torch.zeros(8), 1.0),
    "bernoulli": lambda: torch.bernoulli(torch.full((64,), 0.5)),
    "multinomial": lambda: torch.multinomial(torch.ones(500), 8),
    "poisson": lambda: torch.poisson(torch.full((64,), 9.0)),
    "binomial": lambda: torch.binomial(torch.full((64,), 100.0), torch.full((64,), 0.5)),
    "bernoulli_": lambda: torch.empty(64).bernoulli_(0.5),
    "normal_": lambda: torch.empty(8).normal_(),
    "uniform_": lambda: torch.empty(8).uniform_(),
    "exponential_": lambda: torch.empty(8).exponential_(),
    "cauchy_": lambda: torch.empty(8).cauchy_(),
    "geometric_": lambda: torch.empty(64).geometric_(0.1),
    "log_normal_": lambda: torch.empty(8).log_normal_(),
    "random_": lambda: torch.empty(8).random_(1000),
    "kaiming_normal_": lambda: nn.init.kaiming_normal_(torch.empty(4, 4)),
    "orthogonal_": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
    "trunc_normal_": lambda: nn.init.trunc_normal_(torch.empty(8)),
    "sparse_": lambda: nn.init.sparse_(torch.empty(16, 4), 0.5),
    "a layer": lambda: nn.Linear(4, 4).weight.detach(),
    "dropout": lambda: F.dropout(torch.ones(64), training=True),
    "dropout2d": lambda: F.dropout2d(torch.ones(1, 64, 2, 2), training=True),
    "alpha_dropout": lambda: F.alpha_dropout(torch.ones(64), training=True),
    "a layer of dropout": lambda: nn.Dropout()(torch.ones(64)),
    "rrelu": lambda: F.rrelu(-torch.ones(64), training=True),
    "gumbel_softmax": lambda: F.gumbel_softmax(torch.zeros(8)),
    "attention": lambda: F.scaled_dot_product_attention(*torch.ones(3, 1, 64, 8), dropout_p=0.5)[0, :, 0],
    "a distribution": lambda: torch.distributions.Normal(0.0, 1.0).sample((8,)),
    "gamma": lambda: torch.distributions.Gamma(2.0, 1.0).sample((8,)),
}


class Drawn(nn.Module):
    """A user's own layer, which draws in its constructor."""

    def __init__(self, draw):
        super().__init__()
        self.register_buffer("value", draw())
        self.state, self.seed = torch.get_rng_state(), torch.initial_seed()

    def forward(self, x):
        return x


class Drawing(WarmModule):
    """Two layers that draw, and a forward that does."""

    def __init__(self, draw, seed):
        super().__init__()
        self.draw, self.drawn = draw, []
        warmnet.up(self, [1, 3], seed=seed)

    def forward(self, x):
        for name in ("one", "two"):
            x = warm.engine.forward(x, Drawn, base_kw={"draw": self.draw}, name=name)
        self.drawn.append((self.draw(), torch.get_rng_state(), torch.initial_seed()))
        return W.linear(x, 2)


@pytest.mark.parametrize("draw", DRAWS)
def test_whatever_draws_in_a_build_draws_from_generators_of_the_builds_own(draw):
    with torch.random.fork_rng():
        torch.manual_seed(11)
        torch.rand(3)
        state = torch.get_rng_state()
        first = Drawing(DRAWS[draw], seed=5)
        for now, seed in ((first.one.state, first.one.seed), first.drawn[0][1:], (torch.get_rng_state(), torch.initial_seed())):
            assert seed == 11 and torch.equal(now, state)
        torch.rand(5)
        again, other = Drawing(DRAWS[draw], seed=5), Drawing(DRAWS[draw], seed=6)
    values = [model.drawn[0][0] for model in (first, again, other)]
    for a, b, c in (values, *([model.get_submodule(name).value for model in (first, again, other)] for name in ("one", "two"))):
        assert torch.equal(a, b) and not torch.equal(a, c)
    assert not torch.equal(first.one.value, first.two.value)


def test_a_generator_of_the_users_stays_the_users():
    def draw():
        return torch.rand(8, generator=torch.Generator().manual_seed(3))

    model = Drawing(draw, seed=5)
    assert torch.equal(model.one.value, draw()) and torch.equal(model.drawn[0][0], draw())


def test_after_the_build_a_forward_draws_from_torchs_generator():
    model = Drawing(DRAWS["rand"], seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model(torch.zeros(1, 3))
        torch.manual_seed(3)
        assert torch.equal(model.drawn[-1][0], torch.rand(8))


def test_threads_that_build_layers_that_draw_get_what_one_gets():
    alone = Drawing(DRAWS["randn"], seed=5)
    with ThreadPoolExecutor(4) as pool:
        for model in pool.map(lambda _: Drawing(DRAWS["randn"], seed=5), range(8)):
            assert torch.equal(model.one.value, alone.one.value) and torch.equal(model.drawn[0][0], alone.drawn[0][0])


def fork_while_another_thread_builds():
    started, go = threading.Event(), threading.Event()

    def forward(x):
        y = W.linear(x, 4)
        started.set()
        go.wait(120)
        return y

    thread = threading.Thread(target=lambda: warmed(forward, [1, 4]))
    thread.start()
    started.wait()
    child = os.fork()
    if child == 0:
        fine = False
        try:
            fine = same(called(Small(3).eval(), images()), called(Small(3).eval(), images()))
        finally:
            os._exit(0 if fine else 1)
    deadline, done, status = time.monotonic() + 60, 0, 0
    while not done and time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    go.set()
    thread.join()
    if not done:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert done and status == 0, "the child's build never ended" if not done else status


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_builds_though_another_thread_was_building(in_a_new_process):
    assert in_a_new_process["fork_while_another_thread_builds"] == ""


# --------------------------------------------------------------------------------------------------------------- sealing


def add_a_module(block):
    block.add_module("mb_block_9", nn.Identity())


def register_a_module(block):
    block.register_module("mb_block_9", nn.Identity())


def set_a_module(block):
    block.mb_block_9 = nn.Identity()


@pytest.mark.parametrize("add", [add_a_module, register_a_module, set_a_module])
def test_a_child_added_to_a_built_block_is_refused_by_name(add):
    model = made()
    y = called(model)
    with pytest.raises(SealedError, match=r"stage_3.*mb_block_9"):
        add(model.stage_3)
    assert [*dict(model.stage_3.named_children())] == ["mb_block_1"] and same(called(model), y)
    assert not hasattr(model.stage_3, "mb_block_9")


def test_a_child_of_a_built_block_may_be_replaced():
    model = made()
    y = called(model)
    model.stage_1.mb_block_1 = nn.Identity()
    z = called(model)
    assert not torch.equal(z, y)
    model.stage_1.add_module("mb_block_1", nn.ReLU())
    assert not torch.equal(called(model), z)


def test_a_copy_is_sealed_too():
    model = made()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with pytest.raises(SealedError, match=r"stage_3.*mb_block_9"):
            set_a_module(twin.stage_3)


def test_a_network_of_ones_own_may_add_to_an_efficientnet():
    """The network itself is no block: its forward may be the caller's."""

    class Twice(warmnet.WarmEfficientNet):
        def __init__(self):
            super().__init__(TINY, 10, seed=1)
            self.more = nn.Linear(10, 3)

        def forward(self, x):
            y = super().forward(x)
            return self.more(y) if hasattr(self, "more") else y

    assert called(fill(Twice()).eval()).shape == (2, 3)


# ------------------------------------------------------------------------------------------- errors that say what to do


SAMPLES = {
    "W.conv": lambda x: W.conv(x, 8, 3),
    "conv_bn_act": lambda x: warmnet.conv_bn_act(x, 8, 3),
    "W.batch_norm": lambda x: W.batch_norm(x),
}


@pytest.mark.parametrize("layer", SAMPLES)
def test_a_sample_without_the_batch_axis_is_spoken_of_by_the_first_call_with_one(layer):
    model = warmed(SAMPLES[layer], (3, 16, 16))
    with pytest.raises(MismatchError, match=r"(?s)(batch.*sample|sample.*batch).*\n  at "):
        model(torch.randn(2, 3, 16, 16))


WORDS = r"must|at least|above|below|between|whole number|integer|choose|allowed"
SETTINGS = {
    **{f"width={n}": ("width", n, dict(variant=TINY._replace(width=n))) for n in (0, -1.0, math.nan, math.inf, "1")},
    **{f"depth={n}": ("depth", n, dict(variant=TINY._replace(depth=n))) for n in (0, -1.0, math.nan, math.inf)},
    **{f"resolution={n}": ("resolution", n, dict(variant=TINY._replace(resolution=n))) for n in (0, -32, 0.5, math.nan)},
    **{f"dropout={n}": ("dropout", n, dict(variant=TINY._replace(dropout=n))) for n in (-0.1, 1.0, 1.5, math.nan)},
    **{f"num_classes={n!r}": ("num_classes", n, dict(num_classes=n)) for n in (-1, "10", 2.5, True, None)},
    **{f"in_channels={n!r}": ("in_channels", n, dict(in_channels=n)) for n in (0, "3", 1.5, None)},
    **{f"{key}={n}": (key, n, {key: n}) for key in ("stem", "head") for n in (0, -8)},
    **{f"se_ratio={n}": ("se_ratio", n, dict(se_ratio=n)) for n in (-1, -0.25, math.nan)},
    **{f"drop_connect={n}": ("drop_connect", n, dict(drop_connect=n)) for n in (-0.1, 1.0, math.nan)},
    **{f"option dropout={n}": ("dropout", n, dict(dropout=n)) for n in (-0.1, 1.0, math.nan)},
    **{f"stem_stride={n}": ("stem_stride", n, dict(stem_stride=n)) for n in (0, -1, 1.5)},
    **{
        f"stage's {key}=0": (key, 0, dict(stages=(warmnet.STAGES[0]._replace(**{key: 0}), *warmnet.STAGES[1:])))
        for key in ("size", "kernel", "stride")
    },
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_that_cannot_be_is_refused_by_name(setting):
    key, value, kw = SETTINGS[setting]
    with pytest.raises((ValueError, TypeError), match=f"(?i){WORDS}") as caught:
        warmnet.WarmEfficientNet(**{"variant": TINY, "num_classes": 10, **kw})
    first = str(caught.value).splitlines()[0]
    assert key in first and repr(value) in first


@pytest.mark.parametrize("n", [np.int64(10), 0])
def test_numbers_of_classes_may_be_numpys(n):
    assert warmnet.WarmEfficientNet(TINY, n).num_classes == n


BAD = {  # a setting, calls with it, and what it cannot be
    "size": [(lambda x, n: W.conv(x, n, 3), n) for n in (0, -1, "8", 2.5, None)],
    "kernel": [(lambda x, n: W.conv(x, 8, n), n) for n in (0, -3, "3", 1.5, (3, 0))],
    "stride": [(lambda x, n: W.conv(x, 8, 3, stride=n), n) for n in (0, -1, "2", (1, 0))],
    "dilation": [(lambda x, n: W.conv(x, 8, 3, dilation=n), n) for n in (0, "2")],
    "groups": [(lambda x, n: W.conv(x, 8, 3, groups=n), n) for n in (0, -1, "2", 1.0)],
    "padding": [(lambda x, n: W.conv(x, 8, 3, padding=n), n) for n in (-1, 1.5)],
    "linear's size": [(lambda x, n: W.linear(x.mean((2, 3)), n), n) for n in (0, -1, "8", 2.5)],
    "dropout's rate": [(lambda x, n: W.dropout(x, n), n) for n in (-0.1, 1.5, "0.5")],
    "embedding's vocabulary": [(lambda x, n: W.embedding(x * 0, 4, n), n) for n in (0,)],
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    "key, function, value",
    [pytest.param(key, *case, id=f"{key}={case[1]!r}") for key, cases in BAD.items() for case in cases],
)
def test_a_layers_setting_that_cannot_be_is_refused_by_name_and_line(key, function, value):
    with pytest.raises((ValueError, TypeError)) as caught:
        warmed(lambda x: function(x, value), [1, 4, 8, 8])
    first, *rest = str(caught.value).splitlines()
    assert key.split()[-1] in first and any(text in first for text in (repr(value), str(value), f"{key}=0"))
    assert any(f"at {__file__}:" in line for line in rest)


@block
def forgets(x):
    W.linear(x, 4)


@block
def sometimes(x, whole):
    y = W.linear(x, 4)
    if whole:
        return y


def test_a_block_without_return_is_an_error_that_says_so():
    with pytest.raises((WarmError, TypeError), match=r"(?s)forgets.*return"):
        warmed(lambda x: W.linear(forgets(x), 2), [1, 4])
    with pytest.raises((WarmError, TypeError), match=r"(?s)forgets.*return"):
        warmed(lambda x: forgets(x), [1, 4])


def test_a_forward_without_return_is_an_error_that_says_so():
    class Forgetful(WarmModule):
        def forward(self, x):
            W.linear(x, 4)

    class Host(WarmModule):
        def __init__(self):
            super().__init__()
            self.inner = Forgetful()

        def forward(self, x):
            return W.linear(self.inner(x), 2)

    for model in (Forgetful(), Host()):
        with pytest.raises((WarmError, TypeError), match=r"(?s)Forgetful.*return"):
            warmnet.up(model, [1, 4])
        assert not [p for p in model.parameters()]


def test_a_block_that_once_returns_nothing_is_an_error_that_says_so():
    whole, x = [True], torch.randn(2, 4)
    model = warmed(lambda x: W.linear(sometimes(x, whole[0]), 2), [1, 4])
    y = model(x)
    whole[0] = False
    with pytest.raises((WarmError, TypeError), match=r"(?s)sometimes.*return"):
        model(x)
    whole[0] = True
    assert same(model(x), y)


class Unpooled(WarmModule):
    def forward(self, x):
        x = unit(x, 8, 3, 2, name="stem")
        return W.linear(x, 10)


def test_a_forgotten_pool_is_an_error_that_offers_both_ways():
    with pytest.raises((ValueError, TypeError, WarmError)) as caught:
        warmnet.up(Unpooled(), [1, 3, 16, 16])
    message = str(caught.value)
    assert "(1, 8, 8, 8)" in message and line_of(Unpooled.forward, "W.linear") in message
    assert "x.mean((2, 3))" in message or "global_average_pool" in message
    assert any(f"W.conv(x, {size}, 1)" in message for size in ("size", "10"))


def test_names_with_a_hyphen_are_names():
    def forward(x):
        x = W.conv(x, 4, 3, name="features-0-0")
        x = W.batch_norm(x, name="features-0-1")
        return W.linear(scaled(x.mean((2, 3)), name="head-1"), 2, name="classifier-1")

    model, x = warmed(forward, [1, 3, 8, 8]).eval(), images(2, 8, 8)
    paths = [*model.state_dict()]
    assert paths[0] == "features-0-0.weight" and "head-1.linear.weight" in paths and paths[-1] == "classifier-1.bias"
    assert model.get_parameter("features-0-0.weight").shape == (4, 3, 3, 3)
    assert same(copy.deepcopy(model)(x), model(x))
    with pytest.raises(NameTakenError, match="features-0-0"):
        warmed(lambda x: W.conv(W.conv(x, 3, 1, name="features-0-0"), 3, 1, name="features-0-0"), [1, 3, 8, 8])


@pytest.mark.parametrize("name", ["features.0", ".", "", "forward", "training", "state_dict", "_modules", "drawn"])
def test_names_that_hide_something_or_hold_a_dot_are_refused(name):
    class Net(WarmModule):
        drawn = 3

        def forward(self, x):
            return scaled(W.linear(x, 4, name="one"), name=name)

    with pytest.raises(NameTakenError):
        warmnet.up(Net(), [1, 4])


# ----------------------------------------------------------------------------------------------------- files that move


BLOCKS = """
import warmnet.functional as W
from warmnet import block

@block
def body(x, size, scale=1.0):
    return W.linear(x, size, name="linear") * scale
"""
NET = """
import shapes
from warmnet import WarmModule

class Net(WarmModule):
    def forward(self, x):
        return shapes.body(shapes.body(x, 8), 4, scale=3.0)
"""


def test_a_pickle_outlives_the_file_of_its_block(tmp_path, monkeypatch):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "blocks.py").write_text(BLOCKS)
    (tmp_path / "shapes" / "__init__.py").write_text("from .blocks import body\n")
    (tmp_path / "shapesnet.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)

    def forget():
        for name in [name for name in sys.modules if name.split(".")[0] in ("shapes", "shapesnet")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    try:
        model, x = warmnet.up(importlib.import_module("shapesnet").Net(), [1, 3], seed=0), torch.randn(2, 3)
        y, saved = model(x), pickle.dumps(model)
        forget()
        (tmp_path / "shapes" / "blocks.py").rename(tmp_path / "shapes" / "layers.py")
        (tmp_path / "shapes" / "__init__.py").write_text("from .layers import body\n")
        again = pickle.loads(saved)
        assert "shapes.layers" in sys.modules and same(again(x), y) and same(again(x), y)
        assert same(pickle.loads(pickle.dumps(again))(x), y)
    finally:
        forget()


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # by torch.package itself
def test_a_network_in_a_torch_package_computes_the_same(tmp_path):
    model, x = Small(seed=0).eval(), images()
    with PackageExporter(tmp_path / "small.pt") as exporter:
        exporter.intern("small_networks")
        exporter.extern(["torch.**", "warm.**", "warmnet.**", "numpy.**"])
        exporter.save_pickle("model", "model.pkl", model)
    load = functools.partial(PackageImporter(tmp_path / "small.pt").load_pickle, "model", "model.pkl")
    assert same(load()(x), called(model, x))
    alone = load()
    assert same(alone.residual_1(alone.stem(x)), model.residual_1(model.stem(x)))
    assert type(alone).__module__ != "small_networks", "the importer has a copy of its own"


@pytest.mark.parametrize("gradients", [False, True])
def test_a_layer_of_another_kind_may_take_a_layers_place(gradients):
    """A normalization a convolution's, and a convolution a normalization's."""
    model = made()
    with torch.set_grad_enabled(gradients):
        model.stem.conv, model.stem.bn = fill(nn.Sequential(nn.BatchNorm2d(3)))[0].eval(), nn.Identity()
        assert torch.equal(model.stem(LARGE), F.silu(model.stem.conv(LARGE)))
        block = made().train().stage_1.mb_block_1.depthwise
        block.bn = fill(nn.Sequential(nn.Conv2d(8, 8, 1)))[0]
        x = torch.randn(16, 8, 64, 64)
        assert torch.equal(block(x), F.silu(block.bn(block.conv(x))))


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    "place, name",
    [
        (nn.Module, "_call_impl"), (nn.Module, "__call__"), (nn.Conv2d, "__call__"),
        (nn.Conv2d, "_conv_forward"), ("stem.conv", "_conv_forward"), ("stem.bn", "_call_impl"),
        ("stem.bn", "_check_input_dim"),
    ],
)  # fmt: skip
def test_a_method_that_somebody_replaced_is_called(place, name, gradients, monkeypatch):
    model, seen = made(stem_stride=1), []
    home = model.get_submodule(place) if isinstance(place, str) else place
    original = getattr(home, name)

    def counting(*args, **kw):
        seen.append(name)
        return original(*args, **kw)

    monkeypatch.setattr(home, name, counting)
    with torch.set_grad_enabled(gradients):
        model(X)
    assert len(seen) >= (1 if isinstance(place, str) else 10)


def test_tensors_that_are_no_parameters_any_more_are_taken_as_they_are():
    model = made()
    with torch.no_grad():
        for layer, key in (model.stem.conv, "bias"), (model.stem.bn, "bias"), (model.stage_1.mb_block_1.depthwise.bn, "weight"):
            before = model(X)
            delattr(layer, key)
            setattr(layer, key, torch.full((8,), 0.3))
            after = model(X)
            assert error(after, before) > 1e-3 and torch.equal(after, model.train(False)(X))
        stem = F.silu(model.stem.bn(model.stem.conv(X)))
        assert error(model.stem(X), stem) < 1e-5


class Clipped:
    """An activation that cannot be hashed."""

    __hash__ = None

    def __eq__(self, other):
        return False

    def __call__(self, x):
        return x.clamp(min=0)


def test_an_activation_may_be_any_function():
    model = fill(warmnet.WarmEfficientNet(TINY, 10, act=Clipped())).eval()
    other = fill(warmnet.WarmEfficientNet(TINY, 10, act=F.relu)).eval()
    assert torch.equal(called(model), called(other))


def test_a_replaced_convolution_may_pad_by_torchs_own_same():
    model = warmed(lambda x: W.conv(x, 4, 3, groups=4, padding="same"), (1, 4, 8, 8))
    model.conv_1 = nn.Conv2d(4, 4, 3, padding="same", groups=4)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(model(x), model.conv_1(x))


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_a_network_of_another_precision_is_adopted(kind):
    model = warmed(lambda x: W.linear(W.conv(x, 8, 3, name="conv").mean((2, 3)), 5, name="out"), (1, 3, 16, 16)).to(kind)
    model.conv.weight, model.conv.bias, model.conv.out_channels = *(nn.Parameter(p[:6]) for p in model.conv.parameters()), 6
    model.out.weight, model.out.in_features = nn.Parameter(model.out.weight[:, :6]), 6
    x = torch.randn(2, 3, 16, 16, dtype=kind)
    with pytest.raises(MismatchError, match=r"'conv' was built with 8 .* now has 6.*warmnet\.adopt\(model\)"):
        model(x)
    assert torch.equal(warmnet.adopt(model)(x), model.out(model.conv(x).mean((2, 3))))


def test_an_adopted_forward_that_asks_for_another_layer_is_said_to_compare_sizes_with_settings():
    def forward(x):
        x = W.conv(x, 8, 3, name="conv")
        return x if x.shape[1] == 8 else W.conv(x, 8, 1, name="shortcut")

    model = warmed(forward, (1, 3, 16, 16))
    model.conv.weight, model.conv.bias, model.conv.out_channels = *(nn.Parameter(p[:6]) for p in model.conv.parameters()), 6
    with pytest.raises(
        SealedError, match="asks for 'shortcut', .* as by pruning: does a condition, such as that of a shortcut"
    ):
        warmnet.adopt(model)


def test_what_draws_without_a_generator_leaves_torchs_as_it_was():
    state = torch.get_rng_state()
    warmed(lambda x: torch.native_dropout(W.conv(x, 4, 3), 0.5, True)[0], (1, 3, 8, 8))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_class_is_no_network():
    with pytest.raises(TypeError, match=r"takes a module, such as Net\(\), and not .*Small"):
        warmnet.up(Small, [1, 3, 8, 8])


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("key, value", [("padding", (1, 1)), ("padding_mode", "circular")])
def test_padding_that_is_set_on_a_same_convolution_is_refused(key, value, gradients):
    model = made()
    setattr(model.stem.conv, key, value)
    with torch.set_grad_enabled(gradients), pytest.raises(ValueError, match="SameConv2d pads by itself.*Put torch's own"):
        model(X)
