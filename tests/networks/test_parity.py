"""warmnet computes what timm, torchvision, lukemelas, Keras and the Lite package compute, by numbers recorded from them.

`tests/peers` compares with the libraries themselves, and says where each tolerance comes from.
"""

import functools
import json
from unittest import mock

import alive
import golden
import pytest
import torch
import torch.nn.functional as F

import warmnet
from warmnet.networks.families import NAMES

LOGITS, LOGITS_ADVICE = golden.read("logits")
RELATIVES, RELATIVES_ADVICE = golden.read("relatives")
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
PATHS_COMMAND = "python tests/networks/test_parity.py"


@functools.lru_cache(maxsize=1)
def network(variant, options, dtype):
    return alive.fill(warmnet.WarmEfficientNet(variant, **json.loads(options)).to(dtype))


@functools.cache
def logits(variant, options, size, dtype):
    return alive.logits(network(variant, options, dtype), alive.images(*size).to(dtype))


def distance(found, record):
    return alive.error(alive.digest(found), torch.tensor(record["logits"], dtype=found.dtype))


def cases():
    """Every variant in each padding, at each size and in both precisions; of the larger ones float64 is slow."""
    for dtype in TOLERANCE:
        for name, record in LOGITS.items():
            slow = dtype == torch.float64 and record["variant"] >= "b4"
            yield pytest.param(name, dtype, id=f"{dtype}-{name}", marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize("name, dtype", [*cases()])
def test_logits_are_the_recorded_ones(name, dtype):
    record = LOGITS[name]
    found = logits(record["variant"], json.dumps(record["options"]), tuple(record["size"]), dtype)
    assert distance(found, record) <= TOLERANCE[dtype], LOGITS_ADVICE


def test_recorded_logits_depend_on_variant_size_and_padding():
    settings = {(r["variant"], *r["size"], r["options"].get("padding")): torch.tensor(r["logits"]) for r in LOGITS.values()}
    nearest = min(alive.error(a, b) for i, a in settings.items() for j, b in settings.items() if i != j)
    assert nearest > 1e-2


def test_gradients_are_the_recorded_ones():
    recorded, advice = golden.read("gradients")
    model = alive.fill(warmnet.WarmEfficientNet("b0", dropout=0.0, drop_connect=0.0).double())
    found = {path: gradient.norm() for path, gradient in alive.gradients(model, alive.images(106, 75)).items()}
    expected = {path: torch.tensor(norm, dtype=torch.float64) for path, norm in recorded.items()}
    errors = alive.gradient_errors(found, expected)
    assert {path: error for path, error in errors.items() if not error <= TOLERANCE[torch.float64]} == {}, advice


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_logits_of_the_other_families_are_the_recorded_ones(name, dtype):
    record = RELATIVES[name]
    model = alive.fill(NAMES[name](name, dropout=0.0, drop_connect=0.0, **record["options"]).to(dtype))
    found = alive.logits(model, alive.images(*record["size"]).to(dtype))
    assert distance(found, record) <= TOLERANCE[dtype], RELATIVES_ADVICE
    if dtype == torch.float64:
        norms = alive.stage_norms(alive.gradients(model, alive.images(*record["size"])))
        assert norms == pytest.approx(record["gradients"], rel=TOLERANCE[dtype]), RELATIVES_ADVICE


def test_paths_and_shapes_are_the_recorded_ones():
    recorded, advice = golden.read("paths")
    assert paths() == recorded, advice


def paths():
    return {path: list(tensor.shape) for path, tensor in warmnet.WarmEfficientNet("b0").state_dict().items()}


def distance_from_timm(**options):
    """Of b0, which these options make another network: beyond 1e-3 it is a hundred times the largest tolerance."""
    with torch.no_grad():
        found = alive.fill(warmnet.WarmEfficientNet("b0", **options).double()).eval()(alive.images(96, 96))
    return distance(found, LOGITS["b0 timm 96x96"])


def without_residual(block, x, *args, **kw):
    return block(x, *args, **kw) - x


def without_sigmoid(block, *args, **kw):
    with mock.patch("torch.sigmoid", lambda x: x):
        return block(*args, **kw)


def with_open_gate(block, *args, **kw):
    with mock.patch("torch.sigmoid", torch.ones_like):
        return block(*args, **kw)


def with_relu(block, *args, **kw):
    return block(*args, **kw | {"act": F.relu})


@pytest.mark.parametrize("fault", [without_residual, without_sigmoid, with_open_gate, with_relu])
def test_one_broken_block_of_sixteen_is_noticed(fault):
    intact = warmnet.mb_block.__wrapped__

    @warmnet.block
    def mb_block(x, size, *args, **kw):
        if x.shape[1] == size == 40:  # the second block of stage 3
            return fault(intact, x, size, *args, **kw)
        return intact(x, size, *args, **kw)

    assert distance_from_timm(block=mb_block) > 1e-3


@pytest.mark.parametrize("options", [{"padding": "symmetric"}, {"eps": 1e-5}, {"act": F.relu}])
def test_one_wrong_setting_is_noticed(options):
    assert distance_from_timm(**options) > 1e-3


def test_a_fresh_network_is_not_alive():
    with pytest.raises(AssertionError, match="the signal has size|gates differ by"):
        alive.logits(warmnet.WarmEfficientNet("b0", seed=0), alive.images(96, 96).float())


if __name__ == "__main__":
    golden.write("paths", PATHS_COMMAND, paths())
