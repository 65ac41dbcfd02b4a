"""W's layers against torch's own, which have the same weights, and against rules written down a second time.

Numbers are double: then 1e-12 of the largest is rounding, and anything more is another result.
"""

import copy
import inspect
import math
from functools import partial
from itertools import product

import pytest
import torch
import torch.nn.functional as F
import warm.functional as V  # vanilla PyWarm
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._pytree import tree_leaves

import warmnet
import warmnet.functional as W
from warmnet import MismatchError, WarmModule

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:The tensor attributes")  # of torch's layers

CONVS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
SIZES = {1: [(1,), (2,), (7,), (8,)], 2: [(5, 5), (6, 6), (9, 4), (1, 3)], 3: [(3, 4, 5), (6, 2, 4)]}


class Net(WarmModule):
    """The layers of one function, in double."""

    def __init__(self, function, *sample, device="cpu"):
        super().__init__()
        self.function = function
        warmnet.up(self, *sample, device=device, seed=0).double()

    def forward(self, *x):
        return self.function(*x)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return request.param


@pytest.fixture(autouse=True)
def alone():
    """One thread, as more only wait for each other on tensors this small; the same random numbers in every test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch._dynamo.reset()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


def numbers(*shape, device="cpu"):
    return torch.randn(shape, dtype=torch.double).to(device)


def assert_equal(ours, theirs, tolerance=1e-12):
    """Two results, of as many tensors, differ by no more than `tolerance` of the largest number, which is not nearly 0."""
    ours, theirs = tree_leaves(ours), tree_leaves(theirs)
    assert [(a.shape, a.dtype) for a in ours] == [(b.shape, b.dtype) for b in theirs]
    scale = max(b.abs().max() for b in theirs)
    assert scale > 1e-2, "the signal is alive"
    assert all((a - b).abs().max() <= tolerance * scale for a, b in zip(ours, theirs))


# ---------------------------------------------------------------------------------------------------------- SAME padding


def tensorflow_same(x, weight, bias, stride, dilation, groups):
    """TensorFlow's rule: an output of ceil(n / stride); of an odd number of zeros, the one more comes after the picture."""
    pads = []
    for n, k, s, d in zip(x.shape[2:], weight.shape[2:], stride, dilation):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]  # F.pad begins with the last dimension
    return CONVS[x.ndim - 2](F.pad(x, pads), weight, bias, stride, 0, dilation, groups)


def same(dims, kernel, stride=1, dilation=1, groups=1, device="cpu"):
    """A SAME convolution that was built at 6 or 7 numbers in each dimension, and TensorFlow's with its weights."""
    settings = dict(stride=stride, padding="same", dilation=dilation, groups=groups)
    net = Net(lambda x: W.conv(x, 8, kernel, **settings), [2, 4, *(7, 6, 7)[:dims]], device=device)

    def tensorflow(x):
        strides, dilations = ((n,) * dims if isinstance(n, int) else n for n in (stride, dilation))
        return tensorflow_same(x, net.conv_1.weight, net.conv_1.bias, strides, dilations, groups)

    return net, tensorflow


some = pytest.mark.parametrize(
    ("dims", "kernel", "stride", "dilation", "groups"),
    [
        (2, 3, 1, 1, 4),
        (2, 3, 2, 1, 1),
        (2, 5, 2, 1, 4),
        (2, 2, 1, 1, 4),
        (2, 4, 3, 2, 1),
        (1, 5, 2, 2, 4),
        (3, 3, 2, 1, 4),
        (2, 1, 2, 1, 1),
    ],
)


@pytest.mark.parametrize(
    ("dims", "kernel", "stride"),
    [*product([1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3]), (2, (5, 2), (2, 1)), (2, (1, 3), (3, 2))],
)
def test_same_padding_is_tensorflows_at_every_size_with_its_gradients(dims, kernel, stride, device):
    for dilation, groups in product([1, 2], [1, 4]):
        net, tensorflow = same(dims, kernel, stride, dilation, groups, device)
        for size in SIZES[dims]:
            x = numbers(2, 4, *size, device=device).requires_grad_()
            ours, theirs = net(x), tensorflow(x)
            assert_equal(ours, theirs)
            inputs, loss = (x, *net.parameters()), numbers(*ours.shape, device=device)
            assert_equal(torch.autograd.grad(ours, inputs, loss), torch.autograd.grad(theirs, inputs, loss))


@some
def test_same_padding_is_tensorflows_in_single_precision(dims, kernel, stride, dilation, groups):
    net, tensorflow = same(dims, kernel, stride, dilation, groups)
    net.float()
    for size in SIZES[dims]:
        x = numbers(2, 4, *size).float()
        assert_equal(net(x), tensorflow(x), 1e-6)  # eight units in the last place: zeros may change the order of a sum


@some
def test_same_padding_is_tensorflows_when_compiled_and_sizes_change(dims, kernel, stride, dilation, groups, device):
    net, tensorflow = same(dims, kernel, stride, dilation, groups, device)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in SIZES[dims]:
        x = numbers(2, 4, *size, device=device).requires_grad_()
        ours, theirs = compiled(x), tensorflow(x)
        assert_equal(ours, theirs)
        inputs, loss = (x, *net.parameters()), numbers(*ours.shape, device=device)
        assert_equal(torch.autograd.grad(ours, inputs, loss), torch.autograd.grad(theirs, inputs, loss))


