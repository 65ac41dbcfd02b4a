"""Each peer's own files load into warmnet, and each loads what warmnet writes: every bit of every tensor, the same logits."""

import alive
import pytest
import torch
from alive import error
from safetensors.torch import load_file

import warmnet
from warmnet.data.preprocessing import Preprocessing
from warmnet.weights import LINEAGES

from .libraries import Keras, efficientnet_pytorch, from_lukemelas, from_torchvision, keras, logits, tensors, timm, torchvision

SIZE = 96, 75
BEYOND = {"timm_tf": ["b8", "l2"], "timm": ["b8"], "lukemelas": ["b8", "l2"]}
CASES = [(lineage, v) for lineage in LINEAGES if lineage != "warmnet" for v in alive.VARIANTS + BEYOND.get(lineage, [])]
load = warmnet.WarmEfficientNet.from_pretrained


def built(lineage, variant):
    """The peer's network as it is made there."""
    if lineage == "keras":
        return Keras(variant, SIZE, torch.float32)
    if lineage == "lukemelas":
        return from_lukemelas(variant, SIZE, torch.float32)
    if lineage == "torchvision":
        return from_torchvision(variant, SIZE, torch.float32)
    return timm.create_model(("tf_" if lineage == "timm_tf" else "") + f"efficientnet_{variant}")


def save(network, path):
    """The peer's file as its users write it."""
    if isinstance(network, Keras):
        network.model.save_weights(path)
    else:
        torch.save(network.state_dict(), path)


def read(path):
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path)


@pytest.mark.parametrize("lineage, variant", CASES)
def test_files_load_both_ways_with_every_bit_and_the_same_logits(lineage, variant, tmp_path, record_property):
    origin = LINEAGES[lineage][0]
    ours = alive.fill(warmnet.WarmEfficientNet(variant, **origin.options(variant)))
    theirs, x = built(lineage, variant), alive.images(*SIZE).float()
    for copy, tensor in zip(tensors(theirs), tensors(ours), strict=True):
        copy.copy_(tensor)
    ending = ".weights.h5" if lineage == "keras" else ".pth"
    path = tmp_path / (("tf_" if lineage == "timm_tf" else "") + f"efficientnet_{variant}{ending}")
    save(theirs, path)
    loaded = load(path)
    assert loaded.variant == warmnet.VARIANTS[variant] and loaded.num_classes == 1000
    assert all(torch.equal(a, b) for a, b in zip(tensors(loaded), tensors(ours), strict=True))
    expected = logits(theirs, x)
    errors = {"from the peer": error(logits(loaded, x), expected)}

    out = tmp_path / ("out.h5" if lineage == "keras" else "out.safetensors")
    how = warmnet.convert(loaded, out, to=lineage.removesuffix("_tf"))
    again = built(lineage, variant)
    if lineage == "keras":
        again.model.load_weights(out)
        pixels = torch.randint(0, 256, (2, *SIZE, 3)).float()
        whole = eval(how.replace(")", f", input_shape={(*SIZE, 3)}, classifier_activation=None)"), {"keras": keras})
        scale = loaded.preprocessing
        normal = (pixels / 255 - torch.tensor(scale.mean)) / torch.tensor(scale.std)
        found = whole(pixels, training=False).detach()
        assert error(found, logits(loaded, normal.permute(0, 3, 1, 2))) < 1e-4, "its first layers are the preprocessing"
    else:
        again.load_state_dict(read(out), strict=True)
        was, now = torch.load(path), read(out)
        assert was.keys() == now.keys() and all(torch.equal(was[name], now[name]) for name in was)
    assert all(torch.equal(a, b) for a, b in zip(tensors(again), tensors(theirs), strict=True))
    errors["to the peer"] = error(logits(again, x), logits(loaded, x))
    record_property("errors", ((variant, lineage), "float32", errors))
    assert max(errors.values()) < 1e-5


