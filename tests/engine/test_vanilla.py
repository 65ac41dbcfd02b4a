"""PyWarm's examples and the article, on warmnet: the base class is all that changes, and what is wrong in them says so."""

import copy
import inspect
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import article
import pytest
import torch
import torch.nn.functional as F
import vanilla
import warm
import warm.functional as V
from vanilla import NETWORKS, filled, results, sample

import warmnet
import warmnet.functional as W
from warmnet import MismatchError, NameTakenError, WarmError, WarmModule

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # of torch's Transformer

COUNTS = {  # of parameters: of the networks that others publish, too
    "README": 431_080,  # pytorch/examples, mnist, of the time
    "resnet": 11_689_512,  # torchvision
    "mobilenet": 3_504_872,  # torchvision
    "efficientnet": 5_288_548,  # the paper's 5.3 million
}
ON_PYWARM = """
import sys, torch
source = open("vanilla.py").read()
assert source.count("from warmnet import WarmModule") == 1
vanilla = {"__name__": "vanilla"}
exec(source.replace("from warmnet import WarmModule", "from torch.nn import Module as WarmModule"), vanilla)
found = {}
for name, network in vanilla["NETWORKS"].items():
    model = network()
    if name == "efficientnet":  # PyWarm drops batch_norm's eps and momentum
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps, module.momentum = 1e-3, 1e-2
    found[name] = vanilla["results"](name, model)
assert "warmnet" not in sys.modules
torch.save(found, sys.argv[1])
"""


@pytest.fixture(scope="module")
def pywarms(tmp_path_factory):
    """What the networks are and give on PyWarm alone, in a process where warmnet is not."""
    file = tmp_path_factory.mktemp("pywarm") / "results.pt"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", ON_PYWARM, file], cwd=Path(__file__).parents[1])
    assert run.returncode == 0
    return torch.load(file)


def line_of(function, text):
    lines, first = inspect.getsourcelines(function)
    return f"{inspect.getsourcefile(function)}:{first + next(i for i, line in enumerate(lines) if text in line)}"


def alive(y):
    return bool(y.isfinite().all()) and y.std() > 0.01


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_for_pywarm_is_and_computes_what_it_does_on_pywarm(name, pywarms):
    """Paths, shapes, numbers in eval mode and in training, gradients: its weights load, and mean the same."""
    torch.manual_seed(4)
    model, theirs = NETWORKS[name](), pywarms[name]
    assert model.training and all(int(n) == 0 for path, n in model.named_buffers() if path.endswith("tracked"))
    ours = results(name, model)
    assert [*ours["shapes"].items()] == [*theirs["shapes"].items()]
    assert alive(ours["y"]) and alive(ours["z"])
    for key in ("y", "z"):
        torch.testing.assert_close(ours[key], theirs[key], rtol=1e-4, atol=1e-5)
    assert ours["gradients"].keys() == theirs["gradients"].keys()
    assert sum(n > 1e-6 for n in ours["gradients"].values()) > len(ours["gradients"]) / 2
    largest = max(theirs["gradients"].values())
    for path, n in ours["gradients"].items():
        torch.testing.assert_close(n, theirs["gradients"][path], rtol=1e-3, atol=float(1e-7 * largest))
    count = sum(p.numel() for p in model.parameters())
    assert count == COUNTS.get(name, count)


@pytest.mark.parametrize("name", NETWORKS)
def test_two_networks_live_and_copies_and_pickles_compute_the_same(name):
    def call(model):
        torch.manual_seed(1)
        with torch.no_grad():
            return model(*sample(name))

    a, b = filled(NETWORKS[name]()).eval(), NETWORKS[name]().eval()
    names, y = [*a.state_dict()], call(a)
    other = call(b)
    assert alive(y) and not torch.equal(y, other)
    clone = pickle.loads(pickle.dumps(b))
    for model, wanted in ((a, y), (b, other), (copy.deepcopy(a), y), (clone, other), (a, y)):
        assert torch.equal(call(model), wanted)
    assert [*a.state_dict()] == names


def test_an_initialization_by_name_fills_what_it_names():
    model = vanilla.tutorial()
    assert (model.filter_2.bias == 0.5).all() and model.filter_2.weight.std() > 0.1
    weight = model.gru_1.weight_hh_l1
    torch.testing.assert_close(weight.T @ weight, torch.eye(5))