@some
def test_same_padding_is_tensorflows_when_exported_for_any_size(dims, kernel, stride, dilation, groups):
    net, tensorflow = same(dims, kernel, stride, dilation, groups)
    free = {i: torch.export.Dim.DYNAMIC for i in range(2, 2 + dims)}
    exported = torch.export.export(net, (numbers(2, 4, *(8, 9, 10)[:dims]),), dynamic_shapes=((free,),)).module()
    for size in ((9, 8, 7), (12, 11, 10)):
        x = numbers(2, 4, *size[:dims])
        assert_equal(exported(x), tensorflow(x))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
@some
def test_same_padding_is_tensorflows_when_traced_at_its_size(dims, kernel, stride, dilation, groups):
    net, tensorflow = same(dims, kernel, stride, dilation, groups)
    for size in SIZES[dims]:
        traced = torch.jit.trace(net, numbers(2, 4, *size))
        x = numbers(2, 4, *size)
        assert_equal(traced(x), tensorflow(x))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_same_padding_is_tensorflows_when_traced_at_another_size():
    net, tensorflow = same(2, 3, 2)
    traced = torch.jit.trace(net, numbers(2, 4, 8, 8))
    for size in SIZES[2]:
        x = numbers(2, 4, *size)
        assert_equal(traced(x), tensorflow(x))


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [*product([1, 2, 3, 5], [1, 2, 3], [1, 2])])
def test_same_padding_makes_the_output_the_input_over_the_stride_rounded_up(kernel, stride, dilation):
    net, _ = same(1, kernel, stride, dilation)
    for n in range(1, 12):
        assert net(numbers(1, 4, n)).shape[2] == math.ceil(n / stride)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular", "replicate"])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1), (4, 1), ((3, 5), (1, 2))])
