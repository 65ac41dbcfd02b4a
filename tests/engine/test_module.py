"""The contract of warmnet/module.py (see its docstrings): each line of it is a test here."""

import copy
import io
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
import warm
import warm.functional as V
from small_networks import LSTM, ConvNet, Nested, ResNet, Small, images, residual, unit
from torch import nn

import warmnet
import warmnet.functional as W
from warmnet import Endpoints, MismatchError, NameTakenError, NotWarmError, SealedError, WarmModule, block


@pytest.fixture
def small():
    """A built network, in eval mode, whose output is alive."""
    model = Small(seed=0).eval()
    with torch.no_grad():
        assert model(images()).std() > 0.01
    return model


def same(a, b):
    return torch.equal(a, b) and a.std() > 0.01


def warmed(forward, *sample, **kw):
    """A module of that one forward function, built."""
    return warmnet.up(type("Net", (WarmModule,), {"forward": lambda self, *x: forward(*x)})(), *sample, **kw)


# An ordinary tree of modules


def test_names_follow_the_functions(small):
    names = list(small.state_dict())
    assert names[:3] == ["stem.conv.weight", "stem.bn.weight", "stem.bn.bias"]
    assert "residual_2.depthwise.bn.running_var" in names and names[-1] == "classifier.bias"
    assert "(residual_1): residual(\n    size=8, drop=0.2\n" in repr(small)


def test_inserting_a_block_renames_nothing_else(small):
    assert set(small.state_dict()) < set(Small(extra=True).state_dict())


@pytest.mark.parametrize("clone", ["deepcopy", "pickle", "save"])
def test_a_clone_is_another_network_with_the_same_numbers(small, clone):
    x, y = images(), small(images())
    if clone == "save":
        file = io.BytesIO()
        torch.save(small, file)
        twin = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    else:
        twin = copy.deepcopy(small) if clone == "deepcopy" else pickle.loads(pickle.dumps(small))
    assert same(twin(x), y)
    nn.init.zeros_(twin.stem.conv.weight)
    assert same(small(x), y) and not torch.equal(twin(x), y)
    with pytest.raises(SealedError):
        warmed_into(twin)


def warmed_into(model):
    """Ask a built model for a layer it has not."""
    model.extra = True
    return model(images())


def test_state_dict_swaps_the_numbers(small):
    other = Small(seed=1).eval()
    y = other(images())
    small.load_state_dict(other.state_dict())
    assert same(small(images()), y)


def test_functional_call_and_vmap_run_an_ensemble():
    models = [Small(seed=seed).eval() for seed in range(3)]
    parameters, buffers = torch.func.stack_module_state(models)

    def one(parameters, buffers, x):
        return torch.func.functional_call(models[0], (parameters, buffers), (x,))

    together = torch.func.vmap(one, (0, 0, None))(parameters, buffers, images())
    for model, y in zip(models, together, strict=True):
        torch.testing.assert_close(model(images()), y)
    assert not torch.allclose(together[0], together[1])


def test_forward_hooks_see_blocks_and_layers(small):
    seen = {}
    for path in ("residual_1", "residual_1.depthwise.bn"):
        small.get_submodule(path).register_forward_hook(lambda m, x, y, path=path: seen.update({path: (y, y.clone())}))
    with torch.no_grad():
        y = small(images())
    assert seen["residual_1"][0].shape == (2, 8, 16, 16)
    assert all(same(*pair) for pair in seen.values())  # nothing was done in place on what a hook may keep
    handle = small.stem.register_forward_hook(lambda m, x, y: y * 0)
    assert not torch.equal(small(images()), y)
    handle.remove()
    assert torch.equal(small(images()), y)


def test_blocks_freeze_as_units_and_optimizers_move_the_rest():
    model = Small(seed=0)
    model.residual_1.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    F.cross_entropy(model(images()), torch.tensor([1, 2])).backward()
    optimizer.step()
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith("residual_1")


def test_a_block_is_callable_on_its_own_with_its_built_settings(small):
    x = images()
    y = small.classifier(small.residual_2(small.residual_1(small.stem(x))).mean((2, 3)))
    assert same(y, small(x))


def test_a_replaced_child_is_used(small):
    small.classifier = nn.Identity()
    assert small(images()).shape == (2, 16)
    small.residual_1 = nn.Sequential()
    assert small(images()).shape == (2, 16)


