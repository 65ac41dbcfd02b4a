"""The parts of a network that are frozen stay as they were, to the bit."""

from dataclasses import replace

import pytest
import torch
from pruning import pruned

import warmnet
from warmnet import training
from warmnet.errors import InputError
from warmnet.training.checks import check_run
from warmnet.training.freezing import count_learning
from warmnet.training.optimizer import part_depths
from warmnet.training.recipe import DIGITS

pytestmark = pytest.mark.usefixtures("undrawn")
ALL = training.digits()
FEW = replace(ALL, train=ALL.train[::20], held_out=ALL.held_out[::20])
SHORT = replace(DIGITS, epochs=1, batch_size=24)
TINY = warmnet.Variant(width=0.25, depth=0.1, resolution=32, dropout=0.2)


@pytest.fixture(scope="module")
def source():
    return warmnet.WarmEfficientNet(TINY, 10, seed=0)


@pytest.mark.parametrize("freeze, last", [("stage_3", 3), ("all", 8)])
def test_weights_and_statistics_up_to_a_part_stay_and_all_others_learn(source, tmp_path, freeze, last):
    before = {name: value.clone() for name, value in source.state_dict().items()}
    training.fit(FEW, replace(SHORT, freeze=freeze), tmp_path, source=source)
    after = warmnet.WarmEfficientNet.from_pretrained(tmp_path).state_dict()
    parts = [*part_depths(source)]
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name.partition(".")[0] for name in before.keys() - same} == {*parts[last + 1 :]}
    assert not {name for name in same if parts.index(name.partition(".")[0]) > last and name.endswith("weight")}


def test_it_is_known_how_many_parameters_learn(source):
    head = source.classifier.weight.shape[1]
    assert count_learning(source, "all", 3) == (3 * head + 3, sum(p.numel() for p in source.parameters()) - 7 * (head + 1))
    assert str(count_learning(source, None, 10)).endswith("parameters learn")


def test_what_cannot_be_frozen_is_refused(source, tmp_path):
    for freeze, message in ("stage3", "It is written 'stage_3'"), ("classifier", "Choose one of stem, stage_1, .*, head, all"):
        with pytest.raises(InputError, match=message):
            training.fit(FEW, replace(SHORT, freeze=freeze), tmp_path, source=source)
    with pytest.raises(InputError, match="there are none"):
        training.fit(FEW, replace(SHORT, freeze="stem"), tmp_path, variant=TINY)
    with pytest.raises(InputError, match="Choose one"):
        replace(SHORT, epochs=3, freeze="stem", unfreeze=2)
    assert not any(tmp_path.iterdir())


def test_a_pruned_network_is_trained_on_and_its_parameters_are_counted(tmp_path):
    """Its run goes on like any other, and has its sizes."""
    source = pruned(warmnet.WarmEfficientNet(TINY, 10, se_ratio=0, seed=0), 0.5)
    recipe = replace(SHORT, freeze="stage_3", zero_classifier=False)
    training.fit(FEW, recipe, tmp_path, source=source)
    training.fit(FEW, replace(recipe, epochs=2), tmp_path, source=source, resume=True)
    after = warmnet.WarmEfficientNet.from_pretrained(tmp_path)
    assert torch.equal(after.stage_2.mb_block_1.project.conv.weight, source.stage_2.mb_block_1.project.conv.weight)
    assert after.classifier.weight.shape == source.classifier.weight.shape == (10, 160)
    assert not torch.equal(after.head.conv.weight, source.head.conv.weight)

    tried, _ = check_run(recipe, training.Execution(), source=source)
    parameters = sum(p.numel() for p in after.parameters())
    assert count_learning(tried, "stage_3", 10).of == parameters


def test_options_that_change_a_pruned_networks_layers_are_refused_before_images_are_read():
    source = pruned(warmnet.WarmEfficientNet(TINY, 10, se_ratio=0, seed=0), 0.5)
    with pytest.raises(InputError, match=r"The source is pruned, and with these options stem\.conv\.weight"):
        check_run(replace(SHORT, network={"stem": 64}), training.Execution(), source=source)
