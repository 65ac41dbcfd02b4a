"""Each peer's own files load into warmnet, and each loads what warmnet writes: every bit of every tensor, the same logits.

Names, shapes and settings are compared for every variant of every family, and values for a variant of each kind.
"""

import re
import warnings

import alive
import pytest
import torch
from alive import error

import warmnet
from warmnet.data.preprocessing import Preprocessing
from warmnet.networks.families import NAMES
from warmnet.networks.names import find_meant
from warmnet.weights import LINEAGES, WeightsError, WeightsWarning
from warmnet.weights.lineage_choice import Choice, choose
from warmnet.weights.lineages import timm as timms
from warmnet.weights.live_networks import check_computes
from warmnet.weights.reading import Checkpoint

from .libraries import (
    Keras,
    efficientnet_lite_pytorch,
    efficientnet_pytorch,
    keras,
    logits,
    tensors,
    timm,
    torchvision,
)

SIZE = 96, 75
ALL = [lineage for name, lineages in LINEAGES.items() for lineage in lineages if name != "warmnet"]
PAIRS = [(lineage, variant) for lineage in ALL for variant in lineage.architectures]
OF_TORCH = [(lineage, variant) for lineage, variant in PAIRS if lineage.name != "keras"]
WITH_VALUES = (
    "b0", "b1", "b5", "lite0", "lite3", "v2-b0", "v2-b3", "v2-s", "mobilenetv2-0.5", "mobilenetv2-1.0", "resnet18", "resnet50",
)  # fmt: skip
ENDINGS = {"keras": (".weights.h5", ".h5")}  # of all others:
TORCH_ENDINGS = ".pth", ".safetensors"


class Application(Keras):
    """A Keras application with its own first layers, as a torch module: pixels (B, 3, H, W) -> (B, 1000)."""

    def __init__(self, architecture):
        torch.nn.Module.__init__(self)
        self.dtype = "float32"
        keras.config.set_floatx(self.dtype)
        keras.config.set_dtype_policy(self.dtype)
        build = getattr(keras.applications, architecture)
        self.model = build(weights=None, input_shape=(*SIZE, 3), classifier_activation=None)


def built(lineage, variant):
    """The peer's network as it is made there; lukemelas' for images of `SIZE`."""
    architecture = lineage.architectures[variant]
    if lineage.name == "keras":
        return Application(architecture)
    if lineage.name == "torchvision":
        return getattr(torchvision.models, architecture)()
    if lineage.name == "lukemelas":
        package = efficientnet_lite_pytorch if variant.startswith("lite") else efficientnet_pytorch
        return package.EfficientNet.from_name(architecture, image_size=SIZE)
    return timm.create_model(architecture)


def on_meta(lineage, variant):
    with torch.device("meta"):
        return built(lineage, variant)


def label(value):
    return value if isinstance(value, str) else f"{value.name}-{value.family.__name__}"


def quietly(function, *args, **settings):
    """What a function returns, whatever it has to say of preprocessing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightsWarning)
        return function(*args, **settings)


def save(network, path):
    """The peer's file as its users write it."""
    if isinstance(network, Keras):
        network.model.save_weights(path)
    else:
        torch.save(network.state_dict(), path)


def by_its_words(how):
    """The peer's network with the weights of a file, by the Python that `convert` says."""
    import safetensors.torch

    modules = {
        "efficientnet_lite_pytorch": efficientnet_lite_pytorch, "efficientnet_pytorch": efficientnet_pytorch, "keras": keras,
        "timm": timm, "torchvision": torchvision,
    }  # fmt: skip
    how = how.replace("from_name(", f"from_name(image_size={SIZE}, model_name=")
    builder, _, loading = how.partition(".load_state_dict(")
    if how.startswith("keras"):
        network = Application.__new__(Application)
        torch.nn.Module.__init__(network)
        network.dtype = "float32"
        network.model = eval(how.replace(")", f", input_shape={(*SIZE, 3)}, classifier_activation=None)"), modules)
        return network
    network = eval(builder, modules)
    if loading:
        network.load_state_dict(eval(loading[:-1], {"safetensors": safetensors, "torch": torch}), strict=True)
    return network