def test_symmetric_padding_is_half_of_the_kernels_span_on_both_sides(kernel, dilation, mode):
    kernels, dilations = (n if isinstance(n, tuple) else (n, n) for n in (kernel, dilation))
    pads = tuple(d * (k - 1) // 2 for k, d in zip(kernels, dilations))
    settings = dict(stride=2, dilation=dilation, padding_mode=mode)
    net = Net(lambda x: W.conv(x, 8, kernel, padding="symmetric", **settings), [2, 4, 8, 8])
    x = numbers(2, 4, 9, 12)
    assert_equal(net(x), twin(net.conv_1, nn.Conv2d(4, 8, kernel, padding=pads, **settings))(x))


# ------------------------------------------------------------------------- what torch's layers do with the same weights


def twin(module, theirs):
    """`theirs`, a layer of torch's own, with the weights and in the mode of ours."""
    state = module.state_dict()
    theirs = theirs.double().to(next(iter(state.values())).device).train(module.training)
    theirs.load_state_dict(state)
    return theirs


def last(x):
    """(B, C, *) -> (B, *, C)"""
    return x.movedim(1, -1)


def first(x):
    """(B, C, L) -> (L, B, C), the order of torch's sequences"""
    return x.permute(2, 0, 1)


def recurrent(theirs, x, *states):
    y, states = theirs(first(x), *states)
    return y.permute(1, 2, 0), states


def attended(theirs, *x, masks=()):
    return theirs(*map(first, x), *masks).permute(1, 2, 0)


def future(length, like):
    """What is added to attention so that no position sees a later one."""
    return torch.full((length, length), -math.inf, dtype=like.dtype, device=like.device).triu(1)


def transformer(x, y=None, encoder=1, decoder=1, **kw):
    return W.transformer(x, y, encoder, decoder, num_head=2, dim_feedforward=8, dropout=0.0, **kw)


def torchs_transformer():
    return nn.Transformer(4, 2, 1, 1, 8, 0.0)


def torchs_causal(n, x, y):
    masks = future(x.shape[2], x), future(y.shape[2], y)
    return attended(twin(n.transformer_1, torchs_transformer()), x, y, masks=masks)


LAYERS = {  # what is called, for which input, and what torch's own layer makes of it
    "conv": (lambda x: W.conv(x, 6, 3, stride=2), [[2, 4, 9, 8]], lambda n, x: twin(n.conv_1, nn.Conv2d(4, 6, 3, 2))(x)),
    "batch_norm": (lambda x: W.batch_norm(x), [[2, 4, 3, 3]], lambda n, x: twin(n.batch_norm_1, nn.BatchNorm2d(4))(x)),
    "linear": (lambda x: W.linear(x, 5), [[2, 4]], lambda n, x: twin(n.linear_1, nn.Linear(4, 5))(x)),
    "linear of channels": (
        lambda x: W.linear(x, 5, bias=False),
        [[2, 4, 6]],
        lambda n, x: twin(n.linear_1, nn.Linear(4, 5, bias=False))(last(x)).movedim(-1, 1),
    ),
    "layer_norm": (
        lambda x: W.layer_norm(x, eps=0.1),
        [[2, 4, 3, 6]],
        lambda n, x: twin(n.layer_norm_1, nn.LayerNorm(4, eps=0.1))(last(x)).movedim(-1, 1),
    ),
    "layer_norm of the last": (
        lambda x: W.layer_norm(x, -1),
        [[2, 4, 6]],
        lambda n, x: twin(n.layer_norm_1, nn.LayerNorm(6))(x),
    ),
    "layer_norm of two": (
        lambda x: W.layer_norm(x, [1, -1], bias=False),
        [[2, 4, 3, 6]],
        lambda n, x: twin(n.layer_norm_1, nn.LayerNorm((4, 6), bias=False))(x.transpose(1, 2)).transpose(1, 2),
    ),
    "embedding": (
        lambda x: W.embedding(x, 6, 20),
        [torch.tensor([[7, 3, 5], [5, 6, 19]])],
        lambda n, x: twin(n.embedding_1, nn.Embedding(20, 6))(x),
    ),
    "lstm": (lambda x: W.lstm(x, 5), [[2, 4, 9]], lambda n, x: recurrent(twin(n.lstm_1, nn.LSTM(4, 5)), x)[0]),
    "lstm from states": (
        lambda x, h, c: W.lstm((x, (h, c)), 5, num_layers=2, bidirectional=True, tuple_out=True),
        [[2, 4, 9], [4, 2, 5], [4, 2, 5]],
        lambda n, x, h, c: recurrent(twin(n.lstm_1, nn.LSTM(4, 5, 2, bidirectional=True)), x, (h, c)),
    ),
    "gru": (lambda x: W.gru(x, 5), [[2, 4, 9]], lambda n, x: recurrent(twin(n.gru_1, nn.GRU(4, 5)), x)[0]),
    "gru from states": (
        lambda x, h: W.gru((x, h), 5, num_layers=2, bidirectional=True, tuple_out=True),
        [[2, 4, 9], [4, 2, 5]],
        lambda n, x, h: recurrent(twin(n.gru_1, nn.GRU(4, 5, 2, bidirectional=True)), x, h),
    ),
    "transformer": (
        transformer,
        [[2, 4, 9], [2, 4, 6]],
        lambda n, x, y: attended(twin(n.transformer_1, torchs_transformer()), x, y),
    ),
    "transformer, causal": (lambda x, y: transformer(x, y, causal=True), [[2, 4, 9], [2, 4, 6]], torchs_causal),
    "transformer, masked": (
        lambda x, y: transformer(x, y, mask={"src_mask": future(9, x), "tgt_mask": future(6, y)}),
        [[2, 4, 9], [2, 4, 6]],
        torchs_causal,
    ),
    "transformer's encoder": (
        lambda x: transformer(x, decoder=0),
        [[2, 4, 9]],
        lambda n, x: attended(twin(n.transformer_1.encoder, torchs_transformer().encoder), x),
    ),
    "transformer's decoder": (
        lambda x, y: transformer(x, y, encoder=0),
        [[2, 4, 9], [2, 4, 6]],
        lambda n, x, y: attended(twin(n.transformer_1.decoder, torchs_transformer().decoder), y, x),
    ),
    "permute": (lambda x: W.permute(x, "BCD", "DBC"), [[2, 4, 3, 6]], lambda n, x: x.permute(2, 3, 0, 1)),
    "identity": (lambda x: W.identity(x), [[2, 4, 3]], lambda n, x: x),
}


def layers(*but):
    return pytest.mark.parametrize("name", [name for name in LAYERS if not but or not name.startswith(but)])


def built(name, device="cpu"):
    """The network of one layer, an input for it, and torch's result."""
    function, sample, torchs = LAYERS[name]
    net = Net(function, *sample, device=device).eval()
    x = [numbers(*s, device=device) if isinstance(s, list) else s.to(device) for s in sample]
    return net, x, torchs(net, *x)


@layers()
def test_a_layer_computes_what_torchs_own_does(name, device):
    net, x, theirs = built(name, device)
    assert_equal(net(*x), theirs)


@layers()
def test_a_layers_copy_is_the_same_layer_with_weights_of_its_own(name):
    net, x, _ = built(name)
    y, twice = net(*x), copy.deepcopy(net)
    assert_equal(twice(*x), y, 0)
    for parameter in twice.parameters():
        parameter.data.zero_()
    assert_equal(net(*x), y, 0)


@layers()
def test_a_layer_is_built_the_same_again(name):
    torch.manual_seed(1)
    net, x, _ = built(name)
    torch.manual_seed(2)
    assert_equal(Net(*LAYERS[name][:1], *LAYERS[name][1]).eval()(*x), net(*x), 0)


@layers("permute", "identity")
def test_a_layer_learns(name, device):
    net, x, _ = built(name, device)
    y = tree_leaves(net.train()(*x))[0]
    before, loss = y.detach().clone(), (y * numbers(*y.shape, device=device)).sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 1e-6 for p in net.parameters())
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert (tree_leaves(net(*x))[0] - before).abs().max() > 1e-3