def test_replaced_layers_are_not_written_in_place(small):
    small.stem.bn = nn.Identity()
    kept = []
    small.stem.conv.register_forward_hook(lambda m, x, y: kept.append((y, y.clone())))
    with torch.no_grad():
        small(images())
    assert torch.equal(*kept[0])


def test_parametrized_layers_work(small):
    y = small(images())
    nn.utils.parametrizations.weight_norm(small.stem.conv)
    torch.testing.assert_close(small(images()), y)


def test_autocast_trains_in_bfloat16():
    model = Small(seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(model(images(8)).float(), torch.arange(8))
    loss.backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.parameters())


# Layers belong to the instance that is being called


def test_two_models_interleave(small):
    other, x = Small(seed=1).eval(), images()
    a, b = small(x), other(x)
    assert not torch.equal(a, b)
    assert same(small(x), a) and same(other(x), b) and same(small(x), a)


def test_models_nest():
    model, x = Nested().eval(), images()
    assert [name for name, _ in model.named_children()] == ["backbone", "stem", "linear_1"]
    assert same(model.backbone(x), Small(seed=1).eval()(x))
    assert model(x).shape == (2, 3)
    assert all(child._sealed for child in model.modules() if isinstance(child, WarmModule))


def test_an_unbuilt_network_is_built_as_part_of_the_one_that_calls_it():
    class Inner(WarmModule):
        def forward(self, x):
            return unit(x, 4, name="stem")

    class Outer(WarmModule):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, x):
            return W.linear(self.inner(x).mean((2, 3)), 2)

    model = warmnet.up(nn.Sequential(Outer(), nn.ReLU()), [1, 3, 16, 16])
    assert "0.inner.stem.conv.weight" in model.state_dict()
    assert model[0].inner._sealed


def test_eight_threads_compute_what_one_does(small):
    models = [small, Small(seed=1).eval(), warmnet.WarmEfficientNet("b0", 10, seed=0).eval(), Nested().eval()]
    x = images(1)
    with torch.no_grad():
        alone = [model(x) for model in models]
        barrier = threading.Barrier(8)

        def work(i):
            barrier.wait()
            with torch.no_grad():
                return [models[(i + j) % 4](x) for j in range(20)]

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(work, range(8)))
    for i, ys in enumerate(results):
        assert all(torch.equal(y, alone[(i + j) % 4]) for j, y in enumerate(ys))


def test_eight_threads_build_what_one_does():
    alone = Small(seed=3).state_dict()
    with ThreadPoolExecutor(8) as pool:
        for model in pool.map(lambda _: Small(seed=3), range(8)):
            assert all(torch.equal(a, b) for a, b in zip(alone.values(), model.state_dict().values(), strict=True))


def test_an_error_in_a_forward_leaves_the_next_call_sound(small):
    y = small(images())
    with pytest.raises(MismatchError):
        small(torch.randn(2, 4, 32, 32))
    assert same(small(images()), y)


# Sealed after the build


def test_a_new_layer_after_the_build_is_refused(small):
    small.extra = True
    with pytest.raises(SealedError, match="'inserted'.*not made in the dry run.*stem, residual_1, residual_2, classifier"):
        small(images())
    assert "inserted" not in dict(small.named_children())


def test_a_branch_not_taken_in_the_dry_run_is_refused():
    class Net(WarmModule):
        def forward(self, x):
            if self.training:
                x = W.linear(x, 4)
            return W.linear(x, 4)

    model = warmnet.up(Net(), [2, 4])
    model.eval()(torch.randn(2, 4))
    with pytest.raises(SealedError, match="'linear_2'.*eval mode"):
        model.train()(torch.randn(2, 4))


def test_another_setting_is_refused():
    class Net(WarmModule):
        size = 4

        def forward(self, x):
            return W.conv(unit(x, self.size, name="stem"), 2, self.size - 1, padding=1)

    model = warmnet.up(Net(), [1, 3, 8, 8])
    model.size = 6
    with pytest.raises(
        MismatchError, match=r"'stem.conv' was built as conv\(size=4, .*\) and is now asked for as conv\(size=6, "
    ):
        model(images())


