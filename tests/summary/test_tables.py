import functools
import json
import re
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from folded import rows_of
from small_networks import ConvNet
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import warmnet
import warmnet.functional as W
from warmnet import WarmModule, block
from warmnet.networks.efficientnet import efficientnet
from warmnet.summary import tabulate

# ../shared/reference/users.md, section 4a: parameters, and multiply-adds with biases at the variant's own resolution (pycls)
PUBLISHED = {
    "b0": (5_288_548, 385_825_092), "b1": (7_794_184, 686_817_992), "b2": (9_109_994, 993_578_282),
    "b3": (12_233_232, 1_827_162_472), "b4": (19_341_616, 4_393_801_064), "b5": (30_389_784, 10_266_426_072),
}  # fmt: skip
ROUNDED = {
    "b6": (43_040_704, "19.068"),
    "b7": (66_347_960, "37.746"),
    "b8": (87_413_142, "62.60"),
    "l2": (480_309_308, "475.7"),
}


@block
def gate(x, size):
    y = W.conv(x.mean((2, 3), keepdim=True), size, 1, activation="relu", name="reduce")
    return x * W.conv(y, x.shape[1], 1, activation="sigmoid", name="expand")


class Mixed(WarmModule):
    """(B, 4, H, W) -> (B, 5): every kind of layer that has multiply-adds, and a layer of torch's own."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2, groups=2)
        self.spare = nn.Linear(3, 3)
        warmnet.up(self, [1, 4, 16, 16], seed=0).to(dtype)

    def forward(self, x):
        x = W.conv(x, 8, 3, stride=2, padding=1, groups=2)
        x = self.up(gate(W.batch_norm(x), 2))
        x = W.conv(x, 8, (3, 5), dilation=2, padding="symmetric", bias=False)
        x = W.conv(x.flatten(2), 6, 3, padding=1)
        x = W.dropout(W.lstm(x, 7), 0.5) + torch.linspace(0, 1, x.shape[2])
        return W.linear(W.linear(x, 5).mean(2), 5, bias=False)


@functools.cache
def table_of(variant):
    return tabulate(variant)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_counts_are_the_published_ones_to_the_last_digit(variant):
    table = table_of(variant)
    assert (table.parameters, table.macs_with_bias) == PUBLISHED[variant]


@pytest.mark.parametrize("variant", ROUNDED)
def test_counts_are_the_published_ones_where_those_are_rounded(variant):
    parameters, giga = ROUNDED[variant]
    table = table_of(variant)
    decimals = len(giga.partition(".")[2])
    assert (table.parameters, f"{table.macs / 1e9:.{decimals}f}") == (parameters, giga)


def test_b0_has_385_814_752_multiply_adds_and_10_340_biases():
    table = table_of("b0")
    assert (table.macs, table.macs_with_bias - table.macs) == (385_814_752, 10_340)


def test_multiply_adds_are_what_torchs_own_counter_counts():
    model, x = Mixed().eval(), torch.randn(3, 4, 20, 12)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert 0 < tabulate(model, x.shape).macs == counter.get_total_flops() / 2


def test_the_multiply_adds_of_attention_are_what_torchs_own_counter_counts():
    class Attending(WarmModule):
        def forward(self, x, y):
            return W.multi_head_attention(W.multi_head_attention(x, 2), 2, y, bias=False)

    shapes = [2, 4, 9], [2, 6, 5]
    model = warmnet.up(Attending(), *shapes, device="meta")
    with FlopCounterMode(display=False) as counter:
        model(*(torch.empty(shape, device="meta") for shape in shapes))
    table = tabulate(model, tuple(map(tuple, shapes)))
    assert 0 < table.macs == counter.get_total_flops() / 2
    assert table.macs_with_bias - table.macs == 4 * 2 * 4 * 9  # of queries, keys, values and output of the first
    assert table.rows[0].activations == 2 * 4 * 9 * 4


def test_the_multiply_adds_of_same_padding_are_those_of_the_nominal_kernel():
    class Even(WarmModule):
        def forward(self, x):
            return W.conv(x, 6, 3, stride=2, padding="same", groups=2)

    table = tabulate(warmnet.up(Even(), [1, 4, 8, 8]), (1, 4, 10, 14))
    assert table.macs == (6 * 5 * 7) * (3 * 3) * (4 // 2)
    assert table.macs_with_bias - table.macs == 6 * 5 * 7


def test_shapes_are_those_of_a_real_forward():
    model, seen = Mixed().eval(), {}
    for path, module in model.named_modules():

        def note(module, x, y, path=path):
            seen[path] = tree_leaves(y)[0].shape

        module.register_forward_hook(note)
    model(torch.randn(2, 4, 20, 12))
    model = Mixed()
    rows = tabulate(model, (2, 4, 20, 12)).rows
    assert {row.path: row.shape for row in rows} == {path: seen.get(path) for path, _ in model.named_modules() if path}
    assert [row.path for row in rows if row.shape is None] == ["spare"]


EDITS = {
    "b0": efficientnet,
    "dilated": functools.partial(efficientnet, output_stride=8, padding="same"),
    "symmetric, relu": functools.partial(efficientnet, padding="symmetric", act=F.relu, se_ratio=0),
    "convolutions": lambda x: gate(
        W.conv(W.conv(x, 6, (3, 5), stride=(2, 1), padding=(1, 0), groups=3), 9, 3, dilation=(2, 3), stride=3, padding="same"),
        2,
    ),
    "in one dimension and three": lambda x: (
        W.conv(x.flatten(2), 4, 3, stride=5, padding=2),
        W.conv(x[:, :, None].expand(-1, -1, 4, -1, -1), 4, (2, 3, 3), stride=2, dilation=2, padding=3, padding_mode="circular"),
        W.linear(F.adaptive_avg_pool2d(x, (5, None)).flatten(2), 7),
        W.linear((x + x[:1, :1] * 2).flatten(2), 7, bias=False),
    ),
}


@pytest.mark.parametrize("forward", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (2, 3, 75, 61)], ids=str)
def test_an_edits_shapes_are_those_of_a_real_forward(forward, shape):
    class Edited(WarmModule):
        def forward(self, x):
            return forward(x)

    model, seen = warmnet.up(Edited(), [*shape]).eval(), {}
    for path, module in model.named_modules():
        module.register_forward_hook(lambda module, x, y, path=path: seen.update({path: tree_leaves(y)[0].shape}))
    with torch.no_grad():
        model(torch.randn(shape))
    assert {row.path: row.shape for row in tabulate(forward, shape).rows} == {path: seen[path] for path in seen if path}


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: W.conv(x, 4, 9),
        lambda x: F.conv2d(x, x.new_empty(4, 5, 1, 1)),
        lambda x: F.linear(x, x.new_empty(4, 5)),
        lambda x: x + x[:, :2],
        lambda x: x * x.new_empty(3, 3, 8, 7),
    ],
    ids=["too large a kernel", "channels", "features", "sizes that cannot be added", "or multiplied"],
)
def test_what_torch_refuses_a_table_refuses(forward):
    class Refused(WarmModule):
        def forward(self, x):
            return forward(x)

    with pytest.raises(Exception) as real:
        warmnet.up(Refused(), [1, 3, 8, 8], device="cpu")
    with pytest.raises(type(real.value)):
        tabulate(forward, (1, 3, 8, 8))


def test_the_table_of_an_efficientnet_does_not_wait_for_torchs_compiler():
    code = "import sys, warmnet; warmnet.draw('b0'); assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_b0s_stages_have_the_papers_shapes():
    shapes = {row.path: row.shape[1:] for row in table_of("b0").rows}
    sizes = {"stage_1": (16, 112), "stage_2": (24, 56), "stage_3": (40, 28), "stage_5": (112, 14), "stage_7": (320, 7)}
    assert {path: shapes[path] for path in sizes} == {path: (c, n, n) for path, (c, n) in sizes.items()}


def test_a_block_counts_all_that_is_in_it():
    table = table_of("b1")
    for row in table.rows:
        inside = [r for r in table.rows if r.path.rpartition(".")[0] == row.path]
        if inside:
            assert (row.parameters, row.macs) == (sum(r.parameters for r in inside), sum(r.macs for r in inside))
    top = [row for row in table.rows if "." not in row.path]
    assert (table.parameters, table.macs) == (sum(r.parameters for r in top), sum(r.macs for r in top))


def test_a_shared_layer_has_its_parameters_once_and_multiplies_at_every_call():
    class Shared(WarmModule):
        def forward(self, x):
            return W.linear(W.linear(x, 4, name="twice", share=True), 4, name="twice", share=True)

    table = tabulate(warmnet.up(Shared(), [1, 4]), (1, 4))
    assert (table.parameters, table.macs, table.macs_with_bias) == (4 * 4 + 4, 2 * 4 * 4, 2 * (4 * 4 + 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_any_dtype_has_the_same_rows_with_activations_of_its_size(dtype):
    table, other = tabulate(Mixed(), (1, 4, 8, 8)), tabulate(Mixed(dtype), (1, 4, 8, 8))
    assert [row[:-1] for row in table.rows] == [row[:-1] for row in other.rows]
    b0 = warmnet.WarmEfficientNet("b0", device="meta").to(dtype)
    assert tabulate(b0).activations * 4 == table_of("b0").activations * dtype.itemsize > 0


def test_a_name_a_variant_and_a_live_model_have_the_same_table():
    live = warmnet.WarmEfficientNet("b0")
    assert table_of("b0") == tabulate(warmnet.VARIANTS["b0"]) == tabulate(live)


def test_a_forward_function_has_the_table_of_the_network_that_is_made_of_it():
    table = tabulate(efficientnet, (1, 3, 224, 224))
    assert table.call == "efficientnet" and table.rows == table_of("b0").rows
    assert tabulate(lambda x: gate(x, 2), [1, 4, 8, 8]).rows[0].call == "gate(2)"


def test_a_module_that_is_not_built_is_measured_and_stays_unbuilt():
    class Raw(WarmModule):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return W.conv(self.first(x), 5, 1)

    model = nn.Sequential(raw := Raw())
    before = dict(raw.first.named_parameters())
    rows = tabulate(model, (1, 3, 8, 8)).rows
    assert [row.path for row in rows] == ["0", "0.first", "0.conv_1"]
    assert [*raw._modules] == ["first"] and all(p is before[key] for key, p in raw.first.named_parameters())
    with pytest.raises(warmnet.NotWarmError):
        model(torch.ones(1, 3, 8, 8))


def test_inputs_are_shapes_tensors_or_several_of_them():
    words = torch.arange(12).reshape(2, 6)
    assert tabulate(lambda x: W.embedding(x, 4, vocabulary=12), words).rows[0].shape == (2, 6, 4)
    shape, x = (1, 4, 8, 8), torch.ones(1, 4, 8, 8)
    assert tabulate(Mixed(), shape) == tabulate(Mixed(), [*shape]) == tabulate(Mixed(), x) == tabulate(Mixed(), x.numpy())

    def both(x, y):
        return W.linear(x, 3) + W.linear(y.sum(2), 3)

    table = tabulate(both, ((1, 4), torch.ones(2, 5, 7)))
    assert table.inputs == ((1, 4), (2, 5, 7)) and [row.parameters for row in table.rows] == [15, 18]


@pytest.mark.parametrize("resolution", [32, 65, 4096])
def test_an_efficientnet_is_measured_at_the_resolution_asked_for(resolution):
    model = warmnet.WarmEfficientNet("b0", 10, in_channels=1, device="meta")
    table = tabulate(model, (1, 1, resolution, resolution))
    assert table.inputs == ((1, 1, resolution, resolution),)
    assert table.rows[0].shape == (1, 32, -(-resolution // 2), -(-resolution // 2))


@pytest.mark.parametrize("variant", ["b0", "b1", "b3", "b7"])
def test_strides_are_those_of_the_dry_run_whatever_the_resolution(variant):
    """240 rows become 8, 600 become 19: by their number alone that is a stride of 30, and of 31.6."""
    names = ["stem", *(f"stage_{i}" for i in range(1, 8)), "head"]
    reduction = warmnet.Endpoints(warmnet.WarmEfficientNet(variant, device="meta"), names).reduction
    strides = {row.path: row.stride for row in table_of(variant).rows}
    assert {name: strides[name] for name in names} == reduction
    assert strides["classifier"] is None


def test_strides_count_pooling_between_layers_and_go_back_when_maps_grow():
    assert [row.stride for row in tabulate(ConvNet(), (1, 1, 28, 28)).rows] == [1, 2, None, None]

    def there_and_back(x):
        y = W.conv(F.max_pool2d(x, 3), 4, 3, stride=2, padding=1)
        y = W.conv(F.interpolate(y, size=x.shape[2:]), 4, 1)
        return W.conv(F.interpolate(y, scale_factor=2), 4, 1)

    assert [row.stride for row in tabulate(there_and_back, (1, 3, 33, 33)).rows] == [6, 1, 0.5]


def test_activations_are_the_bytes_that_the_layers_of_a_real_forward_put_out():
    model, seen = Mixed().eval(), {}
    for path, module in model.named_modules():

        def note(module, x, y, path=path):
            made = [z for z in tree_leaves(y) if z is not x[0]]
            seen[path] = 0 if module._modules else sum(z.nbytes for z in made)

        module.register_forward_hook(note)
    model(torch.randn(2, 4, 20, 12))
    rows = tabulate(Mixed(), (2, 4, 20, 12)).rows
    for row in rows:
        inside = sum(n for path, n in seen.items() if f"{path}.".startswith(f"{row.path}."))
        assert row.activations == inside
    assert seen["dropout_1"] == 0 < seen["lstm_1"]


def test_a_call_is_as_it_is_written():
    calls = {row.path: row.call for row in table_of("b0").rows}
    assert calls["stem"] == "conv_bn_act(32, kernel=3, stride=2)"
    assert calls["stem.conv"] == "conv(32, kernel=3, stride=2, padding='same', bias=False)"
    assert calls["stage_2.mb_block_1"] == "mb_block(24, expand=6, stride=2, drop=0.0125)"
    assert calls["stage_2.mb_block_2.project"] == "conv_bn_act(24, act=None)"
    assert calls["stage_2.mb_block_2.squeeze_excitation"] == "squeeze_excitation(6)"
    assert calls["dropout"] == "dropout(0.2)" and calls["classifier"] == "linear(1000)"
    assert calls["stage_6"].startswith("stage(192, expand=6, kernel=5, stride=2, drops=[0.138, … 0.175], ")
    calls = {row.path: row.call for row in tabulate(Mixed(), (1, 4, 8, 8)).rows}
    assert calls["up"] == "ConvTranspose2d(8, 6, kernel_size=(2, 2), stride=(2, 2), groups=2)"
    assert calls["lstm_1"] == "lstm(hidden_size=7, num_layers=1, bias=True)"


def test_bare_parameters_and_layers_of_any_class_have_rows():
    @block
    def scaled(x):
        return W.module(nn.PReLU, 4, init=0.1)(x) * W.parameter((4, 1), "ones_", name="scale")

    table = tabulate(lambda x: scaled(W.group_norm(x, 2)) + W.parameter(6, "zeros_"), (1, 4, 6))
    assert [(row.path, row.call, row.shape, row.parameters) for row in table.rows] == [
        ("parameter_1", "parameter((6,))", (6,), 6),
        ("group_norm_1", "group_norm(2)", (1, 4, 6), 8),
        ("scaled_1", "scaled()", (1, 4, 6), 8),
        ("scaled_1.scale", "parameter((4, 1))", (4, 1), 4),
        ("scaled_1.p_re_lu_1", "p_re_lu(4, init=0.1)", (1, 4, 6), 4),
    ]
    assert table.parameters == 22


class OnlyMeta(TorchDispatchMode):
    """Raises where an operation makes a tensor that has numbers in it."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        y = operation(*args, **(kwargs or {}))
        assert all(t.is_meta for t in tree_leaves(y) if isinstance(t, torch.Tensor)), f"{operation} computed something"
        return y