@pytest.mark.parametrize("lineage", ["timm_tf", "timm", "torchvision", "lukemelas"])
def test_what_convert_says_loads_the_file(lineage, tmp_path):
    model = warmnet.WarmEfficientNet("b0", 7, **LINEAGES[lineage][0].options("b0"), seed=0).eval()
    how = warmnet.convert(model, tmp_path / "x.safetensors", to=lineage.removesuffix("_tf"))
    builder, _, loading = how.partition(".load_state_dict(")
    import safetensors.torch

    modules = {"timm": timm, "torchvision": torchvision, "efficientnet_pytorch": efficientnet_pytorch}
    network = eval(builder, modules)
    if loading:
        network.load_state_dict(eval(loading[:-1], {"safetensors": safetensors}), strict=True)
    x = torch.randn(2, 3, 64, 64)
    assert error(logits(network, x), logits(model, x)) < 1e-5


@pytest.mark.parametrize("variant", [*warmnet.VARIANTS])
def test_timm_s_preprocessing_is_told_from_the_name(variant):
    lineage, seen = LINEAGES["timm_tf"], 0
    for name in timm.list_pretrained(f"tf_efficientnet_{variant}.*"):
        config = timm.models.get_pretrained_cfg(name)
        expected = config.input_size[-1], config.crop_pct, config.interpolation, config.mean, config.std
        for called in {name, config.url.rpartition("/")[2].removesuffix(".pth") or name}:
            seen += 1
            found = lineage.preprocessing(variant, called)
            assert (
                found.resolution,
                pytest.approx(found.crop, abs=0.002),
                found.interpolation,
                found.mean,
                found.std,
            ) == expected
    assert seen > 1


def test_torchvision_s_preprocessing_is_told_from_the_name():
    for variant in LINEAGES["torchvision"][0].variants:
        for weights in getattr(torchvision.models, f"EfficientNet_{variant.upper()}_Weights"):
            then = weights.transforms()
            found = LINEAGES["torchvision"][0].preprocessing(variant, weights.url.rpartition("/")[2])
            side, (resize,) = then.crop_size[0], then.resize_size
            expected = Preprocessing(side, side / resize, then.interpolation.value, tuple(then.mean), tuple(then.std), "center")
            assert found == expected, weights


def test_lukemelas_preprocessing_is_told_from_the_name():
    from efficientnet_pytorch.utils import url_map, url_map_advprop

    for urls, half in (url_map, False), (url_map_advprop, True):
        for name, url in urls.items():
            variant = name.removeprefix("efficientnet-")
            found = LINEAGES["lukemelas"][0].preprocessing(variant, url.rpartition("/")[2])
            assert (found.mean == (0.5, 0.5, 0.5)) == half and found.resolution == warmnet.VARIANTS[variant].resolution


@pytest.mark.parametrize("variant", ["b0", "b5"])
@pytest.mark.parametrize("lineage", ["timm_tf", "timm", "torchvision", "lukemelas"])
def test_batch_norm_is_set_as_the_peer_sets_it(lineage, variant):
    options = LINEAGES[lineage][0].options(variant)
    network = built(lineage, variant)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(m.eps, round(m.momentum, 6)) for m in norms} == {(options["eps"], options["momentum"])}


def test_the_variants_are_those_that_there_are():
    assert LINEAGES["timm_tf"][0].variants == tuple(v for v in warmnet.VARIANTS if timm.is_model(f"tf_efficientnet_{v}"))
    assert LINEAGES["timm"][0].variants == tuple(v for v in warmnet.VARIANTS if timm.is_model(f"efficientnet_{v}"))
    for lineage, place, name in [
        ("torchvision", torchvision.models, "efficientnet_{}"), ("keras", keras.applications, "EfficientNet{}"),
    ]:  # fmt: skip
        named = tuple(v for v in warmnet.VARIANTS if hasattr(place, name.format(v.upper() if lineage == "keras" else v)))
        assert LINEAGES[lineage][0].variants == named
    from efficientnet_pytorch.model import VALID_MODELS

    assert LINEAGES["lukemelas"][0].variants == tuple(v for v in warmnet.VARIANTS if f"efficientnet-{v}" in VALID_MODELS)
