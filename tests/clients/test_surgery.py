"""What replaces, cuts, reparametrizes or follows layers does to warmnet's network what it does to the peer's."""

import copy
import io

import peft
import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from alive import error, fill
from timm.layers.norm_act import freeze_batch_norm_2d, unfreeze_batch_norm_2d
from torch import nn
from torch.nn.utils import parametrizations, prune
from torchvision.models.feature_extraction import create_feature_extractor

import warmnet
import warmnet.functional as W

from .subjects import IMAGES, LAST, PEERS, layers, logits, pair, train


@pytest.mark.parametrize("peer", PEERS)
def test_a_pruned_network_computes_what_the_peers_pruned_network_does(peer, row, tmp_path):
    ours, theirs = networks = pair(peer)
    for network in networks:
        halve(network)
    equal_or_refused(lambda: logits(ours), logits(theirs), "warmnet.adopt")
    assert warmnet.adopt(ours) is ours
    sizes = [sum(p.numel() for p in network.parameters()) for network in networks]
    row("torch-pruning", "parameters left", sizes[0], peer, sizes[1])
    assert sizes[0] == sizes[1]
    assert error(*map(logits, networks)) < 1e-5
    with torch.no_grad():
        assert error(*map(logits, networks)) < 1e-5

    copies = [copy.deepcopy(ours), saved_and_loaded(ours)]
    if isinstance(ours, warmnet.Classifier):
        warmnet.save(ours, tmp_path / "weights.safetensors")
        copies.append(type(ours).from_pretrained(tmp_path / "weights.safetensors"))
    for network in copies:
        assert torch.equal(logits(network), logits(ours))
    losses = [train(network) for network in networks]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3) and losses[0][2] < losses[0][0]


def halve(network):
    """Takes half of the channels of each layer but the last."""
    importance, kept = torch_pruning.importance.MagnitudeImportance(), [*layers(network, nn.Linear).values()]
    torch_pruning.pruner.MetaPruner(network, IMAGES, importance, pruning_ratio=0.5, ignored_layers=kept).step()


def equal_or_refused(compute, expected, words):
    """That `compute()` is what is expected, or an error that has these words."""
    try:
        y = compute()
    except warmnet.WarmError as refused:
        assert words in str(refused)
    else:
        assert error(y, expected) < 1e-5


def saved_and_loaded(network):
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_one_layers_channels_are_cut_with_all_that_depend_on_them():
    ours, theirs = pair("timm")
    for network in (ours, theirs):
        conv = [*layers(network, nn.Conv2d).values()][5]
        graph = torch_pruning.DependencyGraph().build_dependency(network, IMAGES)
        graph.get_pruning_group(conv, torch_pruning.prune_conv_out_channels, [0, 3, 5]).prune()
    assert ours.stage_2.mb_block_1.expand.bn.num_features == 93
    assert error(logits(warmnet.adopt(ours)), logits(theirs)) < 1e-5


@warmnet.block
def residual(x, size):
    y = F.relu(W.conv(x, size, 3, padding=1))
    return x + y if x.shape[1] == size else y  # after pruning, x has fewer channels than `size` says


class Residuals(warmnet.WarmModule):
    def forward(self, x):
        for _ in range(3):
            x = residual(x, 8)
        return W.linear(x.mean((2, 3)), 10)


class Twin(nn.Module):
    """`Residuals`, in torch."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(size, 8, 3, padding=1) for size in (3, 8, 8))
        self.linear = nn.Linear(8, 10)

    def forward(self, x):
        first, *others = self.convs
        x = F.relu(first(x))
        for conv in others:
            x = x + F.relu(conv(x))
        return self.linear(x.mean((2, 3)))


def test_a_forward_that_decides_by_a_size_that_was_cut_is_an_error_or_computes_the_same():
    ours, theirs = fill(warmnet.up(Residuals(), [1, 3, 16, 16])), Twin()
    for copy_, tensor in zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True):
        copy_.copy_(tensor)
    assert error(logits(ours), logits(theirs)) < 1e-5
    for network in (ours, theirs):
        halve(network)
    equal_or_refused(lambda: logits(ours), logits(theirs), "warmnet.adopt")
    equal_or_refused(lambda: logits(warmnet.adopt(ours)), logits(theirs), "residual_2")


@pytest.mark.parametrize("peer", PEERS)
def test_lora_changes_nothing_before_training_trains_and_merges(peer, row):
    after = []
    for network in pair(peer):
        before = logits(network)
        convs = [path for path, layer in layers(network, nn.Conv2d).items() if layer.groups == 1]
        names = [*convs, *layers(network, nn.Linear)]
        torch.manual_seed(0)
        adapted = peft.get_peft_model(network, peft.LoraConfig(r=4, target_modules=names))
        trained = [p for p in adapted.parameters() if p.requires_grad]
        assert error(logits(adapted), before) < 1e-6 and len(trained) == 2 * len(names)

        losses = train(adapted, torch.optim.Adam(trained, 0.01), steps=4)
        y = logits(adapted)
        assert losses[-1] < 0.9 * losses[0] and error(y, before) > 0.1
        merged = adapted.merge_and_unload()
        assert type(merged) is type(network) and error(logits(merged), y) < 1e-5
        after.append((len(names), losses))
    row("peft, LoRA", "adapted layers", after[0][0], peer, after[1][0])
    assert after[0][0] == after[1][0]


def test_frozen_normalizations_of_another_class_take_the_place_of_torchs(row):
    ours, theirs = pair("timm")
    before = logits(ours)
    frozen = freeze_batch_norm_2d(ours)
    assert not layers(frozen, nn.BatchNorm2d)
    assert error(frozen.train()(IMAGES).detach(), before) < 1e-5
    melted = unfreeze_batch_norm_2d(frozen)
    assert len(layers(melted, nn.BatchNorm2d)) == 49 and error(logits(melted), before) < 1e-5
    assert error(melted.train()(IMAGES), theirs.train()(IMAGES)) < 1e-4


@pytest.mark.parametrize("peer", PEERS)
def test_masked_and_reparametrized_weights_count(peer):
    networks = pair(peer)
    for network in networks:
        convs = layers(network, nn.Conv2d).values()
        prune.global_unstructured([(conv, "weight") for conv in convs], prune.L1Unstructured, amount=0.3)
        for linear in layers(network, nn.Linear).values():
            parametrizations.weight_norm(linear)
    for no_grad in (True, False):
        with torch.set_grad_enabled(not no_grad):
            assert error(*map(logits, networks)) < 1e-5
    losses = [train(network) for network in networks]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("peer", PEERS)
def test_a_symbolic_trace_computes_the_same_or_the_error_names_endpoints(peer, row):
    ours, theirs = pair(peer)
    results = []
    for network, path in zip((ours, theirs), LAST[peer]):
        try:
            traced = torch.fx.symbolic_trace(network)
            extracted = create_feature_extractor(network, {path: "last"})(IMAGES)["last"]
            assert error(logits(traced), logits(network)) < 1e-5
            results.append("traced")
        except (torch.fx.proxy.TraceError, TypeError, warmnet.WarmError) as failed:
            results.append("names Endpoints" if "Endpoints" in str(failed) else type(failed).__name__)
    row("torch.fx", "symbolic_trace, create_feature_extractor", results[0], peer, results[1])
    assert results[0] in ("traced", "names Endpoints")
    if results[1] == "traced":
        assert error(warmnet.Endpoints(ours, [LAST[peer][0]])(IMAGES)[LAST[peer][0]], extracted) < 1e-5
