"""Policies change as many images as they say, and the official ones as they always do."""

import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from warmnet import training
from warmnet.data import autoaugment, policy
from warmnet.data.autoaugment import auto_augment
from warmnet.data.policy import Policy, Step, official
from warmnet.errors import InputError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
SAMPLED = {"sampling": "part", "area": (0.5, 1.0), "shift": 0.0, "flip": True}
OWN = Policy(((Step(("rotate", "shear_x"), 0.5, strength=0.3), Step(("cutout",), 1.0, strength=0.4)),))


def test_the_official_policy_changes_images_as_autoaugment_does():
    v0 = official("autoaugment")
    for seed in range(60):
        assert v0(PICTURE, random.Random(seed)).tobytes() == auto_augment(PICTURE, random.Random(seed)).tobytes()


def test_randaugment_applies_two_operations_of_its_own_at_its_magnitude(monkeypatch):
    applied = []
    real = autoaugment.apply

    def watched(operation, level, x, rng, reach):
        applied.append((operation, level, reach))
        return real(operation, level, x, rng, reach)

    monkeypatch.setattr(autoaugment, "apply", watched)
    for seed in range(400):
        official("randaugment", 17)(PICTURE, random.Random(seed))
    counts = Counter(name for name, *_ in applied)
    assert len(applied) == 800 and {(level, reach) for _, level, reach in applied} == {(17, autoaugment.RAND)}
    assert counts.keys() == autoaugment.OPERATIONS.keys() and min(counts.values()) > 25, "50 on average"


def test_a_step_is_applied_as_often_as_it_says():
    step = Step(("brightness",), 0.3, strength=1.0)
    changed = sum(step(PICTURE, random.Random(seed)) is not PICTURE for seed in range(1000))
    assert 250 < changed < 350


def test_one_of_the_sub_policies_is_drawn():
    several = Policy(tuple((Step((name,), 1.0, strength=1.0),) for name in ("brightness", "contrast", "rotate")))
    alone = [Policy((steps,)) for steps in several.sub_policies]
    shown = {several(PICTURE, random.Random(seed)).tobytes() for seed in range(20)}
    assert len(shown) == 20
    assert all(each(PICTURE, random.Random(0)).size == PICTURE.size for each in alone)


def test_a_recipe_carries_a_policy_and_gets_it_back_from_json():
    recipe = training.PHOTOS.with_settings({**SAMPLED, "augment": OWN})
    augmentation = recipe.sized(images=100).augmentation
    assert augmentation.augment is OWN and augmentation.area == (0.5, 1.0) and augmentation.flip
    text = training.plain({"augment": {"sub_policies": [[{"operations": ["rotate"], "probability": 1, "strength": 1}]]}})
    assert training.PHOTOS.with_settings(text).augment.sub_policies[0][0].operations == ("rotate",)
    assert "augment by a policy of its own" in str(recipe.sized(images=100))


def test_one_image_and_one_seed_give_one_image():
    recipe = training.PHOTOS.with_settings({**SAMPLED, "augment": OWN}).sized(images=100, short_side=40)
    pixels = [recipe.augmentation.pixels(PICTURE, recipe.preprocessing, random.Random(seed)).tobytes() for seed in (1, 1, 2)]
    assert pixels[0] == pixels[1] != pixels[2]


def test_an_unknown_official_policy_is_refused():
    with pytest.raises(InputError, match="autoaugment, randaugment"):
        policy.official("v0")