def test_nothing_is_computed():
    model = Mixed()
    with OnlyMeta():
        tabulate(model, (1, 4, 8, 8))
        tabulate("b0")
        table = tabulate(lambda x: W.linear(x, 2**32), (1, 1))  # 32 GB
    assert table.parameters == 2**33 and table.activations == 4 * 2**32
    with OnlyMeta(), pytest.raises(AssertionError, match="computed something"):
        model(torch.randn(1, 4, 8, 8))


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 3, 8, 8)], ids=["good", "raises"])
def test_the_model_stays_as_it_is_even_if_its_forward_raises(shape):
    model = Mixed().train()
    model.gate_1.eval()

    def state():
        modes = [(m.training, len(m._forward_hooks), list(m.__dict__)) for m in model.modules()]
        return modes, [(id(p), p.device, p._version) for p in model.state_dict(keep_vars=True).values()]

    torch.manual_seed(0)
    before, rng, y = state(), torch.get_rng_state(), model.eval()(torch.ones(1, 4, 8, 8))
    model.train().gate_1.eval()
    if shape[1] == 3:
        with pytest.raises(RuntimeError):
            tabulate(model, shape)
    else:
        tabulate(model, shape)
    assert state() == before and torch.equal(torch.get_rng_state(), rng)
    assert torch.equal(model.eval()(torch.ones(1, 4, 8, 8)), y) and y.abs().sum() > 0