def test_another_input_size_is_refused_with_the_path(small):
    with pytest.raises(MismatchError, match=r"'stem.conv' was built for 3 input channels and is given \(2, 5, 32, 32\)"):
        small(torch.randn(2, 5, 32, 32))
    model = warmed(lambda x: W.linear(x, 2), [1, 4])
    with pytest.raises(MismatchError, match=r"'linear_1' was built for 4 input channels and is given \(2, 5\)"):
        model(torch.randn(2, 5))


def test_a_name_used_twice_by_accident_is_refused():
    with pytest.raises(NameTakenError, match="'a' is used twice.*share=True"):
        warmed(lambda x: W.linear(W.linear(x, 4, name="a"), 4, name="a"), [1, 4])
    with pytest.raises(NameTakenError, match="'block_1.a'"):

        @block
        def block_(x):
            return W.linear(W.linear(x, 4, name="a"), 4, name="a")

        warmed(lambda x: block_(x, name="block_1"), [1, 4])


@pytest.mark.parametrize("name", ["forward", "training", "a.b", "", "1st", "linear_1"])
def test_a_name_that_cannot_name_a_layer_is_refused(name):
    with pytest.raises(NameTakenError):
        warmed(lambda x: W.linear(W.linear(x, 4), 4, name=name), [1, 4])


def test_a_layer_is_shared_on_purpose():
    model = warmed(lambda x: W.linear(W.linear(x, 4, name="a", share=True), 4, name="a", share=True), [1, 4])
    x = torch.randn(2, 4)
    assert len(model.state_dict()) == 2 and same(model(x), model.a(model.a(x)))
    with pytest.raises(MismatchError):
        warmed(lambda x: W.linear(W.linear(x, 4, name="a"), 5, name="a", share=True), [1, 4])
    tower = warmed(
        lambda x, y: unit(x, 4, name="tower", share=True) + unit(y, 4, name="tower", share=True), [1, 3, 8, 8], [1, 3, 8, 8]
    )
    assert [name for name, _ in tower.named_children()] == ["tower"]


def test_forward_called_directly_is_refused_and_loses_nothing(small):
    y = small(images())
    with pytest.raises(NotWarmError, match=r"model\(x\), not model\.forward\(x\)"):
        small.forward(images())
    assert same(small(images()), y)


def test_another_networks_forward_called_directly_is_refused_before_its_layers_are_made_anew(small):
    class Outer(WarmModule):
        def __init__(self, backbone):
            super().__init__()
            self.backbone = backbone

        def forward(self, x):
            return W.linear(self.backbone.forward(x), 2)

    with pytest.raises(
        NotWarmError, match=r"Small\.forward was called by itself in Outer.* model\(x\), not model\.forward\(x\)"
    ):
        warmnet.up(Outer(small), [1, 3, 32, 32])


def test_a_forward_may_be_any_function():
    class Odd(WarmModule):
        forward = lambda self, x: W.linear(x, 3)  # noqa: E731

    class Holder(WarmModule):
        def __init__(self):
            super().__init__()
            self.odd = Odd()

        def forward(this, *xs):  # noqa: N805
            return [W.linear(this.odd(x), 2, name="out") for x in xs]

    assert [*warmnet.up(Holder(), [1, 4]).state_dict()] == [
        "odd.linear_1.weight",
        "odd.linear_1.bias",
        "out.weight",
        "out.bias",
    ]


def test_super_forward_goes_on_in_the_same_module():
    class Longer(Small):
        def forward(self, x):
            return W.linear(super().forward(x), 2, name="more")

    model = Longer(seed=0).eval()
    assert model(images()).shape == (2, 2) and "more.weight" in model.state_dict()
    assert same(model.stem(images()), Small(seed=0).eval().stem(images()))


def test_checkpoint_around_a_built_block_is_exact():
    class Net(WarmModule):
        checkpointed = False

        def forward(self, x):
            x = unit(x, 8, 3, name="stem")
            if self.checkpointed:
                x = torch.utils.checkpoint.checkpoint(self.residual_1, x, 8, use_reentrant=False)
            else:
                x = residual(x, 8)
            return x.mean((2, 3))

    gradients = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        model = warmnet.up(Net(), [1, 3, 16, 16], seed=0)
        model.checkpointed = checkpointed
        model(images()).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) and a.abs().max() > 0 for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoint_around_a_block_function_is_refused(use_reentrant):
    model = warmed(
        lambda x: torch.utils.checkpoint.checkpoint(unit, unit(x, 4), 4, use_reentrant=use_reentrant).mean((2, 3)), [1, 3, 8, 8]
    )
    names = list(model.state_dict())
    with pytest.raises(NotWarmError, match="takes the built module"):
        model(images()).sum().backward()
    assert list(model.state_dict()) == names


