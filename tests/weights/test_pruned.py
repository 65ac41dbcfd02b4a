"""A pruned network's file says all that it takes to make it anew: for the same classes, for others, for another training."""

import alive
import pytest
import torch
from pruning import pruned

import warmnet
import warmnet.functional as W
from warmnet.networks.resnet import basic_block
from warmnet.weights import WeightsError, WeightsWarning
from warmnet.weights.pruned import cut

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


@pytest.mark.parametrize(
    "options", [{"stem": 16}, {"stages": warmnet.STAGES[:6]}, {"se_ratio": 0.25}, {"variant": "lite1"}], ids=str
)
def test_options_that_change_its_layers_are_refused(small, options):
    with pytest.raises(WeightsError, match=r"The source is pruned, and with these options \S+ would be"):
        warmnet.WarmEfficientNet.from_pretrained(small, strict=False, **options)


def test_options_that_change_no_layer_are_taken(small):
    loaded = warmnet.WarmEfficientNet.from_pretrained(small, output_stride=16, dropout=0.5, act="silu")
    assert loaded.options["output_stride"] == 16 and loaded.stem.conv.weight.equal(small.stem.conv.weight)


@pytest.mark.filterwarnings("ignore::warmnet.weights.WeightsWarning")
def test_without_its_classifier_it_is_saved_and_gets_a_new_one(small, tmp_path):
    warmnet.save(warmnet.WarmEfficientNet.from_pretrained(small, num_classes=0), tmp_path / "features.safetensors")
    loaded = warmnet.WarmEfficientNet.from_pretrained(tmp_path / "features.safetensors", num_classes=4)
    assert loaded.classifier.weight.shape == (4, 960) and loaded(X).shape == (len(X), 4)


def test_where_it_does_not_go_it_is_said_to_be_pruned(small, tmp_path):
    whole = warmnet.WarmEfficientNet("lite0", 10)
    with pytest.raises(WeightsError, match="The source is pruned, and the model is not"):
        warmnet.load(whole, small)
    with pytest.raises(WeightsError, match="The network is pruned, and timm_tf's lite0 is not"):
        warmnet.convert(small, tmp_path / "lite0.pth", to="timm")
    with pytest.raises(WeightsError, match="sizes of none of its variants. Was it edited or pruned"):
        warmnet.load(whole, small.state_dict())


def test_a_state_dict_of_no_variant_is_not_said_to_be_of_another_network():
    edited = warmnet.WarmEfficientNet("lite0", 5, stages=warmnet.STAGES[:2], stem=8, head=32)
    with pytest.raises(WeightsError, match="sizes of none of its variants"):
        warmnet.WarmEfficientNet.from_pretrained(edited.state_dict())


def of_sizes(network, variant, block, *sizes):
    stages = [warmnet.Stage(size, 1, 3, stride, 2, block) for size, stride in zip(sizes, (1, 2))]
    return network(variant, 5, stages=stages, stem=sizes[0], seed=0)


@pytest.mark.parametrize(
    "network, variant, block",
    [
        (warmnet.WarmResNet, 18, basic_block),
        (warmnet.WarmMobileNetV2, 1.0, None),
        (warmnet.WarmEfficientNet, "b0", None),
        (warmnet.WarmEfficientNet, "v2-s", warmnet.fused_mb_block),
    ],
)
def test_every_familys_shortcuts_are_those_of_its_sizes_now(network, variant, block):
    """By which a forward decides, and not by the sizes that it asks for."""
    model, narrow = of_sizes(network, variant, block, 16, 32), of_sizes(network, variant, block, 8, 24)
    cut(model, narrow.state_dict())
    warmnet.load(alive.fill(model), alive.fill(narrow).state_dict(), strict=False)
    assert torch.equal(model.eval()(X), alive.logits(narrow.eval(), X))
