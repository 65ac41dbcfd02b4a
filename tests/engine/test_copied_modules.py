"""Networks as others hand them over are looked at, exported and saved: wrapped, with computed weights, with results kept."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

import warmnet
from warmnet.engine.copies import copied, has_computed_weights, settle_weights, unwrapped
from warmnet.errors import InputError

TINY = warmnet.Variant(width=0.2, depth=0.2, resolution=32, dropout=0.2)


def classifier():
    return warmnet.WarmEfficientNet(TINY, 4, seed=0, stages=warmnet.STAGES[:2]).eval()


class Keeping(nn.Module):
    """Keeps what it computed, as for a look at it later."""

    def __init__(self):
        super().__init__()
        self.conv, self.kept = nn.Conv2d(3, 4, 3), []

    def forward(self, x):
        y = self.conv(x).mean((2, 3))
        self.kept.append({"y": y})
        return y


def changed(change):
    model = classifier()
    change(model.classifier)
    model(torch.rand(1, 3, 32, 32))
    return model


COMPUTED = {
    "old weight_norm": lambda: changed(nn.utils.weight_norm),
    "old spectral_norm": lambda: changed(nn.utils.spectral_norm),
    "weight_norm": lambda: changed(parametrizations.weight_norm),
    "spectral_norm": lambda: changed(parametrizations.spectral_norm),
    "pruned": lambda: changed(lambda layer: prune.l1_unstructured(layer, "weight", 0.5)),
}
WRAPPED = {
    "compiled": lambda: torch.compile(classifier(), backend="eager"),
    "DataParallel": lambda: nn.DataParallel(classifier()),
    "AveragedModel": lambda: AveragedModel(classifier()),
    "averaged and compiled": lambda: AveragedModel(torch.compile(classifier(), backend="eager")),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("make", [*COMPUTED.values(), *WRAPPED.values()], ids=[*COMPUTED, *WRAPPED])
def test_a_network_is_tabulated_drawn_and_saved_as_it_computes(make, tmp_path):
    model, x = make(), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        y = model(x)
        names = [*model.state_dict()]
        table = warmnet.tabulate(model)
        assert table.call == "WarmEfficientNet" and table.macs == warmnet.tabulate(classifier()).macs
        assert warmnet.draw(model).svg and not warmnet.diff(model, model).changes
        warmnet.save(model, tmp_path / "w.safetensors")
        loaded = warmnet.WarmEfficientNet.from_pretrained(tmp_path / "w.safetensors").eval()
        assert torch.allclose(loaded(x), y, atol=1e-6)
        assert [*model.state_dict()] == names and torch.equal(model(x), y), "it is left as it is"


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize(
    "make",
    [
        COMPUTED["pruned"],
        WRAPPED["DataParallel"],
        *(pytest.param(make, marks=pytest.mark.slow) for make in (*COMPUTED.values(), *WRAPPED.values())),
    ],
)
def test_it_is_exported(make, tmp_path):
    assert warmnet.export(make(), tmp_path / "n.pt2").error < 1e-5


def test_a_module_that_keeps_what_it_computed_is_tabulated():
    model = Keeping()
    model(torch.rand(1, 3, 8, 8))
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(model)
    assert warmnet.tabulate(model, (1, 3, 8, 8)).parameters == 112
    assert len(model.kept) == 1 and model.kept[0]["y"].grad_fn is not None, "it is left as it is"
    copy_ = copied(model)
    assert torch.equal(copy_.kept[0]["y"], model.kept[0]["y"]) and copy_.kept[0]["y"].grad_fn is None


def test_settling_leaves_the_original_computed():
    model = COMPUTED["weight_norm"]()
    settled = settle_weights(copied(model).eval())
    assert has_computed_weights(model) and not has_computed_weights(settled)
    assert type(settled.classifier) is nn.Linear and torch.equal(settled.classifier.weight, model.classifier.weight)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_quantized_network_is_refused_in_words(tmp_path):
    model = torch.ao.quantization.quantize_dynamic(warmnet.WarmResNet(18, num_classes=3, seed=0), {nn.Linear})
    for use in warmnet.tabulate, lambda model: warmnet.export(model, tmp_path / "n", "torch"):
        with pytest.raises(
            InputError, match="WarmResNet is quantized, as 'classifier' is.*Pass the network that it was made of"
        ):
            use(model)


def test_a_program_and_a_lazy_module_are_refused_in_words():
    with pytest.raises(InputError, match="Pass the module that it was made of"):
        unwrapped(torch.jit.script(nn.Linear(2, 2)))
    with pytest.raises(InputError, match="Call it once"):
        warmnet.tabulate(nn.LazyLinear(2), (1, 2))
