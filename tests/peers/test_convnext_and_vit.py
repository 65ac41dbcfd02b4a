"""The networks that show W's layers compute what timm's do, with the same weights, and so do their gradients.

In float64 an error of 1e-12 is a hundred times what rounding does here, in float32 one of 1e-5 ten times.
"""

import alive
import pytest
import torch

from .libraries import gradients, logits
from .timm_networks import NETWORKS, as_timms, layers_pair

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_and_gradients_are_timms(name, dtype, record_property):
    ours, theirs = layers_pair(name, dtype)
    side = NETWORKS[name][1]
    x = alive.images(side, side).to(dtype)
    errors = {"logits": alive.error(alive.logits(ours, x), logits(theirs, x))}
    found = torch.cat([as_timms(path, gradient).flatten() for path, gradient in alive.gradients(ours, x).items()])
    expected = torch.cat([gradient.flatten() for gradient in gradients(theirs, x)])
    errors["gradient"] = float((found - expected).norm() / expected.norm())
    record_property("errors", ((name, "timm"), str(dtype).removeprefix("torch."), errors))
    assert {what: error for what, error in errors.items() if not error <= TOLERANCES[dtype]} == {}
