"""A head of several layers has the classes of its last; one linear layer is taken wherever it is; the rest is not silent."""

import pytest
import torch
from torch import nn

import warmnet
from warmnet.weights import LINEAGES, WeightsError, WeightsWarning
from warmnet.weights.heads import find_head

B0 = warmnet.WarmEfficientNet("b0", 7, seed=0)
load = warmnet.WarmEfficientNet.from_pretrained
ROOTS = {"timm_tf": "classifier", "torchvision": "classifier", "lukemelas": "_fc"}


def with_head(lineage, head):
    """b0 as a library names it, with another head."""
    state = B0.state_dict()
    names = {ours: theirs for ours, theirs in LINEAGES[lineage][0].names(state).items() if not ours.startswith("classifier")}
    tensors = {theirs: state[ours].clone() for ours, theirs in names.items()}
    return tensors | {f"{ROOTS[lineage]}.{name}": tensor for name, tensor in head.state_dict().items()}


def of_one_layer():
    linear = nn.Linear(1280, 7)
    return linear, nn.Sequential(nn.Dropout(), linear)


def of_several():
    return nn.Sequential(nn.Dropout(), nn.Linear(1280, 256), nn.ReLU(), nn.Linear(256, 7))


@pytest.mark.filterwarnings("ignore::warmnet.weights.WeightsWarning")
@pytest.mark.parametrize("lineage", ROOTS)
def test_one_linear_layer_is_taken_wherever_it_is(lineage):
    linear, head = of_one_layer()
    model = load(with_head(lineage, head), lineage=lineage)
    assert model.num_classes == 7
    assert torch.equal(model.classifier.weight, linear.weight) and torch.equal(model.classifier.bias, linear.bias)


@pytest.mark.parametrize("lineage", ROOTS)
def test_several_layers_are_refused_by_name_with_what_to_do(lineage):
    root = ROOTS[lineage]
    with pytest.raises(WeightsError, match=rf"head of several layers, {root}\.1, {root}\.3, .*num_classes=7 and strict=False"):
        load(with_head(lineage, of_several()), lineage=lineage)


@pytest.mark.parametrize("lineage", ROOTS)
def test_without_strict_the_classes_are_those_of_the_last_layer_and_the_classifier_is_new(lineage):
    tensors = with_head(lineage, of_several())
    with pytest.warns(
        WeightsWarning, match=rf"- classifier\.weight \(7, 1280\)(.|\n)*\+ {ROOTS[lineage]}\.1\.weight \(256, 1280\)"
    ):
        model = load(tensors, lineage=lineage, strict=False)
    assert model.num_classes == 7 and torch.equal(model.head.conv.weight, B0.head.conv.weight)


@pytest.mark.filterwarnings("ignore::warmnet.weights.WeightsWarning")
def test_another_number_of_classes_needs_no_layer_of_the_old_head():
    assert load(with_head("torchvision", of_several()), lineage="torchvision", num_classes=5).num_classes == 5
    assert load(with_head("timm_tf", of_several()), lineage="timm_tf", num_classes=0).num_classes == 0


def test_layers_are_in_the_order_of_their_numbers():
    weights = {"fc.10.weight": torch.rand(7, 64), "fc.4.weight": torch.rand(64, 1280), "fc.4.bias": torch.rand(64)}
    assert find_head(weights, "fc").num_classes == 7


def test_a_norm_beside_the_linear_layer_is_not_left_out_unsaid():
    head = nn.Sequential(nn.BatchNorm1d(1280), nn.Linear(1280, 7))
    with pytest.raises(WeightsError, match="head of several layers, classifier.0, classifier.1"):
        load(with_head("timm_tf", head), lineage="timm_tf")
