"""W's transposed convolution, group normalization, attention, bare parameters and layers of any class.

Values are held against torch's modules and formulas in double, where 1e-12 of the largest is rounding.
"""

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import warmnet
import warmnet.functional as W
from warmnet import MismatchError, NameTakenError, SealedError, WarmModule
from warmnet.engine.build import starting_from


class Net(WarmModule):
    """The layers of one function, in double."""

    def __init__(self, function, *sample, seed=0, device="cpu"):
        super().__init__()
        self.function = function
        warmnet.up(self, *sample, device=device, seed=seed).double()

    def forward(self, *x):
        return self.function(*x)


def numbers(*shape, seed=0):
    return torch.randn(shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def assert_equal(ours, theirs):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-12 * theirs.abs().max()


class Scaled(nn.Module):
    """A user's layer: parameters of its own, a buffer, and a layer in it."""

    def __init__(self, size, gain=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(size))
        self.linear = nn.Linear(size, size)
        self.register_buffer("shift", torch.randn(size))
        self.gain = gain

    def forward(self, x):
        return self.gain * self.scale * self.linear(x) + self.shift


class Inner(WarmModule):
    """A network that is built as a part of another one."""

    def forward(self, x):
        return W.linear(x, 5)


class Finished(Inner):
    """One that builds itself."""

    def __init__(self, size):
        super().__init__()
        warmnet.up(self, [1, size])


@warmnet.block
def scaled(x):
    return x * W.parameter((x.shape[1], 1), "normal_", name="scale")


def every_layer(x):
    x = W.conv_transpose(x, 8, 2, stride=2)
    x = W.group_norm(x, 4, activation="relu")
    x = scaled(x.flatten(2))
    x = W.multi_head_attention(x, 2, dropout=0.1)
    x = W.module(Scaled, 8, gain=0.5)(x.mean(2))
    x = W.module(Inner)(x)
    return W.module(Finished, 5, name="finished")(x)


SAMPLE = [2, 3, 4, 4]


def build(seed=0, device="cpu"):
    return Net(every_layer, SAMPLE, seed=seed, device=device).eval()


# --------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    "settings",
    [{}, {"stride": 2, "output_padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2}, {"groups": 2}, {"bias": False}],
    ids=str,
)
def test_conv_transpose_is_torchs(dims, settings):
    x = numbers(2, 4, *(5, 4, 3)[:dims])
    net = Net(lambda x: W.conv_transpose(x, 6, 3, **settings), [*x.shape])
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    theirs = kind(4, 6, 3, **settings).double()
    theirs.load_state_dict(net.conv_transpose_1.state_dict())
    assert type(net.conv_transpose_1) is kind
    assert_equal(net(x), theirs(x))


def test_conv_transpose_with_a_kernel_of_its_stride_multiplies_the_sides():
    net = Net(lambda x: W.conv_transpose(x, 6, (2, 3), "ones_", "zeros_", stride=(2, 3), activation="relu"), [1, 4, 5, 7])
    x = numbers(1, 4, 5, 7)
    enlarged = F.relu(x.sum(1, keepdim=True)).repeat_interleave(2, 2).repeat_interleave(3, 3)
    assert_equal(net(x), enlarged.expand(-1, 6, -1, -1))


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (2, 6, 5, 4), (2, 6, 5, 4, 3)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_is_torchs(shape, groups):
    x = numbers(*shape)
    if math.prod(shape[2:]) * 6 // groups == 1:
        return  # one number has no variance
    net = Net(lambda x: W.group_norm(x, groups, eps=0.1, activation="silu"), [*shape])
    assert type(net.group_norm_1) is nn.GroupNorm
    nn.init.normal_(net.group_norm_1.weight)
    assert_equal(net(x), F.silu(F.group_norm(x, groups, net.group_norm_1.weight, net.group_norm_1.bias, 0.1)))


def attention(layer, x, y, forbidden=None):
    """Attention by its formula, for the projections of a layer of torch's: (B, C, L), (B, C2, L2) -> (B, C, L)."""
    if layer.in_proj_weight is None:
        weights = layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight
    else:
        weights = layer.in_proj_weight.chunk(3)
    biases = layer.in_proj_bias.chunk(3)
    queries, keys, values = (
        F.linear(z.mT, weight, bias).unflatten(2, (layer.num_heads, -1)).transpose(1, 2)
        for z, weight, bias in zip((x, y, y), weights, biases)
    )
    scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
    if forbidden is not None:
        scores = scores.masked_fill(forbidden, -math.inf)
    return layer.out_proj((scores.softmax(-1) @ values).transpose(1, 2).flatten(2)).mT


def filled(net):
    """The network with biases that are not 0."""
    for bias in (net.multi_head_attention_1.in_proj_bias, net.multi_head_attention_1.out_proj.bias):
        nn.init.normal_(bias)
    return net


@pytest.mark.parametrize("grad", [True, False])  # without gradients torch has a kernel of its own
def test_multi_head_attention_is_the_formula(grad):
    net = filled(Net(lambda x: W.multi_head_attention(x, 2), [2, 4, 9])).eval()
    assert type(net.multi_head_attention_1) is nn.MultiheadAttention
    x = numbers(2, 4, 9)
    with torch.set_grad_enabled(grad):
        assert_equal(net(x), attention(net.multi_head_attention_1, x, x))


@pytest.mark.parametrize("channels", [4, 6])
def test_multi_head_attention_sees_another_sequence(channels):
    net = filled(Net(lambda x, y: W.multi_head_attention(x, 2, y), [2, 4, 9], [2, channels, 5]))
    x, y = numbers(2, 4, 9), numbers(2, channels, 5, seed=1)
    assert_equal(net(x, y), attention(net.multi_head_attention_1, x, y))


def test_masks_hide_positions_and_ends_and_what_comes_later():
    x = numbers(2, 4, 6)
    later = torch.ones(6, 6, dtype=torch.bool).triu(1)
    ended = torch.arange(6) >= torch.tensor([[6], [4]])
    cases = [
        ({"causal": True}, later),
        ({"mask": later}, later),
        ({"mask": torch.zeros(6, 6, dtype=torch.double).masked_fill(later, -math.inf)}, later),
        ({"padding_mask": ended}, ended[:, None, None]),
        ({"causal": True, "padding_mask": ended}, later | ended[:, None, None]),
    ]
    net = filled(Net(lambda x: W.multi_head_attention(x, 2), [2, 4, 6]))
    for settings, forbidden in cases:
        net.function = lambda x, settings=settings: W.multi_head_attention(x, 2, **settings)
        assert_equal(net(x), attention(net.multi_head_attention_1, x, x, forbidden))


def test_attentions_dropout_is_for_training_only():
    net = Net(lambda x: W.multi_head_attention(x, 2, dropout=0.5), [2, 4, 9])
    x = numbers(2, 4, 9)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_a_parameter_is_the_modules_own_and_has_no_layer_around_it():
    net = Net(lambda x: scaled(x) + W.parameter((), "ones_"), [2, 4, 9])
    assert [name for name, _ in net.named_parameters()] == ["parameter_1", "scaled_1.scale"]
    assert type(net.scaled_1.scale) is nn.Parameter
    assert [name for name, _ in net.named_modules()] == ["", "scaled_1"]
    x = numbers(2, 4, 9)
    assert_equal(net(x), x * net.scaled_1.scale + 1)
    net(x).sum().backward()
    assert net.scaled_1.scale.grad is not None


def test_a_parameter_may_be_shared():
    def twice(x):
        for _ in range(2):
            x = x * W.parameter(x.shape[1], (nn.init.constant_, {"val": 3.0}), name="scale", share=True)
        return x

    x = numbers(2, 4)
    assert_equal(Net(twice, [2, 4])(x), 9 * x)


def test_a_parameter_that_was_replaced_is_the_one_that_counts():
    net = Net(lambda x: x * W.parameter(4, "ones_", name="scale"), [2, 4])
    net.scale = nn.Parameter(torch.full((4,), 2.0))
    nn.utils.parametrize.register_parametrization(net, "scale", nn.Softplus())
    x = numbers(2, 4)
    assert_equal(net(x), x * F.softplus(torch.tensor(2.0)))


def test_a_module_is_made_once_and_computes_what_its_class_does():
    net = Net(lambda x: W.module(Scaled, 4, gain=0.5)(x), [2, 4])
    assert type(net.scaled_1) is Scaled
    assert net.scaled_1.gain == 0.5
    theirs = Scaled(4, gain=0.5).double()
    theirs.load_state_dict(net.scaled_1.state_dict())
    assert_equal(net(numbers(2, 4)), theirs(numbers(2, 4)))
    assert_equal(Net(lambda x: W.module(nn.PixelShuffle, 2)(x), SAMPLE[:1] + [4, 3, 3])(numbers(1, 4, 3, 3)),
                 F.pixel_shuffle(numbers(1, 4, 3, 3), 2))  # fmt: skip


# ------------------------------------------------------------------------------------------------------- a part of a network


def test_names_are_the_kinds_numbered_or_as_given():
    assert list(build().state_dict()) == [
        "conv_transpose_1.weight", "conv_transpose_1.bias", "group_norm_1.weight", "group_norm_1.bias", "scaled_1.scale",
        "multi_head_attention_1.in_proj_weight", "multi_head_attention_1.in_proj_bias",
        "multi_head_attention_1.out_proj.weight", "multi_head_attention_1.out_proj.bias",
        "scaled_2.scale", "scaled_2.shift", "scaled_2.linear.weight", "scaled_2.linear.bias",
        "inner_1.linear_1.weight", "inner_1.linear_1.bias", "finished.linear_1.weight", "finished.linear_1.bias",
    ]  # fmt: skip


def test_initial_values_depend_on_the_seed_and_the_path_alone():
    def longer(x):
        return every_layer(W.conv(x, 3, 1, name="inserted"))

    torch.manual_seed(1)
    first, other = build().state_dict(), build(seed=1).state_dict()
    torch.manual_seed(2)
    again = Net(longer, [1, 3, 4, 4], seed=0).state_dict()
    assert all(torch.equal(value, again[path]) for path, value in first.items())
    same = [path for path, value in first.items() if torch.equal(value, other[path])]
    assert same == ["group_norm_1.weight", "group_norm_1.bias", "multi_head_attention_1.in_proj_bias",
                    "multi_head_attention_1.out_proj.bias"]  # fmt: skip


def test_two_parameters_of_a_module_differ():
    net = Net(lambda x: x + W.parameter(4, "normal_") + W.parameter(4, "normal_"), [2, 4])
    assert not torch.equal(net.parameter_1, net.parameter_2)


def test_the_dry_run_draws_nothing_from_torchs_generator():
    before = torch.get_rng_state()
    build()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_on_meta_holds_no_memory():
    net = build(device="meta")
    assert {tensor.device.type for tensor in net.state_dict().values()} == {"meta"}
    assert [*net.state_dict()] == [*build().state_dict()]


def test_given_values_are_taken_instead_of_initial_ones():
    values = build(seed=1).state_dict()
    with starting_from(values):
        net = build(seed=2)
    assert all(torch.equal(value, values[path]) for path, value in net.state_dict().items())


def test_layers_that_a_class_ties_stay_tied_when_values_are_given():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    def forward(x):
        return W.module(Tied)(x)

    values = Net(forward, [1, 3], seed=1).state_dict()
    with starting_from(values):
        net = Net(forward, [1, 3])
    assert net.tied_1.a.weight is net.tied_1.b.weight
    assert torch.equal(net.tied_1.a.weight, values["tied_1.a.weight"])


def test_copies_and_pickles_compute_the_same():
    net, x = build(), numbers(*SAMPLE)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(x), net(x))
        other.scaled_1.scale.data.zero_()
        assert not torch.equal(other(x), net(x))


def test_the_layers_compile_to_one_graph_and_export():
    net, x = build(), numbers(*SAMPLE)
    torch._dynamo.reset()
    assert_equal(torch.compile(net, fullgraph=True, backend="aot_eager")(x), net(x))
    batch = torch.export.Dim("batch")
    program = torch.export.export(net, (x,), dynamic_shapes=[({0: batch},)])
    assert_equal(program.module()(numbers(5, *SAMPLE[1:])), net(numbers(5, *SAMPLE[1:])))
    assert "scaled_1.scale" in program.state_dict


def test_functional_call_takes_other_parameters():
    net, other, x = build(), build(seed=1), numbers(*SAMPLE)
    assert_equal(torch.func.functional_call(net, other.state_dict(), (x,)), other(x))


def test_a_network_within_one_has_its_path_in_it():
    net = build()
    assert net.inner_1._path == "inner_1"
    assert net.finished._path == "finished"
    with pytest.raises(MismatchError, match=r"'finished\.linear_1'"):
        net.finished(numbers(2, 7))


def test_a_forward_that_fails_leaves_nothing():
    class Failing(WarmModule):
        def forward(self, x):
            x = x * W.parameter(4, "ones_", name="scale")
            raise ValueError("after it")

    net = Failing()
    with pytest.raises(ValueError, match="after it"):
        warmnet.up(net, [2, 4])
    assert not [*net.parameters()]
    assert not net._built


def test_an_adopted_network_has_parameters_and_norms_of_the_size_that_they_were_given():
    def forward(x):
        x = W.group_norm(W.conv(x, 8, 1), 1)
        return W.conv(x * W.parameter((x.shape[1], 1, 1), "ones_", name="scale"), 2, 1)

    net = Net(forward, [1, 3, 4, 4])
    net.conv_1, net.group_norm_1, net.conv_2 = nn.Conv2d(3, 6, 1), nn.GroupNorm(1, 6), nn.Conv2d(6, 2, 1)
    net.double()
    with pytest.raises(MismatchError, match="'scale' is asked for with the shape"):
        warmnet.adopt(net)
    net.scale = nn.Parameter(torch.ones(6, 1, 1, dtype=torch.double))
    warmnet.adopt(net)
    assert net(numbers(1, 3, 4, 4)).shape == (1, 2, 4, 4)


# ---------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("function", "shape", "says"),
    [
        (lambda x: W.conv_transpose(x, 8, 3, groups=3), [2, 6, 9], r"groups \(=3\) must divide size \(=8\)"),
        (lambda x: W.conv_transpose(x, 8, 3, output_padding=1), [2, 6, 9], "output_padding=1 must be below stride=1"),
        (lambda x: W.conv_transpose(x, 8, 0), [2, 6, 9], "kernel=0 must be at least 1"),
        (lambda x: W.conv_transpose(x, 8, 3, stride=(2, 2)), [2, 6, 9], r"stride=\(2, 2\) has 2 numbers"),
        (lambda x: W.conv_transpose(x, 8, 3), [2, 6], r"not shape \(2, 6\)"),
        (lambda x: W.group_norm(x, 4), [2, 6, 9], r"groups \(=4\) must divide the input channels \(=6\)"),
        (lambda x: W.multi_head_attention(x, 4), [2, 6, 9], r"heads \(=4\) must divide the channels \(=6\)"),
        (lambda x: W.multi_head_attention(x, 2, dropout=1.5), [2, 6, 9], "dropout=1.5"),
        (lambda x: W.multi_head_attention(x, 2), [2, 6, 9, 9], r"Maps become sequences by x\.flatten\(2\)"),
        (lambda x: W.multi_head_attention(x, 2, causal=True, mask=x), [2, 6, 9], "Give mask= or causal=True, not both"),
        (lambda x: x * W.parameter((6, 0), "ones_"), [2, 6, 9], "shape=0 must be at least 1"),
    ],
)
def test_a_layer_that_cannot_be_says_why(function, shape, says):
    with pytest.raises(ValueError, match=says):
        Net(function, shape)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: W.conv_transpose(x, 8, 3, padding="same"), "padding='same' is W.conv's"),
        (lambda x: W.conv_transpose(x, 8, 3, paddding=1), "'paddding'"),
        (lambda x: W.module(x, nn.PixelShuffle, 2), "takes a class of modules and its settings, .* is given a Tensor"),
        (lambda x: W.module(nn.ReLU())(x), "takes a class of modules and its settings, .* is given a ReLU"),
        (lambda x: W.module(nn.PixelShuffle, 2, paddding=1)(x), "'paddding'"),
        (lambda x: W.module(nn.Sequential, nn.ReLU())(x), r"W\.module\(Sequential, \.\.\.\) is given a module"),
        (lambda x: W.module(nn.CrossEntropyLoss, weight=x)(x, x), "a tensor, computed from one input"),
        (lambda x: W.parameter(x, "ones_"), "tensor"),
    ],
)
def test_what_no_layer_takes_is_an_error_that_names_it(function, says):
    with pytest.raises(TypeError, match=says):
        Net(function, [2, 4, 9])


