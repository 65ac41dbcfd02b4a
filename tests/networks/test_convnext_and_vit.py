"""The networks that show W's layers compute what timm's ConvNeXt and Vision Transformer do, by numbers recorded from them.

`tests/peers/test_convnext_and_vit.py` compares with timm itself. Numbers are double: 1e-12 is tens of times what rounding
does here.
"""

import alive
import golden
import pytest
import torch
import torch.nn.functional as F

import warmnet.functional as W
from networks.convnext import ConvNeXt
from networks.vit import VisionTransformer

NETWORKS = {"convnext_atto": ConvNeXt, "vit_tiny_patch16_224": VisionTransformer}
LOGITS, ADVICE = golden.read("layers")


def distance(name):
    """From timm's logits, relative to the largest."""
    side, recorded = LOGITS[name]["side"], torch.tensor(LOGITS[name]["logits"], dtype=torch.float64)
    model = alive.fill(NETWORKS[name]().double())
    return alive.error(alive.digest(alive.logits(model, alive.images(side, side))), recorded)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_timms(name):
    assert distance(name) <= 1e-12, ADVICE


def other_eps(layer):
    return lambda *args, **kw: layer(*args, **kw | {"eps": 1e-3})


def other_gelu(layer):
    def changed(x, size, *args, activation=None, **kw):
        return layer(x, size, *args, activation=activation and (F.gelu, {"approximate": "tanh"}), **kw)

    return changed


def twice_as_large(parameter):
    return lambda *args, **kw: 2 * parameter(*args, **kw)


def twice_the_heads(attention):
    return lambda x, heads, **kw: attention(x, heads * 2, **kw)


FAULTS = [
    ("convnext_atto", "layer_norm", other_eps),
    ("convnext_atto", "conv", other_gelu),
    ("convnext_atto", "parameter", twice_as_large),
    ("vit_tiny_patch16_224", "layer_norm", other_eps),
    ("vit_tiny_patch16_224", "linear", other_gelu),
    ("vit_tiny_patch16_224", "parameter", twice_as_large),
    ("vit_tiny_patch16_224", "multi_head_attention", twice_the_heads),
]


@pytest.mark.parametrize("name, layer, fault", FAULTS)
def test_one_wrong_setting_is_noticed(name, layer, fault, monkeypatch):
    monkeypatch.setattr(W, layer, fault(getattr(W, layer)))
    assert distance(name) > 1e-5
