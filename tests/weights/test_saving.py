import json
import os
import resource
import stat

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import warmnet
from warmnet import weights
from warmnet.data.preprocessing import Preprocessing
from warmnet.errors import InputError
from warmnet.weights import WeightsError

load = warmnet.WarmEfficientNet.from_pretrained
SMALL = {"stages": warmnet.STAGES[:2], "stem": 8, "head": 16}


def small(num_classes=3, **options):
    return warmnet.WarmEfficientNet(warmnet.Variant(1.0, 0.5, 64, 0.2), num_classes, seed=0, **{**SMALL, **options}).eval()


def named():
    model = small()
    model.classes, model.preprocessing = ("cat", "dog", "cow"), Preprocessing(64)
    return model


@pytest.fixture
def file(tmp_path):
    weights.save(named(), tmp_path / "weights.safetensors", accuracy=0.5)
    return tmp_path / "weights.safetensors"


OPTIONS = [
    {},
    {"act": F.relu},
    {"act": F.gelu},
    {"act": torch.tanh},
    {"act": "hardswish"},
    {"act": (F.leaky_relu, {"negative_slope": 0.2})},
    {"act": None},
    {"block": warmnet.mb_block, "se_ratio": 0.0, "drop_connect": 0.5, "dropout": 0.1},
    {"padding": "symmetric", "eps": 1e-5, "momentum": 0.1, "stem_stride": 1, "output_stride": 2},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_what_is_loaded_is_what_was_saved(tmp_path, options):
    model, x = small(**options), torch.randn(2, 3, 32, 32)
    weights.save(model, tmp_path / "weights.safetensors")
    loaded = load(tmp_path)
    assert not loaded.training
    assert loaded.variant == model.variant and loaded.options == model.options
    assert torch.equal(loaded(x), model(x))
    assert all(p.requires_grad for p in loaded.parameters())
    for was, now in zip(model.state_dict().items(), loaded.state_dict().items()):
        assert was[0] == now[0] and torch.equal(was[1], now[1])


def test_classes_preprocessing_and_metadata_travel_with_the_weights(file):
    model = load(file)
    assert (model.classes, model.preprocessing, model.metadata) == (("cat", "dog", "cow"), Preprocessing(64), {"accuracy": 0.5})


@pytest.mark.parametrize("variant", ["b0", "b3"])
@pytest.mark.parametrize("num_classes, in_channels", [(0, 1), (7, 4)])
def test_variants_classes_and_channels_travel_with_the_weights(tmp_path, variant, num_classes, in_channels):
    model = warmnet.WarmEfficientNet(variant, num_classes, in_channels, seed=0).eval()
    weights.save(model, tmp_path / "w")
    x = torch.randn(1, in_channels, 32, 32)
    assert torch.equal(load(tmp_path / "w")(x), model(x))


def test_loading_draws_no_random_numbers_and_leaves_nothing_unset(file):
    state = torch.get_rng_state()
    model = load(file)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(tensor.is_meta for tensor in model.state_dict().values())


def test_a_loaded_model_trains(file):
    model = load(file).train()
    before = model.stem.conv.weight.clone()
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    assert not torch.equal(model.stem.conv.weight, before)
    assert torch.equal(load(file).stem.conv.weight, before), "the file is as it was"


def test_a_file_is_the_same_bytes_for_the_same_model(tmp_path, file):
    weights.save(named().to(memory_format=torch.channels_last), tmp_path / "again", accuracy=0.5)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_a_file_is_as_readable_as_any_other(file):
    (file.parent / "other").touch()
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((file.parent / "other").stat().st_mode)


def mine(x):
    return F.silu(x) * 2


@pytest.mark.parametrize("act", [mine, (mine, {}), torch.load, torch.nn.SiLU()])
def test_a_function_that_no_file_can_hold_is_asked_for_again(tmp_path, act):
    model = small(act=(torch.relu if act is torch.load else act))
    model.options["act"] = act
    weights.save(model, tmp_path / "w")
    with pytest.raises(WeightsError, match=r"act=.*Pass act=\.\.\."):
        load(tmp_path / "w")
    if act is mine:
        x = torch.randn(1, 3, 32, 32)
        assert torch.equal(load(tmp_path / "w", act=mine)(x), model(x))


@pytest.mark.parametrize("name", ["torch:load", "os:system", "torch.nn.functional:_verify_batch_size", "torch:Tensor", ":"])
def test_a_file_cannot_name_functions_at_will(file, name):
    rewrite(file, lambda about: about["options"].update(act=name))
    with pytest.raises(WeightsError, match="damaged"):
        load(file)


def rewrite(file, change):
    """The file with `change` made to what it says of its model."""
    with safe_open(file, "pt") as content:
        about = json.loads(content.metadata()["warmnet"])
    change(about)
    save_file(load_file(file), file, {"warmnet": json.dumps(about)})


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda about: about.update(version=99), "newer"),
        (lambda about: about.pop("variant"), "damaged"),
        (lambda about: about["variant"].pop("width"), "damaged"),
        (lambda about: about["preprocessing"].update(crop=7), "damaged"),
        (lambda about: about.update(num_classes=4), "3 names are not those of 4 classes"),
        (lambda about: about.update(num_classes=4, classes=[]), r"classifier\.weight \(4, 16\)"),
        (lambda about: about.update(num_classes=-1, classes=[]), "damaged.*-1 classes"),
        (lambda about: about.update(num_classes="3"), "damaged.*num_classes is '3'"),
        (lambda about: about.update(num_classes=2**70, classes=[]), "damaged"),
        (lambda about: about.update(in_channels=0), "damaged.*0 channels"),
        (lambda about: about.update(in_channels=2**62), "damaged"),
        (lambda about: about.update(classes=[1, 2, 3]), "damaged.*is no text"),
        (lambda about: about.update(options=3), "damaged.*options is 3"),
        (lambda about: about.update(metadata={"network": 3}), "damaged.*is no text"),
        (lambda about: about.update(version="3"), "damaged"),
        (lambda about: about["variant"].update(width=1e300), "damaged"),
        (lambda about: about["variant"].update(width="wide"), "damaged"),
        (lambda about: about["variant"].update(depth=float("inf")), "damaged"),
        (lambda about: about["preprocessing"].update(mean=["a", "b", "c"]), "damaged"),
        (lambda about: about["preprocessing"].update(std=[0.5]), "damaged.*no preprocessing"),
        (lambda about: about["preprocessing"].update(resolution=0.5), "damaged"),
        (
            lambda about: about["options"].update(head=24),
            r"- head\.conv\.weight \(24, 24, 1, 1\)\n  \+ head\.conv\.weight \(16, 24, 1, 1\)",
        ),
    ],
)
def test_a_description_that_does_not_fit_says_so(file, change, message):
    rewrite(file, change)
    with pytest.raises(WeightsError, match=message):
        load(file)


