"""A network of any family is trained by its name, with each recipe and each way to do it."""

import inspect
from dataclasses import replace

import pytest
import torch
from alive import fill
from plain_classifier import Plain
from small_families import SMALL
from torch.autograd.graph import saved_tensors_hooks

import warmnet
from warmnet import training
from warmnet.errors import InputError
from warmnet.networks import mobilenet_v2
from warmnet.networks.families import FAMILIES
from warmnet.training.activation_checkpointing import checkpoint_blocks
from warmnet.training.optimizer import part_depths

ALL = training.digits()
FEW = replace(ALL, train=ALL.train[::20], held_out=ALL.held_out[::20])


@pytest.mark.parametrize("recipe", [training.DIGITS, *training.RECIPES.values()], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_recipe_s_options_are_options_of_every_family(family, recipe):
    assert recipe.network.keys() <= inspect.signature(family).parameters.keys()


@pytest.mark.usefixtures("undrawn")
def test_the_name_alone_decides_of_which_class_the_network_is(tmp_path):
    small = {"stages": mobilenet_v2.STAGES[:1], "head": 16, "momentum": 0.1}
    recipe = replace(training.DIGITS, epochs=1, network=small, layer_decay=0.5, unfreeze=1)
    training.fit(FEW, recipe, tmp_path / "run", variant="mobilenetv2-0.5")
    model = warmnet.Classifier.from_pretrained(tmp_path / "run")
    assert type(model) is warmnet.WarmMobileNetV2 and model.variant_name == "mobilenetv2-0.5"
    more = replace(training.RECIPES["finetune"], epochs=1)
    training.fit(FEW, more, tmp_path / "more", source=tmp_path / "run")
    assert type(warmnet.Classifier.from_pretrained(tmp_path / "more")) is warmnet.WarmMobileNetV2


def test_the_settings_of_a_run_hold_no_address_so_that_another_process_goes_on_with_it():
    for model in (SMALL["lite"](10, device="meta"), SMALL["v2"](10, device="meta")):
        assert " at 0x" not in model.variant_name and model.variant_name.startswith("Variant(width=0.5")


def test_the_parts_of_each_family_learn_in_their_order():
    for family, build in SMALL.items():
        head = ["head"] if family != "resnet" else []
        names = [*part_depths(build(10, device="meta"))]
        assert names == ["stem", *(name for name in names if name.startswith("stage_")), *head, "classifier"]


@pytest.mark.parametrize("family", SMALL)
def test_with_activation_checkpointing_it_keeps_less_and_learns_the_same(family):
    x, kept, models = torch.rand(2, 3, 64, 64), [0, 0], []
    for way in 0, 1:
        models.append(fill(SMALL[family](10, seed=0, drop_connect=0.2)).train())
        if way:
            checkpoint_blocks(models[1])

        def keep(tensor, way=way):
            kept[way] += tensor.nbytes
            return tensor

        torch.manual_seed(0)
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = models[way](x).square().sum()
        loss.backward()
    assert kept[1] < 0.6 * kept[0]
    for before, after in zip(models[0].parameters(), models[1].parameters()):
        assert torch.equal(before.grad, after.grad)
    for before, after in zip(models[0].buffers(), models[1].buffers()):
        assert torch.equal(before, after)


def test_activation_checkpointing_is_refused_where_there_are_no_stages():
    with pytest.raises(InputError, match="Plain has none. Train it without"):
        checkpoint_blocks(Plain(device="meta"))
