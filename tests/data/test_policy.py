"""policy.json: read, edited and written; the official policies in the same form; what is no policy is refused."""

import json
import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from warmnet import training
from warmnet.data import autoaugment, policy
from warmnet.data.autoaugment import auto_augment
from warmnet.data.policy import Policy, Step, official, read_policy, write_policy
from warmnet.errors import InputError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
FOUND = {"sampling": "part", "area": (0.5, 1.0), "shift": 0.0, "flip": True}
OWN = Policy(((Step(("rotate", "shear_x"), 0.5, strength=0.3), Step(("cutout",), 1.0, strength=0.4)),), {"seed": 3})


def test_a_policy_comes_back_from_its_file(tmp_path):
    write_policy(tmp_path / "policy.json", {**FOUND, "augment": OWN})
    assert read_policy(tmp_path / "policy.json") == {**FOUND, "augment": OWN}
    content = json.loads((tmp_path / "policy.json").read_text())
    assert content["augment"][0][0] == {"operations": ["rotate", "shear_x"], "probability": 0.5, "strength": 0.3}
    assert content["found"] == {"seed": 3}


def test_the_official_policy_changes_images_as_autoaugment_does(tmp_path):
    write_policy(tmp_path / "v0.json", {**FOUND, "augment": official("autoaugment")})
    v0 = read_policy(tmp_path / "v0.json")["augment"]
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
    recipe = training.PHOTOS.with_settings({**FOUND, "augment": OWN})
    augmentation = recipe.sized(images=100).augmentation
    assert augmentation.augment is OWN and augmentation.area == (0.5, 1.0) and augmentation.flip
    text = training.plain({"augment": {"sub_policies": [[{"operations": ["rotate"], "probability": 1, "strength": 1}]]}})
    assert training.PHOTOS.with_settings(text).augment.sub_policies[0][0].operations == ("rotate",)
    assert "augment by a policy of its own" in str(recipe.sized(images=100))


def test_one_image_and_one_seed_give_one_image():
    recipe = training.PHOTOS.with_settings({**FOUND, "augment": OWN}).sized(images=100, short_side=40)
    pixels = [recipe.augmentation.pixels(PICTURE, recipe.preprocessing, random.Random(seed)).tobytes() for seed in (1, 1, 2)]
    assert pixels[0] == pixels[1] != pixels[2]


@pytest.mark.parametrize(
    "content, said",
    [
        ("[", "is no JSON"),
        ("[1]", "holds no policy"),
        ('{"flipp": true}', "'flip'"),
        ('{"flip": true, "flip": false}', "'flip' twice"),
        ('{"augment": [[{"operations": ["rotat"], "probability": 1, "strength": 0.5}]]}', "'rotate'"),
        ('{"augment": [[{"operations": ["rotate"], "probability": 1, "level": 5}]]}', "with a level"),
        ('{"augment": [[{"operations": ["autoaugment Rotate"], "probability": 1, "strength": 0.5}]]}', "with a strength"),
        ('{"augment": [[{"operations": ["rotate"], "probability": 1}]]}', "needs a strength"),
        ('{"augment": [[{"operations": "rotate", "probability": 1, "strength": 0.5}]]}', "must be names of operations"),
        ('{"augment": [[{"operations": [], "probability": 1, "strength": 0.5}]]}', "must be names of operations"),
        ('{"augment": [[{"operations": [["rotate"]], "probability": 1, "strength": 0.5}]]}', "Unknown operation"),
        ('{"augment": [[{"operations": ["rotate"], "probability": 1.5, "strength": 0.5}]]}', "probability is 1.5"),
        ('{"augment": [[{"operations": ["rotate"], "probability": true, "strength": 0.5}]]}', "probability is True"),
        ('{"augment": [[{"operations": ["rotate"], "probability": null, "strength": 0.5}]]}', "probability is None"),
        ('{"augment": [[{"operations": ["rotate"], "probability": 1, "strength": "much"}]]}', "strength is 'much'"),
        ('{"augment": [[{"operations": ["rotate"], "probability": NaN, "strength": 1}]]}', "probability is nan"),
        ('{"augment": [[{"operations": ["rotate"], "strength": 0.5}]]}', "lacks probability"),
        ('{"augment": [[{"operation": ["rotate"], "probability": 1, "strength": 0.5}]]}', "'operations'"),
        ('{"augment": [["rotate"]]}', "must be an object"),
        ('{"augment": ["rotate"]}', "must be a list of steps"),
        ('{"augment": []}', "must be a list of lists"),
    ],
)
def test_what_is_no_policy_is_refused_by_its_name(content, said, tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(content)
    with pytest.raises(InputError) as raised:
        read_policy(path)
    assert said in str(raised.value) and str(path) in str(raised.value)


@pytest.mark.parametrize("content", ['{"augment": "autoaugmnt"}', '{"area": [1]}', '{"flip": 1}', '{"shift": "far"}'])
def test_settings_of_a_policy_are_checked_as_a_recipes(content, tmp_path):
    (tmp_path / "policy.json").write_text(content)
    with pytest.raises(InputError):
        training.PHOTOS.with_settings(read_policy(tmp_path / "policy.json"))


def test_an_unknown_official_policy_is_refused():
    with pytest.raises(InputError, match="autoaugment, randaugment"):
        policy.official("v0")
