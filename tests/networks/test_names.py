"""A name that somebody writes leads to the one that was meant."""

import pytest

from warmnet.networks.names import choose_one, did_you_mean, find_meant

NAMES = ["b0", "b7", "b8", "l2", "lite0", "lite4", "v2-b0", "v2-s", "v2-xl"]
NAMES += ["mobilenetv2-0.5", "mobilenetv2-1.0", "mobilenetv2-1.4", "resnet18", "resnet50", "resnet152"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_itself(name):
    assert find_meant(name, NAMES) == name


@pytest.mark.parametrize(
    "written, meant, owner",
    [
        ("tf_efficientnet_b0", "b0", "timm's"),
        ("efficientnet_b0", "b0", "timm's and torchvision's"),
        ("efficientnet-b0", "b0", "the official code's and lukemelas'"),
        ("EfficientNetB0", "b0", "Keras'"),
        ("tf_efficientnet_lite0", "lite0", "timm's"),
        ("tf_efficientnet_l2", "l2", "timm's"),
        ("efficientnetv2_s", "v2-s", "timm's"),
        ("tf_efficientnetv2_xl", "v2-xl", "timm's"),
        ("efficientnet_v2_s", "v2-s", "torchvision's"),
        ("EfficientNetV2S", "v2-s", "Keras'"),
        ("EfficientNetV2B0", "v2-b0", "Keras'"),
        ("mobilenet_v2", "mobilenetv2-1.0", "torchvision's"),
        ("MobileNetV2", "mobilenetv2-1.0", "Keras'"),
        ("mobilenetv2_050", "mobilenetv2-0.5", "timm's"),
        ("mobilenetv2_140", "mobilenetv2-1.4", "timm's"),
        ("ResNet50", "resnet50", "Keras'"),
    ],
)
def test_a_name_of_another_library_is_said_to_be_its(written, meant, owner):
    assert did_you_mean(written, NAMES) == f"It is {owner} name for {meant!r}."


@pytest.mark.parametrize("written, meant", [("B0", "b0"), ("resnet-50", "resnet50"), ("V2_S", "v2-s"), ("Lite-0", "lite0")])
def test_another_spelling_is_mended(written, meant):
    assert did_you_mean(written, NAMES) == f"It is written {meant!r}."


@pytest.mark.parametrize("written, near", [("b9", "b8"), ("lite5", "lite4"), ("resnet20", "resnet50"), ("v2-ss", "v2-s")])
def test_a_slip_is_answered_with_the_nearest_name(written, near):
    assert did_you_mean(written, NAMES) == f"Did you mean {near!r}?"


def test_a_name_like_none_is_answered_with_all_and_another_spelling_with_the_name_alone():
    assert choose_one("vgg16", ["b0", "b1"]) == "Choose one of b0, b1"
    assert choose_one("B1", ["b0", "b1"]) == "It is written 'b1'"
