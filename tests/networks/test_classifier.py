"""What every classifier carries: its options are what it was given, and what its own class has otherwise."""

from collections import namedtuple

import pytest
import torch
import torch.nn.functional as F

import warmnet
import warmnet.functional as W
from warmnet import WarmEfficientNet

TINY = warmnet.Variant(0.2, 0.2, 32, 0.2)
Size = namedtuple("Size", "width height")
SMALL = Size(4, 4)


class Relu(WarmEfficientNet):
    """EfficientNet with other defaults."""

    def __init__(self, variant=TINY, num_classes=10, in_channels=3, *, act=F.relu, se_ratio=0.5, dropout=0.7, **options):
        super().__init__(variant, num_classes, in_channels, act=act, se_ratio=se_ratio, dropout=dropout, **options)


class Patches(warmnet.Classifier):
    """(B, in_channels, H, W) -> (B, num_classes), with options that EfficientNet has by other types."""

    def __init__(
        self,
        variant=SMALL,
        num_classes=2,
        in_channels=3,
        *,
        stages=(8, 16),
        stem="patch",
        table=None,
        device=None,
        seed=None,
    ):
        super().__init__(variant, num_classes, in_channels, resolution=32, reduction=4, stages=stages, stem=stem, table=table)
        self.warm_up(device, seed)

    def forward(self, x):
        self.check_images(x)
        for size in self.options.get("stages", (8, 16)):
            x = warmnet.conv_bn_act(x, size, self.variant.width, 2)
        return W.linear(x.mean((2, 3)), self.num_classes, name="classifier")


def test_a_subclass_with_defaults_of_its_own_computes_with_these():
    model, same = Relu(seed=0), WarmEfficientNet(TINY, 10, act=F.relu, se_ratio=0.5, dropout=0.7, seed=0)
    assert model.options == {"act": F.relu, "se_ratio": 0.5, "dropout": 0.7}
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(model.eval()(x), same.eval()(x)) and model.dropout.p == 0.7
    assert not torch.equal(model(x), WarmEfficientNet(TINY, 10, seed=0).eval()(x))


@pytest.mark.parametrize("options", [{}, {"stages": (8, 24)}, {"stem": "conv:7x7"}, {"table": {"a": (1, 2), "b": F.silu}}])
def test_what_a_classifier_is_comes_back_from_its_file(tmp_path, options):
    model = Patches(**options, seed=0).eval()
    warmnet.save(model, tmp_path / "w.safetensors")
    again = Patches.from_pretrained(tmp_path / "w.safetensors")
    assert again.options == model.options and again.variant == Size(4, 4) and type(again.variant) is Size
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(again(x), model(x))


def test_an_option_that_no_file_can_hold_is_asked_for_again(tmp_path):
    warmnet.save(Patches(table={1: 2}), tmp_path / "w.safetensors")
    with pytest.raises(warmnet.WeightsError, match=r"saved with table=\{1: 2\}, which no file can hold. Pass table="):
        Patches.from_pretrained(tmp_path / "w.safetensors")
    assert Patches.from_pretrained(tmp_path / "w.safetensors", table={1: 2}).options == {"table": {1: 2}}


@pytest.mark.parametrize("option", [{"pretrained": True}, {"weights": "DEFAULT"}, {"weights": "imagenet"}])
def test_who_asks_for_weights_as_elsewhere_is_told_what_to_write(option):
    name, value = next(iter(option.items()))
    message = rf"{name}={value!r} is no option here: .*WarmEfficientNet.from_pretrained\('b3'\) from trained ones"
    for call in lambda: WarmEfficientNet("b3", **option), lambda: WarmEfficientNet(variant="b3", **option):
        with pytest.raises(TypeError, match=message):
            call()
    with pytest.raises(TypeError, match=r"WarmResNet.from_pretrained\('resnet50'\) from trained ones"):
        warmnet.WarmResNet(**option)