def test_settings_that_pywarm_drops_are_honoured():
    norms = [m for m in vanilla.EfficientNet().modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 49 and {(m.eps, m.momentum) for m in norms} == {(1e-3, 1e-2)}


@pytest.mark.parametrize("name", ["README", "efficientnet", "transformer", "tutorial"])
def test_pywarms_summary_shows_every_layer(name):
    model = NETWORKS[name]()
    text = warm.util.summary_str(model)
    assert all(path in text for path, _ in model.named_children())
    assert str(sum(p.numel() for p in model.parameters())) in text


def test_a_namespace_counts_for_each_network_thread_and_call():
    models = [filled(vanilla.EfficientNet(drop=0.0)).eval() for _ in range(2)]
    with torch.no_grad():
        y = models[0](*sample("efficientnet"))
        with ThreadPoolExecutor(4) as pool:
            for z in pool.map(lambda i: _ungraded(models[i % 2]), range(4)):
                assert torch.equal(z, y)
    names = [name for name, _ in models[0].named_children()]
    assert names[0] == "head-conv_norm_act_1-conv" and "bottleneck_16-excitation_1-conv2" in names


def _ungraded(model):
    with torch.no_grad():
        return model(*sample("efficientnet"))


def test_a_namespace_outside_of_a_forward_says_so():
    with pytest.raises(warmnet.NotWarmError):
        vanilla.conv_norm_act(torch.ones(1, 3, 8, 8), 4)


def test_padding_that_was_computed_for_another_size_is_refused_and_not_taken():
    """PyWarm keeps the dry run's, which is wrong at other sizes."""
    model = vanilla.EfficientNet(drop=0.0).eval()
    model(torch.randn(1, 3, 48, 96))
    with pytest.raises(MismatchError, match=r"'head-conv_norm_act_1-conv'.*padding=0.*padding=\(1, 1\)"):
        model(torch.randn(1, 3, 65, 97))


def test_a_name_that_is_used_twice_is_refused_in_pywarms_layers_too():
    class Net(WarmModule):
        def forward(self, x):
            return V.linear(V.linear(x, 4, name="features-0"), 4, name="features-0")

    with pytest.raises(NameTakenError, match="features-0"):
        warmnet.up(Net(), [1, 4])


# ------------------------------------------------------------------------------------------------------------- the article


class Mended(article.WarmEfficientNet):
    """The article's network with the first of its faults mended."""

    def __init__(self):
        super(article.WarmEfficientNet, self).__init__()
        warm.up(self, [2, 3, 32, 32])


def in_words_of_padding(x, size, kernel=1, stride=1, **kw):
    """The cure that needs warmnet's W."""
    return W.conv(x, size, kernel, stride=stride, padding="same", **kw)


def in_numbers(x, size, kernel=1, stride=1, **kw):
    """The cure that PyWarm's W takes, too."""
    zeros = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:]]
    x = F.pad(x, [half for n in reversed(zeros) for half in (n // 2, n - n // 2)])
    return V.conv(x, size, kernel, stride=stride, **kw)


def test_the_article_without_super_init_is_an_error_with_its_line_and_the_cure():
    with pytest.raises(WarmError) as caught:
        article.WarmEfficientNet()
    message = str(caught.value)
    assert "super().__init__()" in message and "WarmEfficientNet" in message
    assert line_of(article.WarmEfficientNet, "warm.up(self") in message


@pytest.mark.parametrize("functions", [V, W], ids=["warm.functional", "warmnet.functional"])
def test_the_article_with_a_tensor_as_padding_is_an_error_with_its_line_and_the_cure(functions, monkeypatch):
    monkeypatch.setattr(article, "W", functions)
    with pytest.raises(TypeError) as caught:
        Mended()
    message = str(caught.value)
    assert "padding" in message and "tensor" in message and "'same'" in message
    assert line_of(article.conv_pad_same, "return W.conv") in message


@pytest.mark.parametrize("conv_pad_same", [in_words_of_padding, in_numbers])
@pytest.mark.parametrize("functions", [V, W], ids=["warm.functional", "warmnet.functional"])
def test_the_article_with_both_faults_mended_builds_and_runs(conv_pad_same, functions, monkeypatch):
    monkeypatch.setattr(article, "W", functions)
    monkeypatch.setattr(article, "conv_pad_same", conv_pad_same)
    model = Mended()
    assert sum(p.numel() for p in model.parameters()) == 5_288_548
    assert model.batch_norm_1.eps == 1e-3 and model.batch_norm_49.momentum == 1e-2
    filled(model).eval()
    for size in (32, 65):
        torch.manual_seed(1)
        y = model(torch.randn(2, 3, size, size))
        assert y.shape == (2, 1000) and alive(y.detach())
    model.train()(torch.randn(4, 3, 32, 32)).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("functions", [V, W], ids=["warm.functional", "warmnet.functional"])
@pytest.mark.parametrize("key", ["padding", "stride", "dilation"])
def test_a_tensor_as_a_setting_of_a_convolution_is_refused_by_name_and_line(functions, key):
    class Net(WarmModule):
        def forward(self, x):
            return functions.conv(x, 4, 3, **{key: torch.tensor([1, 1])})

    with pytest.raises(TypeError, match=rf"(?s){key}.*tensor|tensor.*{key}") as caught:
        warmnet.up(Net(), [1, 3, 8, 8])
    assert line_of(Net.forward, "return") in str(caught.value)


class Bare(WarmModule):
    """It forgets super().__init__()."""

    def __init__(self, up=None):
        if up:
            up(self, [1, 3])

    def forward(self, x):
        return W.linear(x, 2)


@pytest.mark.parametrize("make", [lambda: Bare(warm.up), lambda: Bare(warmnet.up), lambda: warmnet.up(Bare(), [1, 3])])
def test_a_network_without_super_init_is_an_error_that_says_so(make):
    with pytest.raises(WarmError, match=r"(?s)Bare.*super\(\)\.__init__\(\)"):
        make()


def test_a_network_without_super_init_that_holds_one_is_found():
    class Host(WarmModule):
        def __init__(self):
            super().__init__()
            self.inner = Bare()
            warmnet.up(self, [1, 3])

        def forward(self, x):
            return self.inner(x)

    with pytest.raises(WarmError, match=r"(?s)Bare.*super\(\)\.__init__\(\)"):
        Host()
