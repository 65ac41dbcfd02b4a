"""With the same weights, warmnet's logits, gradients and statistics are each peer's.

In float64 an error of 1e-10 is ten thousand times what rounding does here, and far below what any difference between two
networks does. In float32 rounding leaves 2e-6 in the logits and in the gradient as a whole: 1e-5 is allowed. One parameter's
gradient is a sum in which batch norm makes much cancel, which leaves up to 2e-5: 5e-5 is allowed. Of Lite, V2, MobileNetV2 and
ResNet gradients are compared in float64: at the corner of a ReLU rounding turns a gradient on or off.
"""

import functools

import alive
import pytest
import torch
from alive import error

from .libraries import OF_V1, gradients, logits, pair, tensors

TOLERANCES = {
    torch.float64: {"logits": 1e-10, "gradient": 1e-10, "each gradient": 1e-10, "statistics": 1e-10},
    torch.float32: {"logits": 1e-5, "gradient": 1e-5, "each gradient": 5e-5, "statistics": 1e-5},
}
LITES, RESNETS = [f"lite{n}" for n in range(5)], [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)]
V2_BASES, MOBILENETS = [f"v2-b{n}" for n in range(4)], [f"mobilenetv2-{width}" for width in (0.5, 1.0, 1.4)]
RELATIVES = [
    (peer, variant)
    for peer, variants in {
        "timm": [*LITES, *V2_BASES, "v2-s", *MOBILENETS, *RESNETS],
        "timm symmetric": ["v2-s"],
        "torchvision": ["v2-s", "mobilenetv2-1.0", *RESNETS],
        "keras": [*V2_BASES, "v2-s"],
        "lite-pytorch": LITES,
    }.items()
    for variant in variants
]


def sizes(variant):
    """Those in float32. b4 to b7 differ from b0 to b3 in numbers alone, and take three quarters of the time: one is enough."""
    return alive.sizes(variant) if variant < "b4" else [(75, 75)]


CASES = [
    (peer, variant, *case)
    for peer in OF_V1
    for variant in alive.VARIANTS
    for case in [((106, 75), torch.float64)] + [(size, torch.float32) for size in sizes(variant)]
] + [(peer, variant, (106, 75), torch.float64) for peer, variant in RELATIVES]
BEYOND = [
    ("timm", "b8", (106, 75), torch.float64, {}),
    ("timm", "l2", (64, 64), torch.float32, {}),  # 480 million parameters
    ("timm", "v2-xl", (75, 75), torch.float32, {}),
    *(
        (peer, variant, (75, 75), torch.float64, {})
        for peer in ("timm", "torchvision", "keras")
        for variant in ("v2-m", "v2-l")
    ),
]
DILATED = [
    (peer, variant, (96, 96), torch.float64, {"output_stride": stride})
    for peer, variants in {
        "timm": ["b0", "lite0", "v2-b0", "mobilenetv2-1.0", "resnet18", "resnet50"],
        "torchvision": ["resnet50"],
    }.items()
    for variant in variants
    for stride in (16, 8)
]


@pytest.fixture
def check(record_property):
    """Hold errors against the tolerances, and note them for the table."""

    def check(row, dtype, errors):
        record_property("errors", (row, str(dtype).removeprefix("torch."), errors))
        assert {what: error for what, error in errors.items() if not error <= TOLERANCES[dtype][what]} == {}

    return check


@pytest.mark.parametrize("peer, variant, size, dtype", CASES)
def test_logits_gradients_and_statistics_are_the_peer_s(peer, variant, size, dtype, check):
    ours, theirs = pair(peer, variant, size, dtype)
    x = alive.images(*size).to(dtype)
    errors = {"logits": error(alive.logits(ours, x), logits(theirs, x))}

    found = alive.gradients(ours, x)
    expected = dict(zip(found, gradients(theirs, x), strict=True))
    flat, expected_flat = (torch.cat([g.flatten() for g in all.values()]) for all in (found, expected))
    errors["gradient"] = float((flat - expected_flat).norm() / expected_flat.norm())
    errors["each gradient"] = max(alive.gradient_errors(found, expected).values())

    paths = [path for path, tensor in ours.state_dict().items() if tensor.is_floating_point()]
    kept = "running_mean" if peer == "keras" else "running_"  # keras keeps the batch's variance, torch its unbiased estimate
    errors["statistics"] = max(error(a, b) for path, a, b in zip(paths, tensors(ours), tensors(theirs)) if kept in path)
    check((variant, peer), dtype, errors)


@pytest.mark.parametrize("peer, variant, size, dtype, settings", BEYOND + DILATED)
def test_logits_are_the_peer_s_of_the_largest_networks_and_with_dilation(peer, variant, size, dtype, settings, check):
    ours, theirs = pair(peer, variant, size, dtype, **settings)
    x = alive.images(*size).to(dtype)
    row = " ".join([variant, *(f"{key}={value}" for key, value in settings.items())])
    check((row, peer), dtype, {"logits": error(alive.logits(ours, x), logits(theirs, x))})


@functools.lru_cache(maxsize=2)
def kept_pair(peer, variant, size, dtype):
    return pair(peer, variant, size, dtype)


@pytest.mark.parametrize("peer, variant", RELATIVES)
def test_float32_is_no_farther_from_float64_than_twice_the_peer_s(peer, variant, check):
    for size in [(75, 75)] if peer == "keras" else alive.sizes(variant):  # a network of Keras is of one size
        of_size, x = size if peer in ("keras", "lite-pytorch") else None, alive.images(*size)
        exact = alive.logits(kept_pair(peer, variant, of_size, torch.float64)[0], x)
        ours, theirs = (
            found(network, x.float())
            for found, network in zip((alive.logits, logits), kept_pair(peer, variant, of_size, torch.float32))
        )
        check((variant, peer), torch.float32, {"logits": error(ours, theirs)})
        assert error(ours, exact) <= 2 * error(theirs, exact), size