def test_layers_outside_of_a_forward_are_refused():
    for call in (lambda x: unit(x, 4), lambda x: W.conv(x, 4, 1), lambda x: W.lstm(x[0], 4)):
        with pytest.raises(NotWarmError, match="outside of a WarmModule's forward"):
            call(images())


def test_a_call_before_the_build_is_refused():
    class Net(WarmModule):
        def forward(self, x):
            return W.linear(x, 2)

    with pytest.raises(NotWarmError, match=r"Net has no layers yet. Call warm.up"):
        Net()(torch.randn(1, 2))


def test_a_second_method_called_directly_is_refused(small):
    class Net(Small):
        def features(self, x):
            return unit(x, 8, 3, 2, name="stem")

    with pytest.raises(NotWarmError):
        Net().features(images())


def test_warming_up_again_checks_and_changes_nothing(small):
    before = copy.deepcopy(small.state_dict())
    assert warm.up(small, [1, 3, 64, 64]) is small
    assert all(torch.equal(v, before[k]) for k, v in small.state_dict().items())
    with pytest.raises(MismatchError):
        warm.up(small, [1, 4, 64, 64])
    assert same(small(images()), Small(seed=0).eval()(images()))


@block
def double(x, scale=2.0):
    return W.linear(x, 4, name="linear") * scale


@block
def triple(x):
    return W.linear(x, 4, name="linear") * 3


def test_an_automatic_name_never_meets_a_given_one():
    with pytest.raises(NameTakenError):
        warmed(lambda x: W.linear(W.linear(x, 4, name="linear_1"), 4), [1, 4])


def test_another_kind_of_layer_or_block_under_one_name_is_refused():
    with pytest.raises(MismatchError, match=r"built as double\(.* asked for as triple\("):
        warmed(lambda x: triple(double(x, name="q"), name="q", share=True), [1, 4])
    with pytest.raises(MismatchError, match=r"built as linear\(.* asked for as embedding\("):
        warmed(lambda x: W.embedding(W.linear(x, 4, name="q"), 1, 4, name="q", share=True), [1, 4])


def test_a_shared_block_follows_each_calls_settings_and_defaults():
    model = warmed(lambda x: torch.stack([double(x, 1.0, name="a", share=True), double(x, name="a", share=True)]), [1, 4])
    once, twice = model(torch.ones(1, 4))
    assert same(2 * once, twice)


def test_share_needs_a_name():
    with pytest.raises(ValueError, match="share=True needs a name"):
        warmed(lambda x: W.linear(x, 4, share=True), [1, 4])


def test_a_removed_layer_is_an_error_that_says_so(small):
    del small.classifier
    with pytest.raises(SealedError, match="'classifier' was built and has been removed. Put nn.Identity"):
        small(images())


def test_a_forward_may_call_its_own_module():
    class Net(WarmModule):
        def forward(self, x):
            return [self(one) for one in x] if isinstance(x, list) else W.linear(x, 2)

    model, x = warmnet.up(Net(), [1, 3]), torch.randn(2, 3)
    assert all(same(y, model(x)) for y in model([x, x])) and len(model.state_dict()) == 2


def test_super_forward_twice_is_refused():
    class Flipped(Small):
        def forward(self, x):
            return super().forward(x) + super().forward(x.flip(3))

    with pytest.raises(NameTakenError, match="is used twice in one forward"):
        Flipped()


def test_a_mixed_in_forward_is_made_sound():
    class Vanilla(nn.Module):
        def forward(self, x):
            return V.linear(x, 2)

    class Sound(WarmModule, Vanilla):
        pass

    assert list(warmnet.up(Sound(), [1, 3]).state_dict()) == ["linear_1.weight", "linear_1.bias"]