@layers("lstm", "gru")  # Dynamo refuses torch's LSTM and GRU
def test_a_layer_compiles_to_one_graph(name):
    net, x, theirs = built(name)
    y = net(*x)
    assert_equal(torch.compile(net, fullgraph=True, backend="aot_eager")(*x), y)


@layers()
def test_a_layer_exports(name):
    net, x, _ = built(name)
    assert_equal(torch.export.export(net, tuple(x)).module()(*x), net(*x))


# -------------------------------------------------------------------------------------------------------------- keywords


@pytest.mark.parametrize(
    "kw",
    [
        dict(stride=2), dict(stride=(2, 1)), dict(dilation=2), dict(dilation=(1, 2)), dict(groups=2), dict(groups=4),
        dict(padding=1), dict(padding=(2, 0)), dict(bias=False), dict(padding=1, padding_mode="reflect"),
        dict(padding=2, padding_mode="circular", stride=2), dict(padding=1, padding_mode="replicate", dilation=2),
    ],
    ids=str,
)  # fmt: skip
def test_conv_honours_torchs_keywords(kw, device):
    net = Net(lambda x: W.conv(x, 8, (3, 2), **kw), [2, 4, 8, 8], device=device)
    x = numbers(2, 4, 9, 7, device=device)
    assert_equal(net(x), twin(net.conv_1, nn.Conv2d(4, 8, (3, 2), **kw))(x))


NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


@pytest.mark.parametrize("ndim", NORMS)
@pytest.mark.parametrize(
    "kw",
    [dict(), dict(eps=0.1), dict(momentum=0.3), dict(momentum=None), dict(affine=False), dict(track_running_stats=False)],
    ids=str,
)
def test_batch_norm_honours_torchs_keywords_in_training_and_in_eval(kw, ndim, device):
    shape = (5, 4, 3, 2, 3)[:ndim]
    net = Net(lambda x: W.batch_norm(x, **kw), list(shape), device=device)
    theirs = NORMS[ndim](4, **kw).double().to(device)
    for _ in range(3):
        x = 2 * numbers(*shape, device=device) + 3
        assert_equal(net(x), theirs(x))
    assert net.batch_norm_1.state_dict().keys() == theirs.state_dict().keys()
    assert_equal(net.eval()(x), theirs.eval()(x))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("by_channel", "shape"),
    [
        (False, (64, 8)),
        (False, (64, 8, 3, 4)),
        pytest.param(True, (64, 8)),
        pytest.param(True, (64, 8, 6)),
        (True, (64, 8, 3, 4)),
        pytest.param(True, (64, 8, 2, 3, 2)),
    ],
    ids=str,
)
def test_dropout_zeroes_numbers_or_channels_in_training_and_scales_the_rest(by_channel, shape, device):
    net = Net(lambda x: W.dropout(x, 0.25, by_channel), list(shape), device=device)
    x = torch.ones(shape, dtype=torch.double, device=device)
    y = net(x)
    assert set(y.unique().tolist()) == {0, 1 / 0.75}
    units = y.flatten(2)[..., 0] if by_channel and y.ndim > 2 else y
    assert abs((units == 0).double().mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / units.numel())  # four standard deviations
    assert not by_channel or y.ndim == 2 or (y.flatten(2).std(2) == 0).all()
    assert by_channel or y.ndim == 2 or (y.flatten(2).std(2) > 0).any()
    assert net.eval()(x) is x


@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_is_in_place_only_if_asked(inplace):
    x = torch.ones(100)
    y = Net(lambda x: W.dropout(x, inplace=inplace), [100])(x)
    assert (y == 0).any() and torch.equal(x, y) == inplace == (y.data_ptr() == x.data_ptr())


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize(
    "kw",
    [dict(num_layers=3), dict(bidirectional=True), dict(num_layers=2, dropout=0.5), pytest.param(dict(bias=False))],
    ids=str,
)  # fmt: skip
def test_lstm_and_gru_honour_torchs_keywords(kind, kw):
    net = Net(lambda x: getattr(W, kind)(x, 5, **kw), [2, 4, 9]).eval()
    x = numbers(2, 4, 9)
    theirs = twin(getattr(net, f"{kind}_1"), {"lstm": nn.LSTM, "gru": nn.GRU}[kind](4, 5, **kw))
    assert_equal(net(x), recurrent(theirs, x)[0])


@pytest.mark.parametrize("kw", [dict(padding_idx=3), dict(max_norm=1.0), dict(scale_grad_by_freq=True)], ids=str)
def test_embedding_honours_torchs_keywords(kw):
    x = torch.tensor([[3, 4, 4, 7]])
    net = Net(lambda x: W.embedding(x, 6, 20, **kw), x)
    theirs = twin(net.embedding_1, nn.Embedding(20, 6, **kw))
    assert_equal(net(x), theirs(x))
    loss = numbers(1, 4, 6)
    assert_equal(torch.autograd.grad(net(x), net.embedding_1.weight, loss), torch.autograd.grad(theirs(x), theirs.weight, loss))


