import time

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import warmnet
import warmnet.functional as W
from warmnet import WarmModule, block
from warmnet.tabulate import tabulate

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


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


@pytest.mark.parametrize("variant", PUBLISHED)
def test_counts_are_the_published_ones_to_the_last_digit(variant):
    table = tabulate(variant)
    assert (table.parameters, table.macs_with_bias) == PUBLISHED[variant]


@pytest.mark.parametrize("variant", ROUNDED)
def test_counts_are_the_published_ones_where_those_are_rounded(variant):
    parameters, giga = ROUNDED[variant]
    table = tabulate(variant)
    decimals = len(giga.partition(".")[2])
    assert (table.parameters, f"{table.macs / 1e9:.{decimals}f}") == (parameters, giga)


def test_b0_has_385_814_752_multiply_adds_and_10_340_biases():
    table = tabulate("b0")
    assert (table.macs, table.macs_with_bias - table.macs) == (385_814_752, 10_340)


def test_multiply_adds_are_what_torchs_own_counter_counts():
    model, x = Mixed().eval(), torch.randn(3, 4, 20, 12)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert 0 < tabulate(model, x.shape).macs == counter.get_total_flops() / 2


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


def test_b0s_stages_have_the_papers_shapes():
    shapes = {row.path: row.shape[1:] for row in tabulate("b0").rows}
    sizes = {"stage_1": (16, 112), "stage_2": (24, 56), "stage_3": (40, 28), "stage_5": (112, 14), "stage_7": (320, 7)}
    assert {path: shapes[path] for path in sizes} == {path: (c, n, n) for path, (c, n) in sizes.items()}


def test_a_block_counts_all_that_is_in_it():
    table = tabulate("b1")
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
def test_a_model_of_any_dtype_has_the_same_table(dtype):
    assert tabulate(Mixed(dtype), (1, 4, 8, 8)) == tabulate(Mixed(), (1, 4, 8, 8))


def test_a_name_a_variant_and_a_live_model_have_the_same_table():
    live = warmnet.WarmEfficientNet("b0")
    assert tabulate("b0") == tabulate(warmnet.VARIANTS["b0"]) == tabulate(live)


@pytest.mark.parametrize("resolution", [32, 65, 4096])
def test_an_efficientnet_is_measured_at_the_resolution_asked_for(resolution):
    model = warmnet.WarmEfficientNet("b0", 10, in_channels=1, device="meta")
    table = tabulate(model, resolution=resolution)
    assert table.shape == (1, 1, resolution, resolution)
    assert table.rows[0].shape == (1, 32, -(-resolution // 2), -(-resolution // 2))
    assert table == tabulate(model, (1, 1, resolution, resolution))


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


@pytest.mark.parametrize("variant", ["b0", "b7", "l2"])
def test_any_variant_takes_less_than_two_seconds(variant):
    start = time.process_time()  # of this process: others may share the machine
    tabulate(variant)
    assert time.process_time() - start < 2


def test_what_the_input_is_must_be_known_and_said_once():
    with pytest.raises(ValueError, match=r"Mixed does not say .* shape=\(1, 3, 64, 64\)"):
        tabulate(Mixed(), resolution=64)
    with pytest.raises(ValueError, match="both given"):
        tabulate("b0", (1, 3, 64, 64), 64)
    with pytest.raises(ValueError, match="Unknown variant 'b9'. Choose one of b0, .* l2"):
        tabulate("b9")


def test_the_text_shows_every_row_down_to_a_depth_and_the_totals():
    table = tabulate("b0")
    for depth in (1, 2, 3, None):
        shown = [row for row in table.rows if depth is None or row.path.count(".") < depth]
        title, rule, given, *lines, last, total, biases = table.text(depth).splitlines()
        assert title.split() == ["WarmEfficientNet", "output", "parameters", "multiply-adds"]
        assert rule == last == "─" * len(title)
        assert given.split(maxsplit=1) == ["input", "(1, 3, 224, 224)"]
        assert [line.split()[:2] for line in lines] == [[row.path.rpartition(".")[2], row.kind] for row in shown]
        assert total.split() == ["total", "5,288,548", "385,814,752"] and biases.split()[2:] == ["385,825,092"]
    assert str(table) == repr(table) == table.text(2)


def test_the_text_is_aligned_and_fits_a_terminal():
    for variant in ("b0", "l2"):
        lines = tabulate(variant).text(None).splitlines()
        assert max(map(len, lines)) <= 100
        assert not any(line.endswith(" ") for line in lines)
    table = tabulate("b0")
    row = table.rows[3]
    line = table.text().splitlines()[6]
    assert line.startswith("stage_1  ") and line.endswith(f" {row.parameters:,}     {row.macs:,}")
    assert len(line) == len(table.text().splitlines()[0])


def test_a_layer_that_is_not_called_or_has_no_numbers_leaves_its_cells_empty():
    text = tabulate(Mixed(), (1, 4, 8, 8)).text()
    assert next(line for line in text.splitlines() if line.startswith("spare")).split() == ["spare", "Linear", "12"]
    assert next(line for line in text.splitlines() if line.startswith("dropout")).endswith(")")