def test_a_pywarm_network_inside_is_refused():
    class Old(nn.Module):
        def __init__(self):
            super().__init__()
            warm.up(self, [1, 3])

        def forward(self, x):
            return V.linear(x, 2)

    class Host(WarmModule):
        def __init__(self):
            super().__init__()
            self.old = Old()

        def forward(self, x):
            return self.old(x)

    try:
        with pytest.raises(NotWarmError, match="'old' is a PyWarm network"):
            warmnet.up(Host(), [1, 3])
    finally:
        warm.engine.set_default_parent(None)


def test_parameters_that_a_block_keeps_for_itself_are_refused():
    for function in (lambda x, name: x, lambda x, *, share=False: x):
        with pytest.raises(TypeError, match="cannot be a parameter"):
            block(function)


def test_a_block_may_take_any_number_of_sizes():
    @block
    def mlp(x, *sizes):
        for size in sizes:
            x = W.linear(x, size)
        return x

    model, x = warmed(lambda x: mlp(x, 8, 4), [1, 3]), torch.randn(2, 3)
    assert same(model.mlp_1(x), model(x)) and model(x).shape == (2, 4)


def test_images_of_another_type_are_an_error_that_says_where(small):
    with pytest.raises(MismatchError, match="'stem.conv' has weights in torch.float32 and is given torch.float64"):
        small(images().double())


def test_twelve_networks_of_one_process_compile():
    torch._dynamo.reset()
    for size in range(1, 13):
        model = warmed(lambda x, size=size: W.linear(x, size), [1, 4])
        assert torch.compile(model, fullgraph=True, backend="eager")(torch.randn(2, 4)).shape == (2, size)


# The build


def test_a_layer_that_fails_to_build_can_be_asked_for_again():
    class Net(WarmModule):
        groups = 2

        def forward(self, x):
            return W.conv(x, 4, 3, groups=self.groups)

    model = Net()
    with pytest.raises(ValueError, match="must divide"):
        warmnet.up(model, [1, 3, 8, 8])
    model.groups = 1
    assert warmnet.up(model, [1, 3, 8, 8])(images()).shape == (2, 4, 30, 30)


def test_a_failed_build_leaves_the_model_where_it_was():
    class Net(WarmModule):
        def __init__(self):
            super().__init__()
            self.own = nn.Linear(2, 2)

        def forward(self, x):
            raise ValueError("bad")

    model = Net()
    weight, values = model.own.weight, model.own.weight.detach().clone()
    with pytest.raises(ValueError, match="bad"):
        warmnet.up(model, [1, 2], device="meta")
    assert model.own.weight is weight and torch.equal(weight, values) and model.training


def test_a_train_method_of_ones_own_may_freeze_layers():
    class Net(WarmModule):
        def train(self, mode=True):
            super().train(mode)
            self.unit_1.bn.eval()
            return self

        def forward(self, x):
            return unit(x, 4)

    model = warmnet.up(Net(), [1, 3, 8, 8]).train()
    assert model.training and not model.unit_1.bn.training


def test_a_failed_build_can_be_repeated():
    class Net(WarmModule):
        bad = True

        def forward(self, x):
            x = residual(x, 4)
            if self.bad:
                raise ValueError("bad")
            return W.conv(x, 2, 1)

    model = Net()
    with pytest.raises(ValueError):
        warmnet.up(model, [1, 3, 8, 8], seed=0)
    assert not list(model.children())
    model.bad = False
    warmnet.up(model, [1, 3, 8, 8], seed=0)
    assert model(images()).shape == (2, 2, 32, 32)


@pytest.mark.parametrize("batch", [1, 2])
def test_the_dry_run_leaves_no_trace(batch):
    torch.manual_seed(5)
    state, seed = torch.get_rng_state(), torch.initial_seed()
    model = Small(sample=(batch, 3, 32, 32))
    assert torch.equal(torch.get_rng_state(), state) and torch.initial_seed() == seed
    assert model.training and all(m.training for m in model.modules())
    for name, buffer in model.named_buffers():
        assert buffer.unique().tolist() == ([1.0] if name.endswith("var") else [0]), name
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_modes_are_kept():
    class Net(WarmModule):
        def __init__(self):
            super().__init__()
            self.frozen = nn.BatchNorm2d(3).eval()
            warm.up(self, [1, 3, 8, 8])

        def forward(self, x):
            return unit(self.frozen(x), 4)

    model = Net()
    assert not model.frozen.training and model.unit_1.training and model.unit_1.bn.training


