"""Programs that count work find in warmnet's layers what they find in the same layers of the peer.

What a count is made of differs beside the layers: timm's normalizations and torchvision's pools are modules, or of a class that
a counter does not know, and warmnet's activations are functions. So a count is of the layers that both have.
"""

import copy

import fvcore.nn
import ptflops
import pytest
import thop
import torch
import torchinfo
from alive import error
from ptflops.pytorch_ops import bn_flops_counter_hook, conv_flops_counter_hook
from thop.vision.basic_hooks import count_convNd, count_normalization
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import warmnet.functional as W

from .subjects import IMAGES, LABELS, PEERS, layers, logits, pair

ONE = IMAGES[:1]
SHAPE = tuple(ONE.shape[1:])


def nothing(*_):
    """The count of a layer that only one of the two has."""


@pytest.mark.parametrize("peer", PEERS)
def test_thop_counts_each_layer(peer, row):
    macs = [thop.profile(network, (ONE,), verbose=False)[0] for network in pair(peer)]
    row("thop", "MACs", int(macs[0]), peer, int(macs[1]))
    kinds = {W.SameConv2d: count_convNd, Conv2dSame: count_convNd, BatchNormAct2d: count_normalization}
    kinds |= {nn.AdaptiveAvgPool2d: nothing}
    ours, theirs = (thop.profile(network, (ONE,), custom_ops=kinds, verbose=False) for network in pair(peer))
    assert ours == theirs and ours[0] > macs[0] * 0.9 > 0


def test_a_network_that_thop_left_its_buffers_in_computes_what_it_did():
    ours, _ = pair("timm")
    before = logits(ours)
    thop.profile(ours, (ONE,), verbose=False)
    assert "total_ops" in dict(ours.stem.conv.named_buffers())
    for network in (ours, copy.deepcopy(ours)):
        assert torch.equal(logits(network), before)


@pytest.fixture
def uninitialized_memory_is_nan():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("peer", PEERS)
def test_ptflops_counts_each_layer(peer, row, uninitialized_memory_is_nan):  # what it shows a network is uninitialized
    def macs(network, **settings):
        return ptflops.get_model_complexity_info(network, SHAPE, as_strings=False, print_per_layer_stat=False, **settings)[0]

    for backend in ("pytorch", "aten"):
        ours, theirs = (macs(network, backend=backend) for network in pair(peer))
        row("ptflops", f"MACs, {backend}", ours, peer, theirs)
    assert ours == theirs

    kinds = {W.SameConv2d: conv_flops_counter_hook, Conv2dSame: conv_flops_counter_hook, BatchNormAct2d: bn_flops_counter_hook}
    alone = {"count_functional": False}
    ours, theirs = (
        macs(network, custom_modules_hooks=kinds, ignore_modules=[nn.AdaptiveAvgPool2d, nn.ReLU], backend_specific_config=alone)
        for network in pair(peer)
    )
    assert ours == theirs > 0


@pytest.mark.parametrize("peer", PEERS)
def test_fvcore_counts_each_operator_and_each_layer(peer, row):
    counts = []
    for network in pair(peer):
        analysis = fvcore.nn.FlopCountAnalysis(network, ONE).unsupported_ops_warnings(False)
        by_module = analysis.by_module()
        found = [by_module[path] for path in layers(network, nn.Conv2d, nn.BatchNorm2d, nn.Linear)]
        counts.append((analysis.total(), {key: analysis.by_operator()[key] for key in ("conv", "batch_norm", "linear")}, found))
    (ours, *in_detail), (theirs, *expected) = counts
    row("fvcore", "flops", ours, peer, theirs)
    assert in_detail == expected and all(in_detail[1])
    assert ours == theirs or peer == "timm"  # whose means are of an operator that fvcore does not know


@pytest.mark.parametrize("peer", PEERS)
def test_torch_counts_the_same_with_and_without_gradients(peer, row):
    def flops(network, grad, training=False):
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(grad):
            y = network.train(training)(IMAGES)
            if training:
                nn.functional.cross_entropy(y, LABELS).backward()
        return counter.get_total_flops()

    ours, theirs = ([flops(n, True), flops(n, False), flops(n, True, training=True)] for n in pair(peer))
    row("FlopCounterMode", "flops, without gradients", ours[1], peer, theirs[1])
    row("FlopCounterMode", "flops, a training step", ours[2], peer, theirs[2])
    assert ours == theirs and ours[0] == ours[1]


@pytest.mark.parametrize("peer", PEERS)
def test_torchinfo_counts_parameters_and_work(peer, row):
    summaries = [torchinfo.summary(network, input_data=ONE, verbose=0) for network in pair(peer)]
    ours, theirs = ((summary.total_params, summary.total_mult_adds) for summary in summaries)
    row("torchinfo", "mult-adds", ours[1], peer, theirs[1])
    if peer == "timm":  # whose normalizations have children, which is why torchinfo does not count them
        network, _ = pair(peer)
        ours = ours[0], ours[1] - sum(p.numel() for n in layers(network, nn.BatchNorm2d).values() for p in n.parameters())
    assert ours == theirs


def test_what_counters_leave_behind_changes_no_number():
    ours, theirs = pair("timm")
    ptflops.get_model_complexity_info(ours, SHAPE, as_strings=False, print_per_layer_stat=False)
    torchinfo.summary(ours, input_data=ONE, verbose=0)
    assert error(logits(ours), logits(theirs)) < 1e-5


def test_each_layer_is_of_the_type_that_torchvisions_is():
    ours, theirs = pair("torchvision")
    kinds = nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.Dropout
    types, expected = ([type(layer) for layer in layers(network, *kinds).values()] for network in (ours, theirs))
    assert types == expected and len(types) == 81 + 49 + 2