@pytest.mark.parametrize("kw", [dict(bias=False), dict(norm_first=True), dict(layer_norm_eps=0.1)], ids=str)
def test_transformer_honours_torchs_keywords(kw):
    net = Net(lambda x, y: transformer(x, y, **kw), [2, 4, 9], [2, 4, 6]).eval()
    x, y = numbers(2, 4, 9), numbers(2, 4, 6)
    assert_equal(net(x, y), attended(twin(net.transformer_1, nn.Transformer(4, 2, 1, 1, 8, 0.0, **kw)), x, y))


ARGUMENTS = {"conv": [5, 3], "drop_connect": [0.1], "embedding": [5, 20], "gru": [5], "linear": [5], "lstm": [5]}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind) if kind == "permute" else kind for kind in W.__all__ if kind not in ("identity", "module")]
)
def test_an_unknown_keyword_is_an_error_that_names_it(kind):
    with pytest.raises(TypeError, match="'paddding'"):
        Net(lambda x: getattr(W, kind)(x, *ARGUMENTS.get(kind, []), paddding=1), [2, 4, 9])


def test_identity_stands_in_for_any_layer_and_ignores_its_settings():
    x = numbers(2, 4, 9)
    assert Net(lambda x: W.identity(x, 8, 3, padding="same", name="skipped"), [2, 4, 9])(x) is x


@pytest.mark.parametrize("kind", [pytest.param("lstm"), pytest.param("gru"), pytest.param("transformer")])
def test_batch_first_is_refused_as_the_batch_is_always_first(kind):
    arguments = {"transformer": dict(num_head=2)}.get(kind, dict(size=5))
    with pytest.raises(TypeError, match="batch_first"):
        Net(lambda x: getattr(W, kind)(x, batch_first=True, **arguments), [2, 4, 9])


# ------------------------------------------------------------------------------------------ initialisation and activation

SPECS = [("ones_", 1), (nn.init.ones_, 1), ((nn.init.constant_, {"val": 3.0}), 3), (lambda w: w.detach().fill_(5), 5)]


@pytest.mark.parametrize(("spec", "value"), SPECS)
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda x, **kw: W.conv(x, 4, 3, **kw), [2, 4, 9]),
        (lambda x, **kw: W.linear(x, 4, **kw), [2, 4]),
        (lambda x, **kw: W.linear(x, 4, **kw), [2, 4, 9]),
    ],
    ids=["conv", "linear", "linear of channels"],
)
def test_init_weight_and_init_bias_fill_what_they_name(layer, shape, spec, value):
    weight, bias = Net(lambda x: layer(x, init_weight=spec), shape).parameters()
    assert (weight == value).all() and bias.std() > 0
    weight, bias = Net(lambda x: layer(x, init_bias=spec), shape).parameters()
    assert (bias == value).all() and weight.std() > 0
    (weight,) = Net(lambda x: layer(x, init_weight=spec, init_bias=spec, bias=False), shape).parameters()
    assert (weight == value).all()


@pytest.mark.parametrize("bidirectional", [False, pytest.param(True)])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("part", ["weight_hh", "weight_ih", "bias_hh", "bias_ih"])
def test_recurrent_weights_are_filled_by_name_in_every_layer_and_direction(part, kind, bidirectional):
    kw = {"num_layers": 2, "bidirectional": bidirectional, f"init_{part}": "ones_"}
    for name, parameter in Net(lambda x: getattr(W, kind)(x, 5, **kw), [2, 4, 9]).named_parameters():
        assert (parameter == 1).all() == (part in name), name


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_hidden_weights_are_orthogonal_by_default(kind):
    weight = getattr(Net(lambda x: getattr(W, kind)(x, 5), [2, 4, 9]), f"{kind}_1").weight_hh_l0
    assert_equal(weight.T @ weight, torch.eye(5).double(), 1e-5)  # made in single precision


ACTIVATIONS = [("relu", F.relu), ("tanh", torch.tanh), (torch.sigmoid, torch.sigmoid), (F.silu, F.silu), (nn.GELU(), F.gelu),
               ((F.leaky_relu, {"negative_slope": 0.3}), nn.LeakyReLU(0.3)), (None, nn.Identity())]  # fmt: skip


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("spec", "function"), ACTIVATIONS, ids=[str(spec)[:20] for spec, _ in ACTIVATIONS])
@pytest.mark.parametrize(
    "layer",
    [
        lambda x, **kw: W.conv(x, 5, 3, padding="same", **kw),
        lambda x, **kw: W.batch_norm(x, **kw),
        lambda x, **kw: W.linear(x, 5, **kw),
        lambda x, **kw: W.linear(x.mean(2), 5, **kw),
        lambda x, **kw: W.layer_norm(x, **kw),
        lambda x, **kw: W.lstm(x, 5, **kw),
        lambda x, **kw: W.gru(x, 5, **kw),
        lambda x, **kw: W.embedding(x.abs(), 5, 9, **kw),
        lambda x, **kw: W.transformer(x, None, 1, 1, 2, **kw),
    ],
    ids=["conv", "batch_norm", "linear of channels", "linear", "layer_norm", "lstm", "gru", "embedding", "transformer"],
)
def test_an_activation_is_a_name_a_function_or_a_function_with_keywords(layer, spec, function, grad):
    x = numbers(2, 4, 9)
    with torch.set_grad_enabled(grad):
        bare = Net(lambda x: layer(x), [2, 4, 9]).eval()(x)
        assert bare.min() < 0
        assert_equal(Net(lambda x: layer(x, activation=spec), [2, 4, 9]).eval()(x), function(bare), 0)