def test_what_is_no_network_or_input_is_refused():
    with pytest.raises(ValueError, match=r"Mixed does not say .* such as \(1, 3, 64, 64\)"):
        tabulate(Mixed())
    with pytest.raises(ValueError, match=r"Unknown variant 'b9'. Did you mean 'b8'\? Choose one of b0, .* l2"):
        tabulate("b9")
    for network in (3, Mixed):
        with pytest.raises(TypeError, match="is no network. Pass a module, a forward function, or a variant: b0"):
            tabulate(network, (1, 4, 8, 8))
    with pytest.raises(TypeError, match="An input is a tensor, .* not 64"):
        tabulate("b0", 64)


def test_the_text_shows_every_row_down_to_a_depth_and_the_totals():
    table = table_of("b0")
    for depth in (1, 2, 3, None):
        shown = [row for row in table.rows if depth is None or row.path.count(".") < depth]
        title, rule, given, *lines, last, total, biases = table.text(depth).splitlines()
        assert title.split() == [
            "WarmEfficientNet('b0')",
            "output",
            "stride",
            "parameters",
            "multiply-adds",
            "output",
            "MB",
        ]
        assert set(rule) == {"─"} and rule == last
        assert given.split(maxsplit=1) == ["input", "(1, 3, 224, 224)"]
        assert [line.split()[0] for line in lines] == [row.path.rpartition(".")[2] for row in shown]
        assert total.split() == ["total", "5,288,548", "385,814,752", "53.94"] and biases.split()[2:] == ["385,825,092"]
    deeper = sum(row.path.count(".") >= 2 for row in table.rows)
    assert str(table) == repr(table) == f"{table.text(2)}\n{deeper} rows are deeper: text(depth=None)"


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_the_text_fits_the_width_and_says_what_it_left_out(width):
    for variant in ("b0", "l2"):
        table = table_of(variant)
        lines = table.text(None, width).splitlines()
        assert max(map(len, lines)) <= width
        total = next(line for line in lines if line.startswith("total"))
        assert f"{table.parameters:,}" in total and f"{table.macs:,}" in total
        left_out = [name for name in ("stride", "output MB") if name not in lines[0]]
        assert all(name in lines[-1] for name in left_out) and (lines[-1].startswith("left out") or width > 80)


