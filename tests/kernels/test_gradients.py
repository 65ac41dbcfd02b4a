"""Gradients that warmnet computes in its own way are torch's, of every order, and cost less."""

import copy

import pytest
import torch
import torch.nn.functional as F
from alive import error, fill, gradient_errors, gradients, images
from small_networks import unit
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import warmnet
import warmnet.functional as W
from warmnet.kernels.gradients import depthwise, normalized_silu

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def counted(call):
    """How many convolutions and normalizations of a result have warmnet's gradients."""
    found, nodes = {}, [call().grad_fn]
    while nodes:
        node = nodes.pop()
        if node is not None and node not in found:
            found[node] = node.name()
            nodes += [following for following, _ in node.next_functions]
    return tuple([*found.values()].count(name) for name in ("_DepthwiseBackward", "_NormalizedSiluBackward"))


def randn(*shape, **options):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64, **options)


def padded(x, weight, bias, stride, zeros):
    """What `depthwise` computes, by padding the picture."""
    return F.conv2d(
        F.pad(x, [half for n in reversed(zeros) for half in (n // 2, n - n // 2)]), weight, bias, stride, 0, 1, len(weight)
    )


SHAPES = [  # height, width, kernel, stride, zeros
    (9, 10, (3, 3), (1, 1), (2, 2)),
    (10, 10, (3, 3), (2, 2), (1, 1)),
    (9, 10, (5, 5), (2, 2), (4, 3)),
    (8, 7, (5, 5), (1, 1), (4, 4)),
    (7, 7, (5, 5), (1, 1), (0, 0)),
    (3, 2, (5, 5), (2, 2), (4, 3)),
    (11, 12, (3, 7), (3, 2), (1, 5)),
    (11, 12, (7, 4), (1, 3), (6, 1)),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("height, width, kernel, stride, zeros", SHAPES)
def test_a_depthwise_convolution_and_its_gradients_are_those_of_the_padded_picture(
    height, width, kernel, stride, zeros, layout
):
    inputs = [z.requires_grad_() for z in (randn(3, 6, height, width).to(memory_format=layout), randn(6, 1, *kernel), randn(6))]
    y, expected = depthwise(*inputs, stride, zeros), padded(*inputs, stride, zeros)
    assert y.shape == expected.shape and error(y, expected) < 1e-14
    grad = randn(*y.shape).to(memory_format=layout)
    for own, theirs in zip(torch.autograd.grad(y, inputs, grad), torch.autograd.grad(expected, inputs, grad)):
        assert own.shape == theirs.shape and error(own, theirs) < 1e-13


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("key", "value"), [("dilation", (1, 0)), ("stride", (-1, -1)), ("padding", (-1, -1))])
def test_settings_that_torch_refuses_are_refused_in_training_too(padding, key, value):
    """Set by hand on a layer whose gradients are warmnet's own."""

    class Net(warmnet.WarmModule):
        def forward(self, x):
            return W.conv(x, 8, 5, padding=padding, groups=8)

    x = torch.rand(8, 8, 16, 16).contiguous(memory_format=torch.channels_last)
    net = warmnet.up(Net(), x).train()
    net(x).sum().backward()
    setattr(net.conv_1, key, value)
    with pytest.raises((RuntimeError, ValueError), match=key):
        net(x)


def test_many_images_give_the_gradient_that_they_give_together():
    """They are taken a few at a time: here five, five and one."""
    inputs = randn(11, 6, 7, 7).contiguous(memory_format=torch.channels_last), randn(6, 1, 5, 5).requires_grad_()
    own, theirs = (f(*inputs, None, (1, 1), (4, 4)).square().sum() for f in (depthwise, padded))
    assert error(*(torch.autograd.grad(loss, inputs[1])[0] for loss in (own, theirs))) < 1e-13


def test_gradients_of_gradients_are_right():
    x, kernel, scale, shift = (z.requires_grad_() for z in (randn(2, 3, 6, 5), randn(3, 1, 5, 5), randn(3), randn(3)))
    for call, inputs in (
        (lambda *z: depthwise(*z, (2, 2), (3, 4)), (x, kernel, shift)),
        (lambda *z: normalized_silu(*z, torch.zeros(3).double(), torch.ones(3).double(), 0.1, 1e-3), (x, scale, shift)),
    ):
        assert gradcheck(call, inputs, check_batched_grad=True) and gradgradcheck(call, inputs, check_batched_grad=True)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_normalization_and_silu_in_one_are_the_two(layout):
    x, scale, shift = (z.requires_grad_() for z in (randn(4, 6, 9, 8).to(memory_format=layout), randn(6), randn(6)))
    grad, found = randn(4, 6, 9, 8), []
    for together in (True, False):
        mean, var = torch.zeros(6).double(), torch.ones(6).double()
        if together:
            y = normalized_silu(x, scale, shift, mean, var, 0.1, 1e-3)
        else:
            y = F.silu(F.batch_norm(x, mean, var, scale, shift, True, 0.1, 1e-3))
        found.append([y, mean, var, *torch.autograd.grad(y, (x, scale, shift), grad)])
    assert max(error(own, theirs) for own, theirs in zip(*found)) < 1e-12


@pytest.mark.parametrize("frozen", ["x", "scale", "shift"])
def test_what_needs_no_gradient_gets_none_and_the_others_theirs(frozen):
    inputs = {"x": randn(4, 6, 9, 8), "scale": randn(6), "shift": randn(6)}
    wanted = [z.requires_grad_() for name, z in inputs.items() if name != frozen]
    y = normalized_silu(*inputs.values(), torch.zeros(6).double(), torch.ones(6).double(), 0.1, 1e-3)
    expected = F.silu(F.batch_norm(inputs["x"], None, None, inputs["scale"], inputs["shift"], True, eps=1e-3))
    theirs = torch.autograd.grad(expected.square().sum(), wanted)
    for order in (2, 1):
        own = torch.autograd.grad(y.square().sum(), wanted, create_graph=order == 2, retain_graph=True)
        assert all(error(a, b) < 1e-12 for a, b in zip(own, theirs))


def network(**options):
    return fill(warmnet.WarmEfficientNet("b0", 10, dropout=0.0, drop_connect=0.0, **options))


def torchs(model):
    """A copy of `model` whose layers are followed, and so computed by torch alone."""
    model = copy.deepcopy(model)
    for module in model.modules():
        module.register_forward_hook(lambda module, args, y: None)
    return model


@pytest.mark.parametrize("dtype, allowed", [(torch.float64, 1e-12), (torch.float32, 1e-4)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_network_trained_so_has_the_gradients_and_statistics_of_its_layers(dtype, allowed, layout):
    model, x = network().to(dtype, memory_format=layout), images(106, 75).to(dtype).contiguous(memory_format=layout)
    assert counted(lambda: model(x)) == (2, 10)
    own = gradients(model, x)
    plain = torchs(network().to(dtype, memory_format=layout))
    assert counted(lambda: plain(x)) == (0, 0)
    assert max(gradient_errors(own, gradients(plain, x)).values()) < allowed
    for a, b in zip(model.buffers(), plain.buffers()):
        assert torch.allclose(a, b, rtol=1e-5)


def rounding(compute, truth, dtype, layout=torch.contiguous_format):
    """How far results and gradients in `dtype` are from those in float64, each of the largest."""
    exact, rounded = ([z.to(kind).requires_grad_() for z in truth] for kind in (torch.float64, dtype))
    results = []
    for inputs in exact, rounded:
        y = compute(*inputs)
        grad = randn(*y.shape).to(y.dtype).contiguous(memory_format=layout)
        results.append([y, *torch.autograd.grad(y, inputs, grad)])
    return [error(own.double(), expected) for expected, own in zip(*results)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("batch", [2, 8, 16])
@pytest.mark.parametrize(
    "channels, size, kernel, stride", [(96, 56, 3, 2), (144, 56, 5, 2), (240, 28, 5, 1), (672, 14, 5, 1), (1152, 7, 5, 1)]
)
def test_a_depthwise_convolution_rounds_no_more_than_twice_as_much_as_torchs(channels, size, kernel, stride, batch, layout):
    zeros = [kernel - 1 - (size - 1) % stride] * 2
    truth = (
        randn(batch, channels, size, size).contiguous(memory_format=layout),
        randn(channels, 1, kernel, kernel),
        randn(channels),
    )
    own, torchs_own = (
        rounding(lambda *z, f=f: f(*z, (stride, stride), zeros), truth, torch.float32, layout) for f in (depthwise, padded)
    )
    assert all(0 < e <= 2 * t and e < 1e-5 for e, t in zip(own, torchs_own)), (own, torchs_own)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_normalization_and_silu_round_no_more_than_twice_as_much_as_torchs(layout):
    truth = randn(4, 96, 56, 56).contiguous(memory_format=layout), randn(96), randn(96)

    def together(x, scale, shift):
        return normalized_silu(x, scale, shift, torch.zeros_like(scale), torch.ones_like(scale), 0.1, 1e-3)

    def apart(x, scale, shift):
        return F.silu(F.batch_norm(x, torch.zeros_like(scale), torch.ones_like(scale), scale, shift, True, 0.1, 1e-3))

    own, torchs_own = (rounding(compute, truth, torch.float32, layout) for compute in (together, apart))
    assert own[0] == torchs_own[0] > 0, "the output is the same bit for bit"
    assert all(0 < e <= 2 * t < 1e-4 for e, t in zip(own, torchs_own)), (own, torchs_own)


@pytest.mark.parametrize("autocast", [False, True])
def test_in_bfloat16_gradients_are_as_near_to_the_truth_as_torchs(autocast):
    truth = [randn(4, 8, 17, 17), randn(8, 1, 5, 5)]
    dtypes = (torch.float32, torch.float32) if autocast else (torch.bfloat16, torch.bfloat16)
    found = []
    for call, kinds in ((padded, (torch.float64,) * 2), (padded, dtypes), (depthwise, dtypes)):
        inputs = [z.to(dtype).requires_grad_() for z, dtype in zip(truth, kinds)]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast and kinds == dtypes):
            y = call(*inputs, None, (2, 2), (3, 4))
        found.append(torch.autograd.grad(y, inputs, randn(*y.shape).to(y.dtype)))
    for exact, theirs, own in zip(*found):
        assert own.dtype == theirs.dtype == dtypes[0]
        assert 0 < error(own.double(), exact) < 1.5 * error(theirs.double(), exact) < 0.02


def test_much_less_is_kept_for_going_back():
    def kept(model):
        storages = {}

        def keep(z):
            storages[z.untyped_storage().data_ptr()] = z.untyped_storage()
            return z

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda z: z):
            loss = model(images(128, 128).float()).sum()
        assert loss.requires_grad
        return sum(storage.nbytes() for storage in storages.values()) - sum(p.nbytes for p in model.parameters())

    own = kept(network())
    assert own < 0.8 * kept(torchs(network()))


class Unit(warmnet.WarmModule):
    """(B, 3, H, W) -> (B, 8, H / 2, W / 2), by a normalization with SiLU and a depthwise convolution with SAME padding."""

    def __init__(self):
        super().__init__()
        warmnet.up(self, [2, 3, 8, 8], seed=0)

    def forward(self, x):
        x = unit(x, 8, name="wide")
        return unit(x, 8, 3, 2, groups=8, act=None, name="depthwise")


X = images(200, 200).float()


def hooked(model):
    model.wide.bn.register_forward_hook(lambda module, args, y: y)


def hooked_going_back(model):
    model.wide.bn.register_full_backward_hook(lambda module, inputs, outputs: None)


def frozen(model):
    model.wide.bn.eval()


def without_statistics(model):
    model.wide.bn.track_running_stats = False


def without_a_counter(model):
    model.wide.bn.num_batches_tracked = None


def with_an_average(model):
    model.wide.bn.momentum = None


def no_affine(model):
    model.wide.bn.weight = model.wide.bn.bias = None


@pytest.mark.parametrize(
    "change, counts",
    [
        (lambda model: None, (1, 1)),
        (hooked, (1, 0)),
        (hooked_going_back, (1, 0)),
        (without_statistics, (1, 0)),
        (without_a_counter, (1, 0)),
        (frozen, (1, 0)),
        (with_an_average, (1, 0)),
        (no_affine, (1, 0)),
        (torch.nn.Module.eval, (1, 0)),
    ],
)
def test_they_are_taken_where_they_compute_what_the_modules_do(change, counts):
    change(model := Unit())
    assert counted(lambda: model(X)) == counts
    with torch.no_grad():
        assert model(X).grad_fn is None


def test_small_maps_are_kept_and_not_computed_again():
    assert counted(lambda: Unit()(X[:, :, :16, :16])) == (1, 0)


def test_transforms_and_forward_gradients_go_through_torchs_own():
    model, x = Unit().double(), X.double()
    parameters = dict(model.named_parameters())

    def loss(parameters):
        buffers = {name: buffer.new_zeros(buffer.shape) for name, buffer in model.named_buffers()}
        return torch.func.functional_call(model, (parameters, buffers), (x,)).square().sum()

    expected = torch.autograd.grad(model(x).square().sum(), list(parameters.values()))
    assert counted(lambda: model(x)) == (1, 1)
    found = torch.func.grad(loss)(parameters)
    assert all(error(a, b) < 1e-12 for a, b in zip(found.values(), expected))
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(model(forward_ad.make_dual(x, x.flip(3)))).tangent
    step = 1e-5 * x.flip(3)
    assert error(tangent, (model(x + step) - model(x - step)) / 2e-5) < 1e-6


def test_a_transform_of_what_is_around_a_network_goes_through_it():
    model, heads = Unit().double(), randn(3, *Unit()(X).shape)
    found = torch.vmap(lambda head: (model(X.double()) * head).sum())(heads)
    assert error(found, torch.stack([(model(X.double()) * head).sum() for head in heads])) < 1e-12


class Twice(warmnet.WarmModule):
    """One layer, used twice."""

    def __init__(self):
        super().__init__()
        warmnet.up(self, [2, 3, 8, 8], seed=0)

    def forward(self, x):
        for _ in range(2):
            x = unit(x, 3, name="same", share=True)
        return x


def test_weights_that_are_used_twice_have_the_gradients_of_both():
    model, x = Twice().double(), X.double()
    assert counted(lambda: model(x)) == (0, 2)
    once = torch.autograd.grad(model(x).square().sum(), [*model.parameters()])
    for_more = torch.autograd.grad(model(x).square().sum(), [*model.parameters()], create_graph=True)
    assert all(error(a, b) < 1e-12 for a, b in zip(for_more, once))


@pytest.mark.parametrize("name", ["running_mean", "running_var"])
def test_statistics_of_another_size_are_refused(name):
    model = Unit()
    setattr(model.wide.bn, name, torch.ones(4))
    with pytest.raises(RuntimeError, match=f"{name} should contain 8 elements not 4"):
        model(X)


class Norm(warmnet.WarmModule):
    """A normalization with SiLU."""

    def __init__(self):
        super().__init__()
        warmnet.up(self, [2, 3, 8, 8])

    def forward(self, x):
        return W.batch_norm(x, activation=F.silu)


def test_an_input_of_another_type_is_explained_for_large_maps_too():
    with pytest.raises(warmnet.MismatchError, match="float64"):
        Norm()(X.double())


def test_two_batches_before_going_back_and_a_change_in_between():
    model = Unit()
    first, second = model(X).sum(), model(X.flip(0)).sum()
    (first + second).backward()
    loss = model(X).sum()
    with torch.no_grad():
        model.wide.bn.bias.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