def test_an_unknown_activation_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="reluu"):
        Net(lambda x: W.conv(x, 4, 3, activation="reluu"), [2, 4, 9])


IN_PLACE = [F.silu, F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.mish, F.leaky_relu, F.elu, F.selu]


@pytest.mark.parametrize("act", IN_PLACE)
@pytest.mark.parametrize("grad", [True, False])
def test_a_hook_keeps_the_output_from_before_the_activation(act, grad):
    net = Net(lambda x: W.batch_norm(W.conv(x, 4, 3, activation=act), activation=act), [2, 4, 9]).eval()
    kept = []
    for layer in net.children():
        layer.register_forward_hook(lambda module, x, y: kept.extend([y, y.clone()]))
    with torch.set_grad_enabled(grad):
        net(numbers(2, 4, 9))
    conv, conv_then, norm, norm_then = kept
    assert_equal([conv, norm], [conv_then, norm_then], 0)
    assert conv.min() < 0


@pytest.mark.parametrize("act", [pytest.param(act) for act in IN_PLACE])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_layer_with_an_activation_passes_the_tracers_own_check(act):
    net, x = Net(lambda x: W.conv(x, 4, 3, activation=act), [2, 4, 9]).eval(), numbers(2, 4, 9)
    assert_equal(torch.jit.trace(net, x)(x), net(x))


def through_a_global_hook(net, x):
    kept = []
    with register_module_forward_hook(lambda module, x, y: kept.extend([y, y.clone()]) if module is net.conv_1 else None):
        net(x)
    assert_equal(kept[0], kept[1], 0)


def through_an_identity(net, x):
    net.conv_1 = nn.Identity()
    net(x)


def through_a_forward_of_the_users(net, x):
    net.conv_1.forward = lambda x: x
    net(x)


def through_a_hook_that_returns_its_input(net, x):
    net.conv_1.register_forward_hook(lambda module, x, y: x[0])
    net(x)


CHANGES = [
    through_an_identity,
    through_a_hook_that_returns_its_input,
    pytest.param(through_a_global_hook),
    pytest.param(through_a_forward_of_the_users),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("act", IN_PLACE)
def test_an_activation_leaves_alone_what_others_hold(change, act):
    net, x = Net(lambda x: W.conv(x, 4, 1, activation=act), [2, 4, 9]).eval(), numbers(2, 4, 9)
    before = x.clone()
    with torch.no_grad():
        change(net, x)
    assert_equal(x, before, 0)


# ---------------------------------------------------------------------------------------------------------- drop_connect


def test_drop_connect_drops_whole_samples_and_keeps_the_mean(device):
    net = Net(lambda x: W.drop_connect(x, 0.2), [1, 3, 4, 5], device=device)
    x = numbers(4096, 3, 4, 5, device=device)
    y = net(x)
    scale = (y / x).flatten(1)
    assert set(scale[:, 0].round(decimals=12).tolist()) == {0, 1 / 0.8}
    assert (scale.std(1) < 1e-12).all()
    kept = (scale[:, 0] > 0).double().mean()
    assert abs(kept - 0.8) < 4 * math.sqrt(0.8 * 0.2 / len(x))  # four standard deviations
    assert not torch.equal(net(x), y), "at random"


def test_drop_connect_is_for_training_only():
    net, x = Net(lambda x: W.drop_connect(x, 0.9), [2, 3]), torch.ones(64, 3)
    assert (net.train()(x) == 0).any()
    assert net.eval()(x) is x
    assert Net(lambda x: W.drop_connect(x, 0.0), [2, 3]).train()(x) is x


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, math.nan])
def test_drop_connects_rate_is_at_least_0_and_below_1(rate):
    with pytest.raises(ValueError, match=f"rate={rate} must be at least 0 and below 1"):
        Net(lambda x: W.drop_connect(x, rate), [2, 3])


# ---------------------------------------------------------------------------------------------- embedding and transformer


def test_an_embeddings_indices_stay_on_their_device_and_may_be_of_any_integer_type(device):
    net = Net(lambda x: W.embedding(x, 6, 20), torch.tensor([[7, 3]]), device=device)
    x = torch.tensor([[5, 19, 3]], device=device)
    assert net(x).device == x.device
    for dtype in (torch.int32, torch.uint8, torch.float32):
        assert_equal(net(x.to(dtype)), net(x), 0)