def test_the_text_is_aligned():
    title, _, given, *lines = table_of("b0").text(1).splitlines()
    ends = [title.index(word) + len(word) for word in ("output", "stride", "parameters", "multiply-adds")]
    assert len(given) == ends[0]
    for line in lines[:9]:
        assert all(line[end - 1] != " " and line[end] == " " for end in ends)


def test_bars_in_the_text_are_shares_of_the_total():
    lines = {line.split()[0]: line for line in table_of("b0").text(1).splitlines()}
    assert "2,026,348  █▏" in lines["stage_6"], "38 % of three characters"
    assert lines["stage_2"].endswith("20.47  █▏") and "16,714   " in lines["stage_2"]


def test_a_layer_that_is_not_called_or_has_no_numbers_leaves_its_cells_empty():
    text = tabulate(Mixed(), (1, 4, 8, 8)).text()
    spare = next(line for line in text.splitlines() if line.startswith("spare"))
    assert spare.split()[1] == "Linear(in_features=3," and "(1, " not in spare
    assert next(line for line in text.splitlines() if line.startswith("dropout")).endswith(")")


@pytest.mark.parametrize("variant", ["b0", "b7"])
def test_the_html_folds_every_row_into_its_block_with_bars_of_its_shares(variant):
    table = table_of(variant)
    html = table._repr_html_()
    rows = rows_of(html)
    assert [*rows] == [*(row.path for row in table.rows), "total"]
    for row in table.rows:
        cells, bars = rows[row.path]
        assert cells[:3] == [row.path.rpartition(".")[2], row.call, str(row.shape)]
        shares = (row.parameters / table.parameters, row.macs / table.macs, row.activations / table.activations)
        assert bars == {i: f"--s:{share:.1%}" for i, share in enumerate(shares, 4) if share}
    assert rows["total"][0][-3:-1] == [f"{table.parameters:,}", f"{table.macs:,}"]
    assert len(html) < 300_000 and "<script" not in html and "http" not in html