@pytest.mark.parametrize(
    ("function", "built", "given", "says"),
    [
        (lambda x: W.conv_transpose(x, 8, 3), [2, 4, 9], (2, 5, 9), ["'conv_transpose_1'", "4 input channels", "(2, 5, 9)"]),
        (lambda x: W.conv_transpose(x, 8, 3), [2, 4, 9, 9], (4, 9, 9), ["'conv_transpose_1'", "4 dimensions"]),
        (lambda x: W.group_norm(x, 1, affine=False), [2, 4, 9], (2, 5, 9), ["'group_norm_1'", "channels=4", "channels=5"]),
        (lambda x: W.multi_head_attention(x, 2), [2, 4, 9], (2, 6, 9), ["'multi_head_attention_1'", "channels=4"]),
        (lambda x: x + W.parameter(x.shape[1:], "ones_"), [2, 4, 9], (2, 4, 8), ["'parameter_1'", "shape=(4, 9)"]),
        (
            lambda x: W.module(nn.Linear, x.shape[1], 3)(x),
            [2, 4],
            (2, 5),
            ["'linear_1'", "linear(4, …)", "linear(5, …)"],
        ),
    ],
    ids=["conv_transpose", "no batch", "group_norm", "multi_head_attention", "parameter", "module"],
)
def test_another_size_than_was_built_is_an_error_that_says_where(function, built, given, says):
    net = Net(function, built)
    with pytest.raises(MismatchError) as error:
        net(numbers(*given))
    assert [part for part in says if part not in str(error.value)] == []


