"""What makes smaller networks finds the layers that it finds in the peer's network, and what comes out is as near."""

import copy

import pytest
import torch
from alive import error
from torch import nn
from torch.ao import quantization as eager
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)

from .subjects import IMAGES, PEERS, convs_and_norms, layers, logits, pair, train


@pytest.mark.parametrize("peer", PEERS)
def test_quantize_dynamic_finds_the_linear_layer(peer, row):
    networks = [eager.quantize_dynamic(network, {nn.Linear}) for network in pair(peer)]
    found = [len(layers(network, torch.ao.nn.quantized.dynamic.Linear)) for network in networks]
    row("torch.ao", "layers that quantize_dynamic replaced", found[0], peer, found[1])
    assert found == [1, 1]
    assert error(*map(logits, networks)) < 1e-4


@pytest.mark.parametrize("config", [Int8WeightOnlyConfig(), Int8DynamicActivationInt8WeightConfig()])
@pytest.mark.parametrize("peer", PEERS)
def test_torchao_quantizes_the_linear_layer(peer, config, row):
    networks = pair(peer)
    before = logits(networks[0])
    for network in networks:
        quantize_(network, config)
    for no_grad in (True, False):
        with torch.set_grad_enabled(not no_grad):
            ours, theirs = map(logits, networks)
        assert error(ours, theirs) < 1e-4 and 0 < error(ours, before) < 0.1
    row("torchao", f"error after {type(config).__name__}", error(ours, before), peer, error(theirs, before))


LAYERS = torch.ops.aten.conv2d.default, torch.ops.aten.linear.default


@pytest.mark.parametrize("peer", PEERS)
def test_the_x86_quantizer_sees_each_layer(peer, row):
    """It observes pools, too, if an `nn.SiLU` comes before them: warmnet's activations are functions."""
    observers, weights, errors = [], [], []
    for network in pair(peer):
        before = logits(network)
        quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
        prepared = prepare_pt2e(torch.export.export(network, (IMAGES,)).module(), quantizer)
        found = [node for node in prepared.graph.nodes if "activation_post_process" in str(node.target)]
        observers.append(sum(any(user.target in LAYERS for user in node.users) for node in found))
        prepared(IMAGES)
        converted = convert_pt2e(prepared)
        targets = [str(node.target) for node in converted.graph.nodes]
        weights.append(targets.count("quantized_decomposed.dequantize_per_channel.default"))
        errors.append(error(converted(IMAGES), before))
    row("torchao, x86 PT2E", "observers of layers' inputs and weights", observers[0], peer, observers[1])
    row("torchao, x86 PT2E", "layers with int8 weights", weights[0], peer, weights[1])
    row("torchao, x86 PT2E", "error", errors[0], peer, errors[1])
    assert weights[0] == weights[1] > 1 and observers[0] == observers[1]
    assert 0 < errors[0] < 2 * errors[1] < 0.1


@pytest.mark.parametrize("peer", PEERS)
def test_fuse_modules_makes_one_of_a_convolution_and_its_normalization(peer, row):
    fused = []
    for network in pair(peer):
        before = logits(network)
        pairs = [names for names in convs_and_norms(network) if type(network.get_submodule(names[0])) is nn.Conv2d]
        if type(network.get_submodule(pairs[0][1])) is nn.BatchNorm2d:  # timm's are of a class that it does not know
            network = eager.fuse_modules(network, pairs)
        for no_grad in (True, False):
            with torch.set_grad_enabled(not no_grad):
                assert error(logits(network), before) < 1e-5
        fused.append(len(layers(network, nn.Identity)))
    row("torch.ao", "pairs that fuse_modules made one", fused[0], peer, fused[1] if peer != "timm" else 0)
    assert fused[0] == {"timm": 44, "torchvision": 49, "torch": 2}[peer] and (fused[0] == fused[1] or peer == "timm")


@pytest.mark.parametrize("peer", ["torchvision", "torch"])
def test_prepare_qat_replaces_each_layer_and_a_step_trains(peer, row):
    found, losses = [], []
    for network in pair(peer):
        network.qconfig = eager.get_default_qat_qconfig("x86")
        network = eager.prepare_qat(network.train())
        found.append(len(layers(network, torch.ao.nn.qat.Conv2d, torch.ao.nn.qat.Linear)))
        losses.append(train(network))
    row("torch.ao", "layers that prepare_qat replaced", found[0], peer, found[1])
    assert found[0] == found[1] > 1
    assert losses[0] == pytest.approx(losses[1], rel=0.15)  # activations that are modules are rounded, too
    assert losses[0][2] < losses[0][0]


def test_a_quantized_network_can_be_copied():
    ours, _ = pair("timm")
    quantize_(ours, Int8WeightOnlyConfig())
    assert torch.equal(logits(copy.deepcopy(ours)), logits(ours))