def test_an_embedding_asks_for_its_vocabulary():
    with pytest.raises(ValueError, match="vocabulary="):
        Net(lambda x: W.embedding(x, 6), torch.tensor([[7, 3]]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: transformer(torch.ones_like(x), x, causal=True),
        (lambda x: transformer(x, decoder=0, causal=True)),
        (lambda x: transformer(x, encoder=0, causal=True)),
        (lambda x: transformer(x, causal=True)),
    ],
    ids=["of a target", "encoder", "decoder", "of one sequence"],
)
def test_a_causal_transformer_sees_all_of_the_past_and_nothing_of_the_future(function):
    net = Net(function, [1, 4, 5]).eval()
    seen = torch.autograd.functional.jacobian(net, numbers(1, 4, 5)).abs().sum((0, 1, 3, 4))  # of each position, by each
    assert torch.equal(seen > 0, torch.ones(5, 5).tril() > 0)


def test_a_causal_transformers_mask_is_added_to_the_causal_one():
    net = Net(lambda x, mask: transformer(x, x, causal=True, mask={"tgt_mask": mask}), [2, 4, 6], [6, 6]).eval()
    x, mask = numbers(2, 4, 6), 3 * numbers(6, 6)
    masks = future(6, x), future(6, x) + mask
    assert_equal(net(x, mask), attended(twin(net.transformer_1, torchs_transformer()), x, x, masks=masks))


# ---------------------------------------------------------------------------------------------------------------- errors


@warmnet.block
def inner(x):
    return W.linear(x, 8)


@pytest.mark.parametrize(
    ("function", "built", "given", "says"),
    [
        (lambda x: W.conv(x, 8, 3), [2, 4, 9, 9], [2, 5, 9, 9], ["'conv_1'", "4", "(2, 5, 9, 9)"]),
        (lambda x: W.conv(x, 8, 3, stride=2, padding="same"), [2, 4, 8, 8], [2, 5, 8, 8], ["'conv_1'", "4", "(2, 5, 8, 8)"]),
        (lambda x: W.conv(x, 4, 3, groups=4, name="depthwise"), [2, 4, 9], [2, 8, 9], ["'depthwise'", "4", "(2, 8, 9)"]),
        (lambda x: W.conv(x, x.shape[1], 1), [2, 4, 9], [2, 5, 9], ["'conv_1'", "size=4", "size=5"]),
        (lambda x: W.batch_norm(x), [2, 4, 9], [2, 5, 9], ["'batch_norm_1'", "4", "(2, 5, 9)"]),
        (lambda x: W.linear(x, 8), [2, 4], [2, 5], ["'linear_1'", "4", "(2, 5)"]),
        (lambda x: W.linear(x, 8), [2, 4, 9], [2, 5, 9], ["'linear_1'", "4", "(2, 5, 9)"]),
        (lambda x: W.layer_norm(x), [2, 4, 9], [2, 5, 9], ["'layer_norm_1'", "4", "5"]),
        (lambda x: W.lstm(x, 8), [2, 4, 9], [2, 5, 9], ["'lstm_1'", "4", "(2, 5, 9)"]),
        (lambda x: W.gru(x, 8), [2, 4, 9], [2, 5, 9], ["'gru_1'", "4", "(2, 5, 9)"]),
        (lambda x: transformer(x), [2, 4, 9], [2, 6, 9], ["'transformer_1'", "4", "6"]),
        (lambda x: inner(x, name="block"), [2, 4], [2, 5], ["'block.linear_1'", "4", "(2, 5)"]),
    ],
    ids=["conv", "same", "depthwise", "size", "batch_norm", "linear", "linear of channels", "layer_norm", "lstm", "gru",
         "transformer", "block"],
)  # fmt: skip
@pytest.mark.parametrize("training", [True, False])
def test_other_channels_than_were_built_are_an_error_that_says_where(function, built, given, says, training):
    net = Net(function, built).train(training)
    with pytest.raises(MismatchError) as error:
        net(numbers(*given))
    assert all(part in str(error.value) for part in says)


@pytest.mark.parametrize(
    "function",
    [
        (lambda x: W.conv(x, 8, 3)),
        (lambda x: W.conv(x, 8, 3, stride=2, padding="same")),
        (lambda x: W.batch_norm(x)),
    ],
    ids=["conv", "same", "batch_norm"],
)
def test_fewer_dimensions_than_were_built_are_an_error_that_says_where(function):
    net = Net(function, [2, 4, 9, 9]).eval()
    with pytest.raises(MismatchError, match="'(conv|batch_norm)_1'"):
        net(numbers(4, 4, 9))


@pytest.mark.parametrize(
    ("function", "shape", "says"),
    [
        (lambda x: W.conv(x, 8, 3, groups=3), [2, 6, 9], r"groups \(=3\) must divide size \(=8\)"),
        (lambda x: W.conv(x, 8, 3, groups=4), [2, 6, 9], r"groups \(=4\) must divide .* input channels \(=6\)"),
        (lambda x: W.conv(x, 8, 3, groups=0), [2, 6, 9], r"groups \(=0\)"),
        (lambda x: W.conv(x, 8, 3, padding="full"), [2, 6, 9], "'full' is unknown. .*'same' or 'symmetric'"),
        (lambda x: W.conv(x, 8, 3, stride=2, padding="same", padding_mode="reflect"), [2, 6, 9], "padding_mode='reflect'"),
        (lambda x: W.conv(x, 8, 3), [2, 6], r"not shape \(2, 6\)"),
        (lambda x: W.conv(x, 8, 3), [2, 6, 3, 3, 3, 3], r"not shape \(2, 6, 3, 3, 3, 3\)"),
        (lambda x: W.batch_norm(x), [6], r"not shape \(6,\)"),
        (lambda x: W.dropout(x, 1.5), [2, 6], "1.5"),
    ],
)
def test_a_layer_that_cannot_be_says_why(function, shape, says):
    with pytest.raises(ValueError, match=says):
        Net(function, shape)


