"""The rows of a classifier go with the names of their classes, for every recipe, and it is said."""

import warnings
from dataclasses import replace

import pytest
import torch

import warmnet
from warmnet import training
from warmnet.data import Preprocessing
from warmnet.errors import InputError
from warmnet.training.initial_network import take_over
from warmnet.training.recipe import DIGITS, RECIPES
from warmnet.weights import WeightsWarning

TINY = warmnet.Variant(width=0.2, depth=0.2, resolution=32, dropout=0.2)
ZERO, RANDOM = RECIPES["finetune"], replace(DIGITS, zero_classifier=False)


@pytest.fixture(scope="module")
def source():
    model = warmnet.WarmEfficientNet(TINY, 3, seed=0, stages=warmnet.STAGES[:1])
    model.classes, model.preprocessing = ("dog", "cat", "tabby, tabby cat"), Preprocessing(32)
    return model.eval()


def taken(source, classes, recipe=ZERO):
    """The network for these classes, and what is said of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = take_over(source, classes, recipe, seed=1)
    assert all(each.category is WeightsWarning for each in caught)
    return model, "; ".join(str(each.message) for each in caught)


@pytest.mark.parametrize("recipe", [ZERO, RANDOM], ids=["zero", "random"])
def test_known_classes_keep_their_rows_and_new_ones_start_by_the_recipe(source, recipe):
    model, said = taken(source, ("bird", "cat", "dog"), recipe)
    assert torch.equal(model.classifier.weight[1:], source.classifier.weight[[1, 0]])
    assert torch.equal(model.classifier.bias[1:], source.classifier.bias[[1, 0]])
    bird = model.classifier.weight[0]
    assert not (bird == source.classifier.weight).all(1).any(), "the same number of classes takes over no other row"
    assert bird.any() == (recipe is RANDOM)
    assert said == (
        "classifier: 2 of 3 classes known and kept (cat, dog), 1 dropped, 1 new (bird). Names count as known if they are "
        "equal in full."
    )


def test_nothing_is_said_of_the_same_classes_and_no_row_changes(source):
    model, said = taken(source, source.classes)
    assert torch.equal(model.classifier.weight, source.classifier.weight) and said == ""


def test_a_part_of_an_imagenet_name_is_not_the_name(source):
    model, said = taken(source, ("tabby", "tiger"))
    assert not model.classifier.weight.any() and said.startswith("classifier: 0 of 2 classes known and kept, 3 dropped, 2 new")


def test_rows_of_unnamed_classes_are_not_kept(source):
    unnamed = warmnet.WarmEfficientNet.from_pretrained(source)
    unnamed.classes = ()
    model, said = taken(unnamed, ("a", "b", "c"), RANDOM)
    assert said == "classifier: the weights do not name their classes, so that all 3 are new."
    assert not torch.equal(model.classifier.weight, source.classifier.weight)


def test_weights_of_another_variant_than_the_one_that_is_named_are_refused(source):
    with pytest.raises(InputError, match=r"of the variant Variant\(width=0.2, .*, not of b1"):
        training.load_source(source, None, "b1")
    assert training.load_source(source, None, TINY) is source


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("a", "a")])
def test_names_that_are_not_one_for_each_output_are_refused(classes):
    source = warmnet.WarmEfficientNet(TINY, num_classes=2, seed=0)
    source.classes = classes
    with pytest.raises(InputError, match="have 2 outputs and"):
        take_over(source, ("a", "b"), DIGITS, seed=0)
