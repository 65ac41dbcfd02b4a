"""A live network of another library is taken only if it shows that it computes as the one does whose tensors it has."""

import pytest
import torch
from torch import nn

import warmnet
from warmnet.networks.families import NAMES
from warmnet.weights import LINEAGES, WeightsError

KINDS = {  # whose networks they are made as: library, variant, activation
    "tf_efficientnet_b0": ("timm_tf", "b0", nn.SiLU),
    "efficientnet_lite0": ("timm", "lite0", nn.ReLU6),
    "mobilenet_v2": ("torchvision", "mobilenetv2-1.0", nn.ReLU6),
    "resnet18": ("torchvision", "resnet18", nn.ReLU),
}


def foreign(architecture):
    """A network of torch's modules with the names of another library, and with its conventions."""
    library, variant, activation = KINDS[architecture]
    lineage = next(each for each in LINEAGES[library] if architecture in each.architectures.values())
    ours, network = NAMES[variant](variant, seed=0, **lineage.options(variant)), nn.Module()
    for path, name in lineage.names(ours.state_dict()).items():
        *blocks, layer, _ = name.split(".")
        parent = network
        for block in blocks:
            if block not in dict(parent.named_children()):
                parent.add_module(block, nn.Module())
            parent = getattr(parent, block)
        parent.add_module(layer, ours.get_submodule(path.rpartition(".")[0]))
    network.act, network.pool = activation(), nn.AdaptiveAvgPool2d(1)
    if variant.startswith("resnet"):
        network.maxpool = nn.MaxPool2d(3, stride=2)
    network.pretrained_cfg = {"architecture": architecture}
    return network


def load(network):
    with pytest.warns(warmnet.WeightsWarning, match="nothing says what images went through"):
        return warmnet.Classifier.from_pretrained(network)


def strided(network):
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d) and max(module.stride) > 1)


@pytest.mark.parametrize("architecture", KINDS)
def test_one_as_its_library_makes_it_is_loaded(architecture):
    assert load(foreign(architecture)).variant_name == KINDS[architecture][1]


def test_what_is_beside_it_in_a_module_around_it_does_not_matter():
    with pytest.warns(warmnet.WeightsWarning, match="'net.' was taken off the names"):
        around = nn.ModuleDict({"net": foreign("resnet18"), "loss": nn.CrossEntropyLoss()})
        assert warmnet.Classifier.from_pretrained(around).variant_name == "resnet18"


def with_another_eps(network):
    next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d)).eps = 0.5


def with_another_activation(network):
    network.act = nn.ReLU() if isinstance(network.act, nn.SiLU) else nn.SiLU()


def with_an_unknown_activation(network):
    network.act = nn.GELU()


def with_another_pool(network):
    network.pool = nn.AdaptiveMaxPool2d(1)


def with_another_stride(network):
    strided(network).stride = (1, 1)


EDITS = {
    with_another_eps: r"computes with eps=0\.5, and .* with eps=.*Pass model\.state_dict\(\), and eps=0\.5 where",
    with_another_activation: r"computes with act='\w+', and .* with act=\w+: its outputs would be others here",
    with_an_unknown_activation: r"has GELU, unlike \w+'s \w+, whose tensors it has",
    with_another_pool: "has AdaptiveMaxPool2d, unlike",
    with_another_stride: "has a total stride of 16, unlike",
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("architecture", KINDS)
def test_one_that_was_edited_is_refused_and_its_tensors_are_not(architecture, edit):
    network, message = foreign(architecture), EDITS[edit]
    edit(network)
    with pytest.raises(WeightsError, match=message):
        warmnet.Classifier.from_pretrained(network)
    lineage, variant, _ = KINDS[architecture]
    with pytest.warns(warmnet.WeightsWarning):
        model = warmnet.Classifier.from_pretrained(network.state_dict(), lineage=lineage)
    assert model.variant_name == variant
    with pytest.raises(WeightsError, match=message):
        warmnet.load(model, network)


def test_another_padding_is_refused():
    network = foreign("resnet18")
    strided(network).padding = (0, 0)
    with pytest.raises(WeightsError, match=r"computes with padding=\(0, 0\), and torchvision's resnet18"):
        warmnet.Classifier.from_pretrained(network)


def test_a_file_called_as_an_architecture_that_blurs_is_refused_unless_its_lineage_is_given(tmp_path):
    path = tmp_path / "resnetblur18_best.pth"
    torch.save(foreign("resnet18").state_dict(), path)
    with pytest.raises(WeightsError, match="says that it is of resnetblur18, and has the tensors of torchvision's resnet18 or"):
        warmnet.WarmResNet.from_pretrained(path)
    with pytest.warns(warmnet.WeightsWarning):
        assert warmnet.WarmResNet.from_pretrained(path, lineage="timm").variant == 18