def same_bits(network, other):
    return all(torch.equal(a, b) for a, b in zip(tensors(network), tensors(other), strict=True))


@pytest.mark.parametrize("lineage, variant", [pair for pair in PAIRS if pair[1] in WITH_VALUES], ids=label)
def test_files_load_both_ways_with_every_bit_and_the_same_logits(lineage, variant, tmp_path, record_property):
    ours = alive.fill(lineage.family(variant, **lineage.options(variant)))
    theirs = built(lineage, variant)
    for copy, tensor in zip(tensors(theirs), tensors(ours), strict=True):
        copy.copy_(tensor)
    endings = ENDINGS.get(lineage.name, TORCH_ENDINGS)
    path = tmp_path / (lineage.architectures[variant] + endings[0])
    save(theirs, path)
    loaded = quietly(warmnet.Classifier.from_pretrained, path)
    assert type(loaded) is lineage.family and loaded.variant_name == variant and loaded.num_classes == 1000
    assert same_bits(loaded, ours)

    scale = loaded.preprocessing or Preprocessing(224)
    pixels = (alive.images(*SIZE).clamp(-2, 2) * 64 + 128).round().clamp(0, 255).float()
    normal = (pixels / 255 - torch.tensor(scale.mean)[:, None, None]) / torch.tensor(scale.std)[:, None, None]
    x = pixels if lineage.name == "keras" else normal  # its first layers are the preprocessing
    expected = alive.logits(loaded, normal)
    errors = {"from the peer": error(expected, logits(theirs, x))}
    for ending in endings:
        how = quietly(warmnet.convert, loaded, tmp_path / f"out{ending}", to=lineage.name.removesuffix("_tf"))
        again = by_its_words(how)
        assert same_bits(again, theirs)
        errors[f"to the peer, {ending}"] = error(logits(again, x), expected)
    found = {"from the peer": errors.pop("from the peer"), "to the peer": max(errors.values())}
    record_property("errors", ((variant, lineage.name), "float32", found))
    assert max(found.values()) < 1e-5