def test_meta_builds_shapes_without_memory():
    model = warmnet.WarmEfficientNet("b7", device="meta")
    assert all(t.is_meta for t in model.state_dict().values())
    assert model(torch.empty(2, 3, 600, 600, device="meta")).shape == (2, 1000)


def test_samples_may_be_tensors_arrays_and_nested():
    def forward(x, more):
        return W.linear(x, 2) + W.linear(more["a"][0], 2)

    model = warmed(forward, torch.zeros(1, 3).numpy(), {"a": [[1, 4]]})
    assert [p.shape for p in model.parameters()][::2] == [(2, 3), (2, 4)]
    with pytest.raises(TypeError, match="A sample is a tensor.*'x'"):
        warmed(forward, "x")


# Initial values


def assert_equal_states(a, b, names=None):
    for name in names or a:
        assert torch.equal(a[name], b[name]), name


def test_initial_values_do_not_depend_on_the_sample_or_the_batch():
    a, b = Small(seed=7), Small(seed=7, sample=(1, 3, 65, 97))
    assert_equal_states(a.state_dict(), b.state_dict())


def test_initial_values_follow_manual_seed():
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        torch.rand(seed)  # the seed counts, not how much was drawn
        states.append(Small().state_dict())
    assert_equal_states(states[0], states[1])
    assert_equal_states(states[2], Small(seed=2).state_dict())
    assert not torch.equal(states[0]["stem.conv.weight"], states[2]["stem.conv.weight"])


def test_changing_one_block_leaves_every_other_start_as_it_was():
    a, b = Small(seed=7).state_dict(), Small(seed=7, extra=True).state_dict()
    assert_equal_states(a, b)
    narrow = warmnet.WarmEfficientNet("b0", 10, seed=7).state_dict()
    edited = warmnet.WarmEfficientNet("b0", 7, seed=7, se_ratio=0).state_dict()
    rest = [name for name in narrow if "squeeze_excitation" not in name and not name.startswith("classifier")]
    assert len(rest) > 250
    assert_equal_states(narrow, edited, rest)


def test_initial_values_do_not_depend_on_build_order():
    a = warmed(lambda x: W.linear(x, 3, name="a") + W.linear(x, 3, name="b"), [1, 4], seed=0).state_dict()
    b = warmed(lambda x: W.linear(x, 3, name="b") + W.linear(x, 3, name="a"), [1, 4], seed=0).state_dict()
    assert_equal_states(a, b)
    assert not torch.equal(a["a.weight"], a["b.weight"])


