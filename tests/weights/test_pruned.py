"""A pruned network's file says all that it takes to make it anew: for the same classes, for others, for another training."""

import alive
import pytest
import torch
from pruning import pruned

import warmnet
import warmnet.functional as W
from warmnet.weights import WeightsError, WeightsWarning

X = alive.images(64, 64).float()


@pytest.fixture(scope="module")
def small():
    return pruned(alive.fill(warmnet.WarmEfficientNet("lite0", 10, seed=0)).eval())


def test_a_saved_one_is_loaded_whole(small, tmp_path):
    assert small.stage_3.mb_block_2.depthwise.conv.groups == 180
    warmnet.save(small, tmp_path / "small.safetensors")
    loaded = warmnet.WarmEfficientNet.from_pretrained(tmp_path / "small.safetensors")
    assert torch.equal(loaded(X), alive.logits(small, X))
    assert [str(module) for module in loaded.modules()] == [str(module) for module in small.modules()]
    warmnet.save(loaded, tmp_path / "again.safetensors")
    again = warmnet.WarmEfficientNet.from_pretrained(tmp_path / "again.safetensors")
    assert torch.equal(again(X), alive.logits(small, X))


def test_it_gets_a_new_classifier_and_another_stem(small):
    with pytest.warns(WeightsWarning, match=r"classifier\.weight \(3, 960\)"):
        loaded = warmnet.WarmEfficientNet.from_pretrained(small, num_classes=3, in_channels=1)
    assert loaded.classifier.weight.shape == (3, 960) and loaded(X[:, :1]).shape == (len(X), 3)
    assert torch.equal(
        loaded.stage_5.state_dict()["mb_block_1.project.conv.weight"], small.stage_5.mb_block_1.project.conv.weight
    )


class Grouped(warmnet.Classifier):
    """A network with a normalization that is not batch normalization."""

    def __init__(self, variant="small", num_classes=2, in_channels=3, *, device=None, seed=None):
        super().__init__(variant, num_classes, in_channels, resolution=32)
        self.warm_up(device, seed)

    def forward(self, x):
        x = W.group_norm(W.conv(x, 8, 3, name="stem"), 1, name="norm")
        return W.linear(x.mean((2, 3)), self.num_classes, name="classifier")


def with_stem(network, size):
    """The network, its stem with so many channels."""
    old = network.stem.out_channels
    for tensor in (*network.stem.parameters(), *network.norm.parameters()):
        tensor.data = torch.cat([tensor.data, tensor.data])[:size]
    network.stem.out_channels = network.norm.num_channels = network.classifier.in_features = size
    network.classifier.weight.data = network.classifier.weight.data.repeat(1, 2)[:, :size]
    assert old != size
    return warmnet.adopt(network)


@pytest.mark.parametrize("size, message", [(6, "a GroupNorm cannot be made anew"), (9, r"stem.weight .* \(9, 3, 3, 3\)")])
def test_what_cannot_be_made_anew_is_refused_before_anything_is_written(size, message, tmp_path):
    with pytest.raises(WeightsError, match=message):
        warmnet.save(with_stem(Grouped(), size), tmp_path / "w")
    assert not any(tmp_path.iterdir())