def test_a_built_module_takes_no_new_parameter_and_misses_one_that_was_removed():
    net = Net(lambda x: x * W.parameter(4, "ones_", name="scale" if x.sum() == 0 else "other"), torch.zeros(2, 4))
    with pytest.raises(SealedError, match=r"'other', parameter\(shape=\(4,\)\), was not made"):
        net(torch.ones(2, 4))
    del net.scale
    with pytest.raises(SealedError, match="'scale' was built and has been removed. Put a parameter of its shape in its place"):
        net(torch.zeros(2, 4))


def test_a_name_is_a_parameters_or_a_layers():
    with pytest.raises(NameTakenError, match="'scale' is used twice"):
        Net(lambda x: W.linear(x * W.parameter(4, "ones_", name="scale"), 3, name="scale"), [2, 4])
    with pytest.raises(NameTakenError, match="'function' cannot name a parameter"):
        Net(lambda x: x * W.parameter(4, "ones_", name="function"), [2, 4])


def test_a_parameter_of_another_shape_in_its_place_is_an_error():
    net = Net(lambda x: x * W.parameter(4, "ones_", name="scale"), [2, 4])
    net.scale = nn.Parameter(torch.ones(1, dtype=torch.double))
    with pytest.raises(MismatchError, match=r"'scale' is asked for with the shape \(4,\) and now has \(1,\)"):
        net(numbers(2, 4))


