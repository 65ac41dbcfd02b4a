"""A default that stands at a class, its network and its blocks is one number: who edits one of them alone is told here.

A network gives its blocks its own settings, so that theirs count in direct calls alone. In a model file of `warmnet new` each
stands once, see tests/authoring/test_model_file_defaults.py.
"""

import inspect

import pytest

import warmnet
from warmnet.networks import resnet
from warmnet.networks.efficientnet_v2 import fused_mb_block

EFFICIENTNET = warmnet.efficientnet, warmnet.conv_bn_act, warmnet.mb_block
FAMILIES = {
    warmnet.WarmEfficientNet: (*EFFICIENTNET, warmnet.squeeze_excitation),
    warmnet.WarmMobileNetV2: (warmnet.mobilenet_v2,),
    warmnet.WarmResNet: (resnet.resnet,),
}
OF_ANY_ROW = {"expand", "kernel", "stride", "groups", "dilation", "drop"}  # which the table gives, block by block


def defaults(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in OF_ANY_ROW}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_default_is_the_same_wherever_it_stands(family):
    expected = defaults(family)
    for function in FAMILIES[family]:
        found = defaults(function)
        assert found == {name: expected[name] for name in found}, function.__name__


def test_blocks_of_other_files_have_the_activation_of_their_network():
    assert defaults(fused_mb_block)["act"] is defaults(warmnet.efficientnet)["act"]
    assert {defaults(block)["act"] for block in (resnet.basic_block, resnet.bottleneck)} == {defaults(resnet.resnet)["act"]}