# --------------------------------------------------------------------------------------------------------------- vanilla


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda L, x: L.conv(x, 6, 3, "ones_", stride=2, activation="relu"), [2, 4, 9, 9]),
        (lambda L, x: L.conv(x, 6, 3, padding="same", bias=False), [2, 4, 9]),
        (lambda L, x: L.batch_norm(x, eps=0.1, momentum=0.3, affine=False), [2, 4, 9]),
        (lambda L, x: L.layer_norm(x, eps=0.1), [2, 4, 9]),
        (lambda L, x: L.layer_norm(x, -1, elementwise_affine=False), [2, 4, 9]),
        (lambda L, x: L.dropout(x, inplace=True), [2, 4, 9]),
        (lambda L, x: L.dropout(x, 0.3, by_channel=True), [2, 4, 9, 9]),
        (lambda L, x: L.linear(x, 5, None, "zeros_"), [2, 4, 9]),
        (lambda L, x: L.linear(x, 5, in_shape="BDC", out_shape="BDC"), [2, 9, 4]),
        (lambda L, x: L.linear(x, 5, dtype=torch.float32), [2, 4]),
        (lambda L, x: L.lstm(x, 5, num_layers=2), [2, 4, 9]),
        (lambda L, x: L.gru(x, 5), [2, 4, 9]),
        (lambda L, x: L.embedding(x.abs(), 5, 9, padding_idx=2), [2, 9]),
        (lambda L, x: L.transformer(x, None, 1, 1, 2, dropout=0.0), [2, 4, 9]),
        (lambda L, x: L.identity(L.permute(x, "BCD", "BDC")), [2, 4, 9]),
    ],
)
def test_pywarms_own_functions_make_the_same_network(layer, shape):
    """With the same names, settings, initial values and results, in training too."""
    ours, theirs = (Net(partial(layer, functions), shape) for functions in (W, V))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    x = numbers(*shape)
    torch.manual_seed(0)
    y = ours(x.clone())
    torch.manual_seed(0)
    assert_equal(theirs(x.clone()), y)


@pytest.mark.parametrize(
    ("function", "name", "settings"),
    [
        (lambda x: V.batch_norm(x, eps=0.1, momentum=0.3), "batch_norm_1", dict(eps=0.1, momentum=0.3)),
        (lambda x: V.layer_norm(x, eps=0.1), "layer_norm_1", dict(eps=0.1)),
        (lambda x: V.dropout(x, inplace=True), "dropout_1", dict(inplace=True)),
        (lambda x: V.conv(x, 4, 3, padding_mode="circular"), "conv_1", dict(padding_mode="circular")),
        (lambda x: V.lstm(x, 5, bidirectional=True), "lstm_1", dict(bidirectional=True)),
        (lambda x: V.embedding(x.abs(), 5, 9, padding_idx=2), "embedding_1", dict(padding_idx=2)),
    ],
)
def test_pywarms_own_functions_honour_their_keywords(function, name, settings):
    layer = getattr(Net(function, [2, 4, 9]), name)
    assert {key: getattr(layer, key) for key in settings} == settings


@pytest.mark.parametrize("functions", [W, V])
def test_linear_honours_torchs_keywords(functions):
    Net(lambda x: functions.linear(x, 5, dtype=torch.double), numbers(2, 4))  # with other weights it would raise


@pytest.mark.parametrize(
    "kind", ["conv", "linear", "batch_norm", "lstm", "gru", "dropout", "transformer", "layer_norm", "embedding"]
)
def test_an_unknown_keyword_of_pywarms_own_functions_is_an_error_that_names_it(kind):
    with pytest.raises(TypeError, match="'paddding'"):
        Net(lambda x: getattr(V, kind)(x, *ARGUMENTS.get(kind, []), paddding=1), [2, 4, 9])


def test_help_of_every_layer_says_what_its_arguments_are():
    described = {"size", "kernel", "init_weight", "init_bias", "activation", "name", "share"}
    for layer in (getattr(W, key) for key in W.__all__ if key not in ("identity", "permute")):
        parameters = {*inspect.signature(layer).parameters}
        if layer in (W.lstm, W.gru, W.transformer):  # which hand these on to PyWarm's
            parameters |= {"activation", "name", "share"}
        text = inspect.getdoc(layer)
        for key in described & parameters:
            assert f"`{key}`: " in text, f"{layer.__name__}: {key}"
    assert "`size`: " in inspect.getdoc(W.gru)
