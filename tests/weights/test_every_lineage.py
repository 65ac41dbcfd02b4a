"""Every family in every lineage: what is written is read as what it was, and what tensors cannot tell is never guessed."""

import warnings
from functools import cache

import alive
import pytest
import torch

import warmnet
from warmnet.networks.families import FAMILIES, NAMES
from warmnet.weights import LINEAGES, WeightsError, WeightsWarning
from warmnet.weights.lineage_choice import choose
from warmnet.weights.reading import Checkpoint


@cache
def shapes_of(family, variant):
    """Every tensor of a variant, on 'meta', by its path in forward order."""
    return family(variant, device="meta").state_dict()


ALL = [lineage for lineages in LINEAGES.values() for lineage in lineages]
KINDS = "b0", "lite0", "v2-b0", "mobilenetv2-1.0", "resnet18"  # a variant of each kind of names
OTHERS = "torchvision", "lukemelas", "keras"
PAIRS = [(lineage, variant) for lineage in ALL for variant in lineage.architectures]
SLOW = [pair if pair[1] in KINDS else pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS]


def label(value):
    return value if isinstance(value, str) else value.name


def loaded(source, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightsWarning)
        return warmnet.Classifier.from_pretrained(source, **settings)


def bare(lineage, variant):
    """The tensors of a variant as the library names them, without memory."""
    expected = shapes_of(lineage.family, variant)
    names = lineage.names(expected)
    shapes = {name: lineage.from_warmnet(expected[path], path).shape for path, name in names.items()}
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("lineage, variant", SLOW, ids=label)
def test_every_tensor_has_a_name_of_its_own_there(lineage, variant):
    expected = [path for path in shapes_of(lineage.family, variant) if lineage.suffix(*path.rpartition(".")[::2]) is not None]
    names = lineage.names(expected)
    assert [*names] == expected and len({*names.values()}) == len(names)
    assert names.items() <= lineage.names_of(variant).items(), "from the tables alone"


@pytest.mark.parametrize("lineage, variant", SLOW, ids=label)
def test_tensors_alone_are_taken_for_what_they_are_or_the_lineage_is_asked_for(lineage, variant):
    state = bare(lineage, variant)
    others = [
        other
        for other in ALL
        if other.family is lineage.family
        and variant in other.architectures
        and other.options(variant) != lineage.options(variant)
        and bare(other, variant).keys() == state.keys()
    ]
    assert {other.name for other in others} == ({"timm_tf", "timm"} - {lineage.name} if others else set())
    if others:
        with pytest.raises(WeightsError, match="tensors of several networks that compute otherwise"):
            choose(Checkpoint(state, "it"))
    found = choose(Checkpoint(state, "it"), lineage.name if others else None)
    assert found.computes == (lineage.family, variant, lineage.options(variant)) and found.apart == (0, 0)
    named = choose(Checkpoint(state, "it", lineage.architectures[variant]))
    assert others == [] or named.lineage is lineage, "by what the file is called"


@pytest.mark.parametrize("lineage", ALL, ids=lambda each: f"{each.name}-{each.family.__name__}")
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_what_is_written_is_read_as_what_it_was(lineage, suffix, tmp_path):
    variant = next(name for name in ("lite0", *lineage.architectures) if name in lineage.architectures)
    model = alive.fill(lineage.family(variant, 7, seed=0, **lineage.options(variant))).eval()
    library = lineage.name.removesuffix("_tf")
    suffix = {"keras": ".h5", "warmnet": ".safetensors"}.get(library, suffix)
    path = tmp_path / f"x{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightsWarning)
        assert lineage.loading_code(variant, 7, 3, str(path)) == warmnet.convert(model, path, to=library)
    again = loaded(path)
    assert type(again) is lineage.family and again.variant_name == variant
    x = alive.images(64, 75).float()
    assert torch.equal(alive.logits(again, x), alive.logits(model, x))


@pytest.mark.parametrize("variant", KINDS)
@pytest.mark.parametrize("library", ["timm", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_a_network_goes_to_a_library_that_computes_so_or_to_none(library, variant, tmp_path):
    """However it pads and normalizes: what comes back is what it was, or nothing was written."""
    ways = [{}, {"padding": "same", "eps": 1e-3}, {"padding": "symmetric", "eps": 1e-5}, {"padding": "symmetric", "eps": 1e-3}]
    path, x, written = tmp_path / ("x.h5" if library == "keras" else "x.safetensors"), alive.images(64, 75).float(), 0
    for way in ways:
        model = alive.fill(NAMES[variant](variant, 7, seed=0, **way)).eval()
        try:
            warmnet.convert(model, path, to=library)
        except WeightsError as error:
            assert "its outputs would be others there" in str(error) or "has no" in str(error)
            continue
        written += 1
        assert torch.equal(alive.logits(loaded(path), x), alive.logits(model, x))
    library_has = {variant for lineage in ALL if lineage.name.startswith(library) for variant in lineage.architectures}
    assert (written > 0) == (variant in library_has)


def test_another_activation_is_not_lost_on_the_way(tmp_path):
    model = warmnet.WarmEfficientNet("lite0", 7, act="silu", seed=0)
    for library in "timm", "lukemelas":
        with pytest.raises(WeightsError, match="computes with act=relu6 and this lite0 with .*act='silu'"):
            warmnet.convert(model, tmp_path / "x.safetensors", to=library)
    warmnet.save(model, tmp_path / "w.safetensors")
    assert loaded(tmp_path / "w.safetensors").settings["act"] == "silu"


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_another_family_are_refused_with_the_right_one(family):
    others = [each for each in FAMILIES if each is not family]
    for other in others:
        variant = next(iter(other.variants))
        model = other(variant, 2, seed=0)
        for source in (model, model.state_dict()):
            with pytest.raises(
                WeightsError, match=f"is of {other.__name__}, not of {family.__name__}.*{other.__name__}.from_pre"
            ):
                family.from_pretrained(source)


@pytest.mark.parametrize("variant", KINDS)
def test_the_file_of_a_family_says_all_of_it(variant, tmp_path):
    model = alive.fill(NAMES[variant](variant, 2, 1, seed=0)).eval()
    warmnet.save(model, tmp_path / "w.safetensors")
    again = warmnet.Classifier.from_pretrained(tmp_path / "w.safetensors")
    assert type(again) is type(model) and again.variant_name == variant and again.options == model.options == {}
    x = alive.images(64, 75).float()[:, :1]
    assert torch.equal(alive.logits(again, x), alive.logits(model, x))
    assert warmnet.transplant(model, NAMES[variant](variant, 2, 1, seed=1)).share == 1
