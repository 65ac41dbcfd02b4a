"""Wherever a name is wrong, the nearest is offered: settings, endpoints, keywords of W, functions, choices."""

import pytest

import warmnet
import warmnet.functional as W
from warmnet import weights
from warmnet.authoring.budgets import cost
from warmnet.data import Preprocessing
from warmnet.spelling import choose_one, nearest
from warmnet.training import RECIPES


def with_settings(**settings):
    return RECIPES["small"].with_settings(settings)


def layers(forward):
    class Net(warmnet.WarmModule):
        def forward(self, x):
            return forward(x)

    return warmnet.up(Net(), [1, 3, 8, 8])


WRONG = {  # what somebody writes: how it is called here
    "mixupp": (lambda: with_settings(mixupp=1), "mixup"),
    "learning_rate": (lambda: with_settings(learning_rate=1), "lr"),
    "adam": (lambda: with_settings(optimizer="adam"), "adamw"),
    "bicubc": (lambda: Preprocessing(224, interpolation="bicubc"), "bicubic"),
    "centre": (lambda: Preprocessing(224, crop_mode="centre"), "center"),
    "stage2": (lambda: warmnet.Endpoints(warmnet.WarmEfficientNet("b0", device="meta"), ["stage2"]), "stage_2"),
    "stem.bn": (lambda: warmnet.Endpoints(warmnet.WarmEfficientNet("b0", device="meta"), ["stem.bn"]), "stem"),
    "drop_out": (lambda: warmnet.WarmEfficientNet("b0", drop_out=0.1), "dropout"),
    "drop_path_rate": (lambda: warmnet.WarmResNet(50, drop_path_rate=0.1), "drop_connect"),
    "act_layer": (lambda: warmnet.WarmMobileNetV2(act_layer="relu"), "act"),
    "swish": (lambda: warmnet.WarmEfficientNet("b0", act="swish", device="meta"), "silu"),
    "Swish": (lambda: layers(lambda x: W.conv(x, 8, 3, activation="Swish")), "silu"),
    "ReLU": (lambda: layers(lambda x: W.conv(x, 8, 3, activation="ReLU")), "relu"),
    "hswish": (lambda: layers(lambda x: W.conv(x, 8, 3, activation="hswish")), "hardswish"),
    "xavier": (lambda: layers(lambda x: W.conv(x, 8, 3, "xavier")), "xavier_uniform_"),
    "kernal": (lambda: layers(lambda x: W.conv(x, 8, kernal=3)), "kernel"),
    "kernel_size": (lambda: layers(lambda x: W.conv(x, 8, kernel_size=3)), "kernel"),
    "out_channels": (lambda: layers(lambda x: W.conv(x, out_channels=8, kernel=3)), "size"),
    "p": (lambda: layers(lambda x: W.dropout(x, p=0.5)), "rate"),
    "num_groups": (lambda: layers(lambda x: W.group_norm(x, num_groups=3)), "groups"),
    "onxx": (lambda: warmnet.export(warmnet.WarmEfficientNet("b0", device="cpu"), "x", "onxx"), "onnx"),
    "tim": (lambda: weights.convert("b0", "x.pth", "tim"), "timm"),
    "mac": (lambda: cost("mac", "b0"), "macs"),
}


@pytest.mark.parametrize("written", WRONG)
def test_the_nearest_name_is_offered(written):
    wrong, meant = WRONG[written]
    with pytest.raises((ValueError, TypeError), match=rf"{written}.*Did you mean '{meant}'\?"):
        wrong()


def test_a_name_like_none_is_answered_with_all():
    assert choose_one("xyz", ["onnx", None]) == "Choose one of onnx, None"
    assert nearest("", ["a"]) is None


def test_of_names_that_are_alike_the_first_is_nearest():
    assert nearest("ReLU", ["relu", "relu_"]) == "relu"


@pytest.mark.parametrize("word", ["out_features", "in_features"])
def test_a_word_of_torchs_that_another_argument_decides_is_refused(word):
    with pytest.raises(TypeError, match=f"{word}= is torch's word"):
        layers(lambda x: W.linear(x.mean((2, 3)), 8, **{word: 3}))
    with pytest.raises(TypeError, match="hidden_size= is torch's word"):
        layers(lambda x: W.lstm(x.flatten(2), 8, hidden_size=3))
    assert layers(lambda x: W.lstm(x.flatten(2), 8, bidirectional=True)).lstm_1.bidirectional
