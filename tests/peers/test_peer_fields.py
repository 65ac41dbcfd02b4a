"""Receptive fields are followed in any network of torch: the peers' are those of warmnet's."""

import pytest

import warmnet

from .libraries import timm, torchvision

PEERS = {
    "b0": (lambda: timm.create_model("tf_efficientnet_b0"), {"stage_4": "blocks.3", "head": "bn2"}),
    "lite0": (lambda: timm.create_model("tf_efficientnet_lite0"), {"stage_4": "blocks.3", "head": "bn2"}),
    "v2-s": (torchvision.models.efficientnet_v2_s, {"stage_4": "features.4", "head": "features.7"}),
    "mobilenetv2-1.0": (torchvision.models.mobilenet_v2, {"stage_1": "features.1", "head": "features.18"}),
    "resnet18": (torchvision.models.resnet18, {"stage_2": "layer2", "stage_4": "layer4"}),
    "resnet50": (lambda: timm.create_model("resnet50"), {"stage_2": "layer2", "stage_4": "layer4"}),
}


@pytest.mark.parametrize("name", PEERS)
def test_receptive_fields_are_those_of_the_peers_network(name):
    peer, blocks = PEERS[name]
    ours, theirs = warmnet.receptive_fields(name), warmnet.receptive_fields(peer(), (1, 3, 224, 224))
    assert {block: ours[block] for block in blocks} == {block: theirs[path] for block, path in blocks.items()}