def test_a_file_is_what_it_is_whatever_the_length_of_its_header(tmp_path):
    """The first byte of the length is that of a pickle, or the first two those of a zip archive, now and then."""
    model, seen = small(), set()
    for n in range(0, 256, 8):
        weights.save(model, tmp_path / "w", padding="x" * n)
        seen.add((tmp_path / "w").read_bytes()[0])
        assert load(tmp_path / "w").metadata == {"padding": "x" * n}
    assert 0x80 in seen


def test_a_file_cut_off_anywhere_is_refused(tmp_path, file):
    whole = file.read_bytes()
    for length in 0, 4, 8, 100, 2000, len(whole) // 2, len(whole) - 1:
        (tmp_path / "part").write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="part"):
            load(tmp_path / "part")


def test_what_holds_no_weights_is_refused_by_name(tmp_path):
    save_file({"weight": torch.ones(1)}, tmp_path / "other.safetensors")
    (tmp_path / "text").write_text("hello")
    for path, message in [
        ("missing", "does not exist"), ("", "not a run folder"), ("text", "is text, which begins with 'hello'"),
        ("other.safetensors", r"none of its tensors is conv_stem\.weight \(timm_tf, timm\).* It begins with weight \(1,\)"),
    ]:  # fmt: skip
        with pytest.raises(WeightsError, match=message):
            load(tmp_path / path)


def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_else(file):
    before, limits = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError):
            weights.save(small(), file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_only_a_whole_efficientnet_can_be_saved(tmp_path):
    with pytest.raises(TypeError, match="Linear"):
        weights.save(torch.nn.Linear(1, 1), tmp_path / "w")
    model = small()
    for model.classes in ("cat",), ("cat", "cat", "dog"):
        with pytest.raises(ValueError, match="3 different names"):
            weights.save(model, tmp_path / "w")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["w", "v1.0", "pets-0.95", "W.SAFETENSORS"])
def test_a_file_may_have_any_name_that_says_nothing_else(tmp_path, name):
    model = small()
    weights.save(model, tmp_path / name)
    assert torch.equal(load(tmp_path / name).classifier.weight, model.classifier.weight)


def test_a_file_is_not_called_as_one_of_another_format(tmp_path):
    with pytest.raises(InputError, match="w.onnx does not end in .safetensors, the format.*Call it .*w.safetensors"):
        weights.save(small(), tmp_path / "w.onnx")
    for name, to in ("w.pth", "warmnet"), ("w.SAFETENSORS", "timm"), ("w.H5", "keras"):
        with pytest.raises(WeightsError, match=f"{name} must end in"):
            warmnet.convert(small(), tmp_path / name, to=to)
    assert not any(tmp_path.iterdir())
