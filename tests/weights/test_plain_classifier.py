"""Weights of a classifier that is no EfficientNet are saved, loaded and transplanted as an EfficientNet's are."""

import json

import pytest
import torch
import torch.nn.functional as F
from plain_classifier import SIZES, Plain
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import warmnet
from warmnet import Classifier, WarmEfficientNet
from warmnet.data.preprocessing import Preprocessing
from warmnet.weights import WeightsError, WeightsWarning

TINY = warmnet.Variant(width=0.2, depth=0.2, resolution=32, dropout=0.2)
X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def plain(tmp_path):
    """A network with classes and preprocessing, and the file that it is saved in."""
    model = Plain("large", 3, act=F.gelu, seed=0).eval()
    model.classes, model.preprocessing = ("cat", "dog", "cow"), Preprocessing(32)
    warmnet.save(model, tmp_path / "plain.safetensors", accuracy=0.5)
    return model, tmp_path / "plain.safetensors"


class Edited(Plain):
    pass


def test_what_is_loaded_is_what_was_saved(plain):
    model, path = plain
    loaded = Plain.from_pretrained(path)
    assert type(loaded) is Plain and loaded.variant == SIZES["large"] and loaded.options == {"act": F.gelu}
    assert torch.equal(loaded(X), model(X)) and not loaded.training
    assert (loaded.classes, loaded.preprocessing) == (model.classes, model.preprocessing)
    assert loaded.metadata == {"accuracy": 0.5}


def test_a_file_says_the_class_that_it_is_of(plain):
    with safe_open(plain[1], "pt") as content:
        description = json.loads(content.metadata()["warmnet"])
    assert (description["network"], description["bases"]) == ("Plain", [])
    assert description["variant"] == {"width": 16, "depth": 3}


def test_a_new_classifier_and_other_channels_are_made_for_it_too(plain):
    model, path = plain
    with pytest.warns(WeightsWarning, match=r"(?s)3 channels, summed and shared out.*- classifier\.weight \(5, 16\)"):
        loaded = Plain.from_pretrained(path, num_classes=5, in_channels=1)
    assert loaded.num_classes == 5 and loaded.preprocessing is None
    assert torch.equal(loaded.conv_1.weight, model.conv_1.weight)


def test_a_subclass_loads_it_and_the_class_that_it_was_edited_from_does_so_with_a_word(plain, tmp_path):
    model, path = plain
    assert type(Edited.from_pretrained(path)) is Edited
    warmnet.save(Edited("small", 2, seed=0), tmp_path / "edited")
    with pytest.warns(WeightsWarning, match="is of Edited, and may compute otherwise here.*Edited.from_pretrained"):
        assert type(Plain.from_pretrained(tmp_path / "edited")) is Plain


def test_a_class_that_it_is_not_of_refuses_it_and_names_the_right_one(plain, tmp_path):
    warmnet.save(WarmEfficientNet(TINY, 2, seed=0), tmp_path / "b")
    with pytest.raises(WeightsError, match=r"is of Plain, not of WarmEfficientNet\. .* Plain\.from_pretrained"):
        WarmEfficientNet.from_pretrained(plain[1])
    with pytest.raises(WeightsError, match=r"is of WarmEfficientNet, not of Plain\. .* WarmEfficientNet\.from_pretrained"):
        Plain.from_pretrained(tmp_path / "b")


def test_classifier_itself_builds_what_is_of_warmnet_and_says_whose_the_rest_is(plain, tmp_path):
    warmnet.save(WarmEfficientNet(TINY, 2, seed=0), tmp_path / "b")
    assert type(Classifier.from_pretrained(tmp_path / "b")) is WarmEfficientNet
    with pytest.raises(WeightsError, match=r"is of Plain, .* with that class: Plain\.from_pretrained"):
        Classifier.from_pretrained(plain[1])
    b0 = WarmEfficientNet("b0", 2, seed=0)
    b0.preprocessing = Preprocessing(224)
    warmnet.convert(b0, tmp_path / "tf_efficientnet_b0.pth", to="timm")
    assert Classifier.from_pretrained(tmp_path / "tf_efficientnet_b0.pth").variant == warmnet.VARIANTS["b0"]


def test_a_state_dict_alone_does_not_say_the_variant_and_goes_into_a_network_that_is_there(plain):
    model, _ = plain
    with pytest.raises(WeightsError, match=r"does not say which Plain it is of.*warmnet\.load\(model, source\)"):
        Plain.from_pretrained(model.state_dict())
    other = Plain("large", 3, act=F.gelu, seed=1).eval()
    assert warmnet.load(other, model.state_dict()).share == 1 and torch.equal(other(X), model(X))
    with pytest.raises(WeightsError, match=r"- stem\.conv\.weight \(8, 3, 3, 3\)\n  \+ stem\.conv\.weight \(16, 3, 3, 3\)"):
        warmnet.load(Plain("small", 3), model.state_dict())


def test_what_fits_is_transplanted(plain):
    model, path = plain
    report = warmnet.transplant(path, Plain((16, 4), 3, seed=1))
    assert {row.path for row in report["new"]} == {"conv_4.weight", "conv_4.bias"} and not report["dropped"]


def test_a_function_that_no_file_can_hold_is_asked_for_again(tmp_path):
    def mine(x):
        return x

    warmnet.save(Plain(act=mine, seed=0), tmp_path / "w")
    with pytest.raises(WeightsError, match=r"act=.*Pass act=\.\.\."):
        Plain.from_pretrained(tmp_path / "w")
    assert Plain.from_pretrained(tmp_path / "w", act=mine).options == {"act": mine}


def test_files_of_version_2_are_still_read(tmp_path):
    """As warmnet wrote them when all were of EfficientNets."""
    model = WarmEfficientNet(TINY, 2, act=torch.tanh, stages=warmnet.STAGES[:2], seed=0).eval()
    old = {
        "version": 2, "variant": TINY._asdict(), "num_classes": 2, "in_channels": 3,
        "options": {"act": "torch:tanh", "stages": [list(row) for row in warmnet.STAGES[:2]]}, "ask_again": {},
        "classes": ["cat", "dog"], "preprocessing": Preprocessing(32).to_dict(), "facts": {"accuracy": 0.5},
    }  # fmt: skip
    save_file(model.state_dict(), tmp_path / "old", {"warmnet": json.dumps(old)})
    loaded = WarmEfficientNet.from_pretrained(tmp_path / "old")
    assert torch.equal(loaded(X), model(X)) and loaded.options == model.options and loaded.variant == TINY
    assert (loaded.classes, loaded.preprocessing, loaded.metadata) == (("cat", "dog"), Preprocessing(32), {"accuracy": 0.5})
    warmnet.save(loaded, tmp_path / "new")
    assert load_file(tmp_path / "new").keys() == load_file(tmp_path / "old").keys()


def test_a_file_without_the_variant_is_refused(plain):
    tensors = load_file(plain[1])
    with safe_open(plain[1], "pt") as content:
        description = json.loads(content.metadata()["warmnet"])
    del description["variant"]
    save_file(tensors, plain[1], {"warmnet": json.dumps(description)})
    with pytest.raises(WeightsError, match="damaged"):
        Plain.from_pretrained(plain[1])