@pytest.mark.parametrize("variant", ["b0", "b7"])
def test_the_columns_of_the_html_are_as_wide_as_their_figures_in_all_rows(variant):
    html = table_of(variant)._repr_html_()
    _, _, *widths = re.search('--c:(.*?)"', html)[1].split()
    longest = [max(map(len, column)) for column in zip(*(cells[2:] for cells, _ in rows_of(html).values()))]
    for width, most, head in zip(
        widths, longest, ["output", "stride", "parameters", "multiply-adds", "output MB"], strict=True
    ):
        assert width == f"{max(most, len(head))}ch"


def test_the_html_escapes_names():
    html = tabulate(lambda x: W.linear(x, 1), (1, 1))._repr_html_()
    assert "&lt;lambda&gt;" in html and [*rows_of(html)] == ["linear_1", "total"]


def test_an_efficientnet_shows_its_table_in_jupyter_and_prints_as_a_module_does():
    model = warmnet.WarmEfficientNet("b0", device="meta")
    assert model._repr_html_() == table_of("b0")._repr_html_()
    assert repr(model) == nn.Module.__repr__(model)


def test_the_table_as_data_is_plain_and_complete():
    table = table_of("b0")
    data = json.loads(json.dumps(table.to_dict()))
    assert data["parameters"] == table.parameters and data["inputs"] == [[1, 3, 224, 224]]
    assert data["rows"][0] == {
        "path": "stem", "call": "conv_bn_act(32, kernel=3, stride=2)", "shape": [1, 32, 112, 112], "stride": 2,
        "parameters": 928, "macs": 10_838_016, "activations": 2 * 4 * 32 * 112 * 112,
    }  # fmt: skip
    assert len(data["rows"]) == len(table.rows)
