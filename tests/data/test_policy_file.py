"""policy.json: read, edited and written; what is no policy is refused, with its place."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warmnet import training
from warmnet.data.policy import Policy, Step
from warmnet.data.policy_file import SETTINGS, read_policy, write_policy
from warmnet.errors import InputError

SAMPLED = {"sampling": "part", "area": (0.5, 1.0), "shift": 0.0, "flip": True, "erase": 0.25}
OWN = Policy(((Step(("rotate", "shear_x"), 0.5, strength=0.3), Step(("cutout",), 1.0, strength=0.4)),))
FOUND = {"seed": 3}


def written(path, augment, magnitude=10, found=FOUND):
    write_policy(path, {**SAMPLED, "augment": augment, "magnitude": magnitude, "found": found})
    return json.loads(path.read_text())


def test_a_policy_comes_back_from_its_file(tmp_path):
    content = written(tmp_path / "policy.json", OWN)
    assert read_policy(tmp_path / "policy.json") == {**SAMPLED, "augment": OWN, "found": FOUND}
    assert content["augment"][0][0] == {"operations": ["rotate", "shear_x"], "probability": 0.5, "strength": 0.3}
    assert content["found"] == FOUND


def test_the_policy_of_the_documentation_is_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
    (tmp_path / "policy.json").write_text(page.partition("```json\n")[2].partition("```")[0])
    assert len(read_policy(tmp_path / "policy.json")["augment"].sub_policies[0]) == 2


@pytest.mark.parametrize("augment", ["randaugment", "randaugment-timm"])
def test_a_randaugment_has_its_magnitude(tmp_path, augment):
    written(tmp_path / "policy.json", augment, magnitude=7)
    assert read_policy(tmp_path / "policy.json")["magnitude"] == 7
    assert "magnitude" not in written(tmp_path / "policy.json", OWN, magnitude=7)


@pytest.mark.parametrize("name", training.RECIPES)
def test_by_the_policy_of_a_recipe_any_recipe_gives_the_same_images(tmp_path, name):
    own = training.RECIPES[name].with_settings({"resolution": 24}).sized(images=100)
    write_policy(tmp_path / "policy.json", {setting: getattr(own, setting) for setting in (*SETTINGS, "found")})
    other = training.Recipe("mine", 1, 24, own.crop, own.interpolation, augment="randaugment", magnitude=3, erase=0.5)
    other = other.with_settings(read_policy(tmp_path / "policy.json"))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    for seed in range(20):
        ours, theirs = (each.augmentation(image, each.preprocessing, random.Random(seed)) for each in (own, other))
        assert ours.equal(theirs)


@pytest.mark.parametrize("augment", [OWN, None, "autoaugment"])
def test_where_a_policy_comes_from_is_kept_by_the_recipe_whatever_the_policy(tmp_path, augment):
    written(tmp_path / "policy.json", augment)
    recipe = training.PHOTOS.with_settings(read_policy(tmp_path / "policy.json"))
    assert recipe.found == FOUND and recipe.augment == augment


def test_what_a_policy_does_not_say_is_as_in_the_recipe(tmp_path):
    (tmp_path / "policy.json").write_text('{"flip": false, "area": null}')
    recipe = training.RECIPES["timm-b0"].with_settings(read_policy(tmp_path / "policy.json"))
    assert recipe == training.RECIPES["timm-b0"].with_settings({"flip": False, "found": {}})


def test_a_sub_policy_without_steps_leaves_the_image_as_it_is(tmp_path):
    (tmp_path / "policy.json").write_text('{"augment": [[]]}')
    image = object()
    assert read_policy(tmp_path / "policy.json")["augment"](image, None) is image


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
        ('{"augment": []}', "must be lists of steps in a list"),
        ('{"augment": [{"operations": ["hue"], "probability": 1, "strength": 1}]}', "as in [[{...}"),
        ('{"recipe": {"flip": true}, "seed": 3}', "Give it to --config"),
        ('{"augment": "randaugment-timm", "magnitude": 20}', "magnitude is 20; it must be a number from 0 to 10"),
        ("{}", "says nothing of how images are augmented"),
        ('{"found": {}}', "says nothing of how images are augmented"),
        ('{"augment": "autoaugmnt"}', "augment is 'autoaugmnt'"),
        ('{"augment": 5}', "augment is 5"),
        ('{"augment": true}', "augment is True"),
        ('{"augment": "other.json"}', "augment is 'other.json'"),
        ('{"augment": {}}', "lacks sub_policies"),
        ('{"augment": {"sub_policies": [[]], "found": 5}}', "has 'found'"),
        ('{"sampling": ["part"]}', "sampling is ['part']"),
        ('{"area": [1]}', "area is (1,)"),
        ('{"area": [true, true]}', "area is (True, True)"),
        ('{"area": ["0.5", "1"]}', "area is ('0.5', '1')"),
        ('{"area": [NaN, 1]}', "area is (nan, 1)"),
        ('{"area": {"0.5": 1, "1": 1}}', "area is {"),
        ('{"flip": 1}', "flip is 1"),
        ('{"flip": null}', "flip is None"),
        ('{"shift": "far"}', "shift is 'far'"),
        ('{"shift": Infinity}', "shift is inf"),
        ('{"erase": -0.1}', "erase is -0.1"),
        ('{"magnitude": 31}', "magnitude is 31"),
        ('{"flip": true, "found": 5}', "found is 5"),
        ('{"flip": true, "found": {"loss": NaN}}', "found cannot be kept"),
        ('{"flip": true, "found": {"a": ' + 99 * "[" + 99 * "]" + "}}", "nested deeper than 20"),
        (
            '{"augment": [[], [{"operations": ["hue"], "probability": 1, "strength": 1e9}]]}',
            "sub-policy 2, step 1: strength is 1",
        ),
        ('{"augment": [[{"operations": {"hue": 1}, "probability": 1, "strength": 1}]]}', "sub-policy 1, step 1: operations is"),
        ('{"augment": [[{"operations": ["hue"], "probability": 1, "strength": 1, "note": ""}]]}', "step 1: A step has 'note'"),
        ('{"augment": [[{"operations": ["hue"], "probability": 1, "strength": 1, "level": 1}]]}', "needs a strength, or"),
        ('{"augment": [[], 5]}', "sub-policy 2 is 5"),
    ],
)
def test_what_is_no_policy_is_refused_by_its_name(content, said, tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(content)
    with pytest.raises(InputError) as raised:
        read_policy(path)
    message = str(raised.value)
    assert said in message and message.startswith(str(path)) and "\n" not in message


def test_a_long_value_is_shortened_in_the_message(tmp_path):
    step = {"operations": ["rotate"] * 500, "probability": 1}
    (tmp_path / "policy.json").write_text(json.dumps({"augment": [[step]]}))
    with pytest.raises(InputError) as raised:
        read_policy(tmp_path / "policy.json")
    assert len(str(raised.value).removeprefix(str(tmp_path))) < 200