@pytest.mark.parametrize("lineage, variant", OF_TORCH, ids=label)
def test_every_variant_has_the_names_and_shapes_of_the_peers_and_computes_as_it_shows(lineage, variant):
    network, ours = on_meta(lineage, variant), lineage.family(variant, device="meta").state_dict()
    names = lineage.names(ours)
    found = {name: lineage.from_warmnet(ours[path], path).shape for path, name in names.items()}
    assert found == {name: tensor.shape for name, tensor in network.state_dict().items()}
    check_computes(network, Choice(lineage, variant, {}, (0, 0)), "it")
    norms = {(m.eps, round(m.momentum, 6)) for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    settings = lineage.family(variant, device="meta", **lineage.options(variant)).settings
    assert norms == {(settings["eps"], settings["momentum"])}


@pytest.mark.parametrize("variant", ["b0", "b3", "b7", "v2-b1", "v2-b2", "v2-b3", "v2-m"])
def test_keras_has_the_same_layers_in_the_same_order_and_batch_norm_set_so(variant):
    lineage = next(each for each in LINEAGES["keras"] if variant in each.architectures)
    model, ours = Application(lineage.architectures[variant]).model, lineage.family(variant, device="meta").state_dict()
    found = [(name, tuple(lineage.from_warmnet(ours[path], path).shape)) for path, name in lineage.names(ours).items()]
    weights = [(layer, weight) for layer in model.layers for weight in layer.weights]
    expected = [(weight.path, tuple(weight.shape)) for layer, weight in weights if not layer.name.startswith("normalization")]
    assert found == expected
    norms = {(m.epsilon, round(1 - m.momentum, 6)) for m in model.layers if isinstance(m, keras.layers.BatchNormalization)}
    assert norms == {(lineage.options(variant)["eps"], lineage.options(variant)["momentum"])}


@pytest.mark.parametrize(
    "architecture", ["tf_efficientnet_b0", "efficientnet_b0", "tf_efficientnet_lite0", "efficientnet_lite0"]
)
def test_timms_bare_tensors_are_asked_for_their_lineage_and_its_live_network_is_not(architecture, tmp_path):
    network = timm.create_model(architecture)
    torch.save(network.state_dict(), tmp_path / "best.pth")
    with pytest.raises(WeightsError, match="nothing says which it is of. Pass lineage: 'timm_tf' for tf_.*; or 'timm' for"):
        warmnet.Classifier.from_pretrained(tmp_path / "best.pth")
    x = torch.randn(2, 3, *SIZE)
    assert error(logits(quietly(warmnet.Classifier.from_pretrained, network), x), logits(network, x)) < 1e-5


ALIKE = re.compile(r"(tf_)?(efficientnet|mobilenetv2|mnasnet|resnet)")


def test_timms_other_architectures_with_the_same_tensors_are_those_of_the_table():
    own = {
        architecture for lineage in [*LINEAGES["timm"], *LINEAGES["timm_tf"]] for architecture in lineage.architectures.values()
    }
    found = set()
    for architecture in {*filter(ALIKE.match, timm.list_models())} - own:
        with torch.device("meta"):
            state = timm.create_model(architecture).state_dict()
        try:
            choice = choose(Checkpoint(state, "it"), by_names_alone=True)
        except WeightsError:
            continue
        expected = choice.lineage.family(choice.variant, device="meta").state_dict()
        names = choice.lineage.names(expected)
        fits = all(name in state and state[name].shape == expected[path].shape for path, name in names.items())
        if fits and choice.apart == (0, 0):
            found.add(architecture)
    assert found == {*timms.OTHERS}


@pytest.mark.parametrize("lineage, variant", [pair for pair in PAIRS if pair[0].name == "timm_tf"], ids=label)
def test_timm_s_preprocessing_is_told_from_the_name(lineage, variant):
    names = timm.list_pretrained(f"{lineage.architectures[variant]}.*")
    assert names
    for name in names:
        config = timm.models.get_pretrained_cfg(name)
        size = config.test_input_size or config.input_size
        expected = size[-1], config.test_crop_pct or config.crop_pct, config.interpolation, config.mean, config.std
        for called in {name, config.url.rpartition("/")[2].removesuffix(".pth") or name}:
            found = lineage.preprocessing(variant, called)
            crop = pytest.approx(found.crop, abs=0.002)
            assert (found.resolution, crop, found.interpolation, found.mean, found.std) == expected, called
            assert (found.crop_mode == "squash") == (config.crop_mode == "squash"), called


@pytest.mark.parametrize("lineage, variant", [pair for pair in PAIRS if pair[0].name == "torchvision"], ids=label)
def test_torchvision_s_preprocessing_is_told_from_the_name(lineage, variant):
    for weights in torchvision.models.get_model_weights(lineage.architectures[variant]):
        then = weights.transforms()
        side, (resize,) = then.crop_size[0], then.resize_size
        expected = Preprocessing(side, side / resize, then.interpolation.value, tuple(then.mean), tuple(then.std), "center")
        assert lineage.preprocessing(variant, weights.url.rpartition("/")[2]) == expected, weights


def test_lukemelas_preprocessing_is_told_from_the_name():
    from efficientnet_pytorch.utils import url_map, url_map_advprop

    lineage = LINEAGES["lukemelas"][0]
    for urls, half in (url_map, False), (url_map_advprop, True):
        for name, url in urls.items():
            variant = name.removeprefix("efficientnet-")
            found = lineage.preprocessing(variant, url.rpartition("/")[2])
            assert (found.mean == (0.5, 0.5, 0.5)) == half and found.resolution == warmnet.VARIANTS[variant].resolution


def test_the_variants_are_those_that_there_are():
    from efficientnet_pytorch.model import VALID_MODELS

    models = timm.list_models()
    there = {
        "timm_tf": [name for name in models if name.startswith("tf_")],
        "timm": [name for name in models if not name.startswith("tf_")],
        "torchvision": torchvision.models.list_models(module=torchvision.models),
        "lukemelas": [*VALID_MODELS, *(f"efficientnet-lite{n}" for n in range(5))],
        "keras": [name for name in dir(keras.applications) if name.startswith("EfficientNet")],
    }
    for library, names in there.items():
        meant = {find_meant(name, NAMES) for name in names} - {None}
        assert meant == {variant for lineage in LINEAGES[library] for variant in lineage.architectures}, library