class Twice(nn.Module):
    def forward(self, x):
        return 2 * x


def test_the_class_is_a_setting_of_a_layer_of_any_class():
    others = [Twice, type("Twice", (nn.Module,), {"forward": lambda self, x: 3 * x})]

    class Net(warmnet.WarmModule):
        def forward(self, x):
            return W.module(others[0])(x)

    net, x = warmnet.up(Net(), [1, 4]), torch.ones(1, 4)
    assert torch.equal(net(x), 2 * x)
    others.reverse()
    with pytest.raises(MismatchError, match="twice_1"):
        net(x)


def test_a_list_among_the_settings_of_a_layer_is_kept_as_it_was():
    sizes = [4, 8]

    class Mlp(nn.Module):
        def __init__(self, sizes):
            super().__init__()
            self.linear = nn.Linear(*sizes)

        def forward(self, x):
            return self.linear(x)

    class Net(warmnet.WarmModule):
        def forward(self, x):
            return W.module(Mlp, sizes)(x)

    net = warmnet.up(Net(), [1, 4])
    sizes[1] = 7
    with pytest.raises(MismatchError, match="mlp_1"):
        net(torch.ones(1, 4))


def test_a_parameter_needs_initial_values():
    class Net(warmnet.WarmModule):
        def forward(self, x):
            return x * W.parameter(4, None)

    with pytest.raises(ValueError, match="W.parameter needs initial values"):
        warmnet.up(Net(), [1, 4])


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: W.conv(x, 2, 1, lambda t: torch.ones_like(t)),
        lambda x: W.linear(x, 2, None, lambda t: torch.ones_like(t)),
        lambda x: W.linear(x.mT, 2, lambda t: torch.ones_like(t), in_shape="BDC"),
        lambda x: x * W.parameter((4, 1), lambda t: torch.ones_like(t)),
    ],
)
def test_an_initialization_that_fills_nothing_is_refused(layer):
    with pytest.raises(ValueError, match="gives a new tensor and leaves the layer's as it was"):
        Net(layer, [1, 4, 9])


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: W.conv(x, 2, 1, activation=nn.ReLU),
        lambda x: W.lstm(x, 2, activation=nn.ReLU),
        lambda x: W.linear(x.mT, 2, in_shape="BDC", activation=nn.ReLU),
    ],
)
def test_an_activation_that_is_a_class_is_refused_by_pywarms_layers_too(layer):
    with pytest.raises(TypeError, match="activation=ReLU is a class"):
        Net(layer, [1, 4, 9])


@pytest.mark.parametrize(
    "name, cure",
    [
        ("conv2d", "Did you mean W.conv?"),
        ("batchnorm", "Did you mean W.batch_norm?"),
        ("relu", "take torch.nn.functional.relu."),
    ],
)
def test_a_layer_that_is_not_there_is_answered_with_what_to_take(name, cure):
    with pytest.raises(AttributeError, match=f"W has no layer '{name}'") as error:
        getattr(W, name)
    assert str(error.value).endswith(cure)
    assert not hasattr(W, "xyz")
