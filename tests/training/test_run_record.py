"""What differs between two settings is said in short."""

from dataclasses import asdict

from warmnet.data.policy import Policy, official
from warmnet.training.recipe import DIGITS
from warmnet.training.run_record import differences, plain

STEP = {"operations": ["rotate", "shear_x", "shear_y"], "probability": 0.5, "strength": 0.3}


def settings(*steps):
    return plain(asdict(DIGITS.with_settings({"augment": [[], list(steps)]})))["augment"]


def test_of_a_short_setting_both_values_are_named():
    assert differences("lr", 0.1, 0.2) == ["lr was 0.1 and is 0.2"]
    assert differences("area", [0.25, 1], [0.5, 1]) == ["area was [0.25, 1] and is [0.5, 1]"]
    assert differences("lr", 0.1, 0.1) == []


def test_of_a_policy_the_numbers_that_differ_are_named():
    before, now = settings(STEP, STEP), settings(STEP, STEP | {"strength": 0.5, "probability": 1})
    assert differences("augment", before, now) == [
        "augment.sub_policies[1][1].probability was 0.5 and is 1",
        "augment.sub_policies[1][1].strength was 0.3 and is 0.5",
    ]
    assert differences("augment", before, settings(STEP)) == ["augment.sub_policies[1] had 2 entries and has 1"]
    assert differences("augment", before, before) == []


def test_a_policy_instead_of_another_thing_is_said_in_a_line():
    (line,) = differences("augment", plain(asdict(official("autoaugment"))), None)
    assert line.startswith("augment was {'sub_policies': ") and line.endswith(" and is None") and len(line) < 100
    assert isinstance(official("autoaugment"), Policy)
