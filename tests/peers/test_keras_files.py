"""Keras' files hold, by `keras_files.read`, the model's own variables, and Keras loads what `keras_files.write` writes."""

import re
import shutil
from typing import Any, NamedTuple

import h5py
import pytest
import torch

from warmnet.weights import keras_files

from .libraries import keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in Keras, at each variable


class Network(NamedTuple):
    """A Keras model with all of its variables random, and where its EfficientNet is."""

    model: Any
    efficientnet: Any

    def variables(self):
        """As Keras itself holds them, in forward order."""
        layers = self.efficientnet.layers + (self.model.layers if self.model is not self.efficientnet else [])
        return {
            f"{re.sub(r'^normalization_[0-9]+$', 'normalization', layer.name)}/{variable.name}": variable.value.detach().clone()
            for layer in layers if layer is not self.efficientnet for variable in layer.weights
        }  # fmt: skip

    def logits(self):
        with torch.no_grad():
            return self.model(torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0)))


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in expected.items()
    )


def fill(model):
    for variable in model.weights:
        if variable.value.is_floating_point():
            variable.assign(torch.empty_like(variable.value).uniform_(-0.1, 0.1) + variable.name.endswith("variance"))


@pytest.fixture(scope="module", params=[(v, top) for v in ("b0", "b3", "b7", "V2B0", "V2S") for top in (True, False)], ids=str)
def network(request):
    """Flat with top, and below another head without."""
    keras.config.set_floatx("float32")
    variant, top = request.param
    build = getattr(keras.applications, f"EfficientNet{variant.upper()}")
    efficientnet = model = build(weights=None, include_top=top, input_shape=(64, 64, 3), classes=10, classifier_activation=None)
    if not top:
        model = keras.Sequential([efficientnet, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5, name="head")])
    fill(model)
    return Network(model, efficientnet)


@pytest.fixture
def folder(tmp_path):
    """pytest would keep it, and b7's files have 260 MB each."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def legacy(model, path):
    with h5py.File(path, "w") as file:
        keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(file, model)


FORMATS = {
    "weights.h5": legacy,
    "whole.h5": lambda model, path: model.save(path),
    "w.weights.h5": lambda model, path: model.save_weights(path),
    "whole.keras": lambda model, path: model.save(path),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_model_s_own_variables(network, name, folder):
    FORMATS[name](network.model, folder / name)
    assert same(keras_files.read(folder / name), network.variables())


def test_the_names_are_known_where_older_versions_of_keras_leave_them_out(network, folder):
    path = folder / "w.weights.h5"
    network.efficientnet.save_weights(path)
    with h5py.File(path, "r+") as file:
        assert all(group["vars"].attrs.pop("name") for group in file["layers"].values())
    assert same(keras_files.read(path), Network(network.efficientnet, network.efficientnet).variables())


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
def test_keras_loads_what_is_written(network, name, folder):
    whole = Network(network.efficientnet, network.efficientnet)
    variables, logits = whole.variables(), whole.logits()
    keras_files.write(folder / name, variables)
    fill(whole.model)
    assert not same(whole.variables(), variables)
    whole.model.load_weights(folder / name)
    assert same(whole.variables(), variables)
    assert logits.isfinite().all() and logits.std() > 0
    assert torch.equal(whole.logits(), logits)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
def test_keras_builds_from_what_is_written(name, folder):
    keras.config.set_floatx("float32")
    first = keras.applications.EfficientNetB0(weights=None)
    fill(first)
    keras_files.write(folder / name, Network(first, first).variables())
    second = keras.applications.EfficientNetB0(weights=folder / name)
    assert same(Network(second, second).variables(), Network(first, first).variables())
