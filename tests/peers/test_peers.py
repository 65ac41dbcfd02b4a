"""With the same weights, warmnet's logits, gradients and statistics are each peer's.

In float64 an error of 1e-10 is ten thousand times what rounding does here, and far below what any difference between two
networks does. In float32 rounding leaves 2e-6 in the logits and in the gradient as a whole: 1e-5 is allowed. One parameter's
gradient is a sum in which batch norm makes much cancel, which leaves up to 2e-5: 5e-5 is allowed.
"""

import alive
import pytest
import torch
from alive import error

from .libraries import PEERS, gradients, logits, pair, tensors

TOLERANCES = {
    torch.float64: {"logits": 1e-10, "gradient": 1e-10, "each gradient": 1e-10, "statistics": 1e-10},
    torch.float32: {"logits": 1e-5, "gradient": 1e-5, "each gradient": 5e-5, "statistics": 1e-5},
}
CASES = [
    (variant, *case)
    for variant in alive.VARIANTS
    for case in [((106, 75), torch.float64)] + [(size, torch.float32) for size in alive.sizes(variant)]
]
BEYOND = [
    ("b0", (106, 75), torch.float64, {"output_stride": 16}),
    ("b0", (106, 75), torch.float64, {"output_stride": 8}),
    ("b8", (106, 75), torch.float64, {}),
    ("l2", (64, 64), torch.float32, {}),  # 480 million parameters
]


@pytest.fixture
def check(record_property):
    """Hold errors against the tolerances, and note them for the table."""

    def check(row, dtype, errors):
        record_property("errors", (row, str(dtype).removeprefix("torch."), errors))
        assert {what: error for what, error in errors.items() if not error <= TOLERANCES[dtype][what]} == {}

    return check


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("variant, size, dtype", CASES)
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


@pytest.mark.parametrize("variant, size, dtype, settings", BEYOND)
def test_logits_are_timm_s_beyond_b7_and_with_dilation(variant, size, dtype, settings, check):
    ours, theirs = pair("timm", variant, size, dtype, **settings)
    x = alive.images(*size).to(dtype)
    row = " ".join([variant, *(f"{key}={value}" for key, value in settings.items())])
    check((row, "timm"), dtype, {"logits": error(alive.logits(ours, x), logits(theirs, x))})
