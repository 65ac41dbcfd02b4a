"""What <TAB> offers: a package's public names alone, and a network's options."""

import importlib
import inspect

import pytest

import warmnet
import warmnet.functional as W

ROOMS = "functional", "data", "summary", "weights", "deployment", "inspection", "training"
PACKAGES = "warmnet", *(f"warmnet.{room}" for room in ROOMS)
NETWORKS = warmnet.WarmEfficientNet, warmnet.WarmMobileNetV2, warmnet.WarmResNet


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_shows_its_public_names_alone(package):
    module = importlib.import_module(package)
    assert dir(module) == sorted(module.__all__) and all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_shows_its_options_with_their_defaults(network):
    parameters = inspect.signature(network).parameters
    assert {"act", "dropout", "drop_connect", "padding", "eps", "momentum", "seed"} <= parameters.keys()
    assert all(parameter.default is not parameter.empty for parameter in parameters.values())


@pytest.mark.parametrize("jedi", [True, False])
def test_ipython_completes_layers_and_options(jedi):
    completer = pytest.importorskip("IPython.core.completer")
    complete = completer.IPCompleter(namespace={"W": W, "warmnet": warmnet})
    complete.use_jedi = jedi

    def offered(text):
        with completer.provisionalcompleter():
            return {each.text.strip(".") for each in complete.completions(text, len(text))}

    assert offered("W.") == set(W.__all__)
    for network in NETWORKS:
        assert {"act=", "dropout=", "padding="} <= offered(f"warmnet.{network.__name__}('b0', ")
    assert {"kernel=", "stride="} <= offered("W.conv(x, ")