@pytest.mark.gpu
def test_initial_values_do_not_depend_on_the_device():
    torch.cuda.manual_seed(3)
    state = torch.cuda.get_rng_state()
    model = Small(seed=7, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert model.stem.conv.weight.is_cuda
    assert_equal_states(Small(seed=7).state_dict(), model.cpu().state_dict())


# Vanilla PyWarm


@pytest.mark.parametrize(
    "Net, x", [(ConvNet, torch.randn(4, 1, 28, 28)), (ResNet, images(4)), (LSTM, torch.randint(20, (3, 7)))]
)
def test_a_vanilla_network_becomes_sound_by_inheriting(Net, x):
    torch.manual_seed(1)
    a = Net().eval()
    torch.manual_seed(2)
    b = Net().eval()
    with torch.no_grad():
        ya, yb = a(x), b(x)
        assert ya.std() > 1e-3 and not torch.equal(ya, yb)
        assert torch.equal(a(x), ya) and torch.equal(b(x), yb)
        assert torch.equal(copy.deepcopy(a)(x), ya) and torch.equal(pickle.loads(pickle.dumps(a))(x), ya)
    names = list(a.state_dict())
    F.nll_loss(
        a.train()(x).flatten(2).mean(2) if Net is LSTM else a.train()(x), torch.zeros(len(x), dtype=torch.long)
    ).backward()
    assert list(a.state_dict()) == names and all(p.grad is not None for p in a.parameters())
    torch._dynamo.reset()
    assert torch.compile(b, fullgraph=Net is not LSTM, backend="eager")(x).allclose(b(x))


def test_vanilla_batch_norm_settings_are_honoured():
    bn = ResNet().batch_norm_1
    assert (bn.eps, bn.momentum) == (1e-3, 0.01)


def test_pywarm_imported_before_warmnet_works_too():
    code = """
from warm import up
import torch, warm.functional as W
from warmnet import WarmModule
class Net(WarmModule):
    def __init__(self):
        super().__init__()
        up(self, [2, 3, 8, 8])
    def forward(self, x):
        return W.batch_norm(W.conv(x, 4, 3))
net = Net()
assert sorted(net._modules) == ['batch_norm_1', 'conv_1'] and net.training
assert net.batch_norm_1.num_batches_tracked == 0
assert net(torch.randn(5, 3, 9, 9)).shape == (5, 4, 7, 7)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pywarm_networks_that_do_not_inherit_work_as_before():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            warm.up(self, [2, 4])

        def forward(self, x):
            return V.linear(x, 2)

    try:
        assert list(Net().state_dict()) == ["linear_1.weight", "linear_1.bias"]
    finally:
        warm.engine.set_default_parent(None)


def test_importing_warmnet_leaves_torch_alone():
    code = "import torch; ndim = torch.Tensor.ndim; import warmnet; assert torch.Tensor.ndim is ndim"
    subprocess.run([sys.executable, "-c", code], check=True)


# Endpoints


def test_endpoints_are_the_blocks_outputs_and_the_logits(small):
    wanted = {}
    for path in ("stem", "residual_1.depthwise", "residual_2"):
        small.get_submodule(path).register_forward_hook(lambda m, x, y, path=path: wanted.update({path: y}))
    wanted["logits"] = small(images())
    ends = Endpoints(small, list(wanted))
    got = ends(images())
    assert list(got) == list(wanted) and all(same(got[name], y) for name, y in wanted.items())
    assert ends.channels == {name: y.shape[1] for name, y in wanted.items()}
    assert ends.reduction == {"stem": 2, "residual_1.depthwise": 2, "residual_2": 4, "logits": None}


def test_endpoints_compute_nothing_past_the_last(small):
    called = []
    small.residual_2.register_forward_hook(lambda *_: called.append(1))
    assert list(Endpoints(small, ["residual_1", "stem"])(images())) == ["residual_1", "stem"]
    assert not called
    small(images())
    assert called


def test_endpoints_of_a_nested_network_are_not_confused_with_its_host():
    model = Nested().eval()
    got = Endpoints(model, ["stem", "backbone.stem", "logits"])(images())
    assert got["stem"].shape == (2, 4, 32, 32) and got["backbone.stem"].shape == (2, 8, 16, 16)
    assert Endpoints(model.backbone, ["stem"])(images())["stem"].shape == (2, 8, 16, 16)


def test_endpoints_survive_surgery_and_sharing(small):
    small.residual_1 = nn.Sequential()
    assert list(Endpoints(small, ["stem", "residual_2"])(images())) == ["stem", "residual_2"]
    model = warmed(lambda x: double(double(x, name="t", share=True), name="t", share=True), [1, 4])
    x = torch.randn(3, 4)
    first, both = (Endpoints(model, names)(x)["t"] for names in (["t"], ["t", "logits"]))
    assert same(first, both) and not torch.equal(first, model(x))


def test_an_endpoint_that_does_not_run_is_refused(small):
    ends = Endpoints(small, "residual_1")
    small.residual_1 = nn.Identity()
    with pytest.raises((ValueError, AttributeError)):
        ends(images())


def test_an_unknown_endpoint_is_refused(small):
    with pytest.raises(ValueError, match="Unknown endpoint 'stage_1'. .*Choose one of stem, .*logits"):
        Endpoints(small, ["stage_1"])


def test_endpoints_compile_and_export(small):
    ends, x = Endpoints(small, ["stem", "residual_1", "logits"]).eval(), images()
    short = Endpoints(small, ["residual_1"]).eval()
    torch._dynamo.reset()
    for module in (ends, short):
        wanted = module(x)
        for run in (torch.compile(module, fullgraph=True, backend="eager"), torch.export.export(module, (x,)).module()):
            got = run(x)
            assert list(got) == list(wanted) and all(got[name].allclose(y, atol=1e-6) for name, y in wanted.items())
    program = torch.export.export(short, (x,)).run_decompositions()  # which every backend does
    convolutions = sum("convolution" in str(node.target) for node in program.graph.nodes)
    assert convolutions == 4  # the stem's and the first block's three; nothing past the last
