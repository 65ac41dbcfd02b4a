"""What is due follows from the results alone: in any order, by any number of processes, the same trainings end the same way."""

import math
import random

import pytest

from warmnet import training
from warmnet.data import Data, Sample
from warmnet.training.searching.candidates import GENERATION, draw, folds, has_colours, settings_of
from warmnet.training.searching.planning import BEST, FOLDS, Comparison, compare, mean_loss, plan
from warmnet.training.searching.search_folder import AGAIN, FIRST, Job, Result

TRIALS = 13


def loss_of(job, candidates):
    """A loss that the candidate, the round and the fold decide."""
    if job.trial == 0:
        return 2.0 + 0.01 * job.fold
    numbers = candidates[job.trial - 1]
    return 0.9 + abs(numbers["area"] - 0.7) + 0.1 * numbers["tone strength"] + 0.01 * job.fold + 0.02 * (job.round == AGAIN)


def run(shuffle, trials=TRIALS, diverged=(), stop=None):
    """All results of a search of which what is due is done in any order, and its last plan."""
    results, rng = {}, random.Random(shuffle)
    while (now := plan(results.get, lambda n: n < trials, seed=5)).due and len(results) != stop:
        job = rng.choice(now.due)
        loss = math.inf if job.trial in diverged else loss_of(job, now.candidates)
        results[job] = Result(loss, 0.5, rng.random())
    return results, now


def test_the_order_of_trainings_changes_nothing():
    first, *others = [run(shuffle) for shuffle in range(4)]
    for results, now in others:
        assert now == first[1]
        assert {job: result.loss for job, result in results.items()} == {job: result.loss for job, result in first[0].items()}


def test_as_many_trials_are_trained_as_are_asked_for_and_the_best_again():
    results, now = run(0)
    trained = {(job.trial, job.round) for job in results}
    assert {trial for trial, round in trained if round == FIRST} == {*range(TRIALS)}
    assert {trial for trial, round in trained if round == AGAIN} == {0, *now.best} and len(now.best) == BEST
    assert len(results) == FOLDS * (TRIALS + 1 + BEST)
    losses = [mean_loss(results.get, trial) for trial in range(1, TRIALS)]
    assert [mean_loss(results.get, trial) for trial in now.best] == sorted(losses)[:BEST]


def test_a_generation_waits_for_the_one_before():
    results, now = run(0, stop=FOLDS * GENERATION - 1)
    assert len(now.candidates) == GENERATION - 1 and len(now.due) == 1
    results[now.due[0]] = Result(1.0, 0.5, 1.0)
    assert len(plan(results.get, lambda n: n < TRIALS, seed=5).candidates) == 2 * GENERATION - 1


def test_later_generations_learn_from_earlier_ones():
    results, now = run(0, trials=40)
    means = [mean_loss(results.get, trial) for trial in range(1, 40)]
    assert min(means) < min(means[: GENERATION - 1])
    assert sum(means[-15:]) / 15 < sum(means[:15]) / 15
    best = min(range(1, GENERATION), key=lambda trial: means[trial - 1])
    other = plan({**results, Job(best, FIRST, 0): Result(9.0, 0.5, 1.0)}.get, lambda n: n < 40, seed=5).candidates
    assert other[: GENERATION - 1] == now.candidates[: GENERATION - 1]
    assert other[GENERATION - 1 :] != now.candidates[GENERATION - 1 : len(other)], "it would have been the best"


def test_more_trials_begin_with_the_same_ones():
    assert run(0, trials=20)[1].candidates[: TRIALS - 1] == run(0)[1].candidates


def test_another_seed_draws_other_candidates():
    assert draw(0, 4, (), 1) != draw(0, 4, (), 2)
    assert draw(0, 4, (), 1) == draw.__wrapped__(0, 4, (), 1)


def test_a_candidate_that_diverges_is_none_of_the_best():
    results, now = run(0, diverged=(1, 2, 3, 4, 7))
    assert not {1, 2, 3, 4, 7} & {*now.best}
    few, now = run(0, trials=3, diverged=(1, 2))
    assert not any(comparison.is_better for comparison in compare(few.get, now.best))


def test_what_does_worse_than_the_recipe_is_not_trained_again():
    results = {Job(trial, FIRST, fold): Result(2.0 - (trial == 0), 0.5, 1.0) for trial in range(4) for fold in range(FOLDS)}
    now = plan(results.get, lambda n: n < 4, seed=5)
    assert now.best == [] and {job.trial for job in now.due} == {0}


def test_a_search_of_the_recipe_alone_finds_nothing_else():
    results, now = run(0, trials=1)
    assert now.best == [] and len(results) == 2 * FOLDS


def compared(*differences):
    recipe, trial = [0.5, 0.7, 0.6], 4
    results = {Job(0, AGAIN, fold): Result(recipe[fold], 0.5, 1.0) for fold in range(FOLDS)}
    results |= {Job(trial, AGAIN, fold): Result(recipe[fold] + differences[fold], 0.5, 1.0) for fold in range(FOLDS)}
    return compare(results.get, [trial])[0]


def test_what_cannot_be_told_from_chance_is_not_better():
    assert compared(-0.10, -0.11, -0.12).is_better
    assert not compared(0.0, 0.0, 0.0).is_better, "the recipe wins ties"
    assert not compared(-0.3, 0.2, 0.05).is_better
    assert not compared(-0.0055, -0.0054, -0.0053).is_better and compared(-0.0066, -0.0065, -0.0064).is_better, "of 0.6"
    assert not compared(0.10, 0.11, 0.12).is_better
    assert compared(-0.10, -0.11, -0.12).difference == pytest.approx(-0.11)
    assert compared(-0.10, -0.11, -0.12).error == pytest.approx(0.01 / 3**0.5)


def test_of_several_the_best_of_the_second_round_is_taken():
    results, now = run(0)
    compared = compare(results.get, now.best)
    assert [each.difference for each in compared] == sorted(each.difference for each in compared)
    assert {each.trial for each in compared} == {*now.best} and isinstance(compared[0], Comparison)


def test_each_image_is_held_out_once_and_each_class_evenly():
    digits = training.digits()
    data = Data("some", digits.classes, digits.train[:101], digits.held_out)
    parts = folds(data, 3, seed=1)
    held_out = [id(sample.image) for part in parts for sample in part.held_out]
    assert sorted(held_out) == sorted(id(sample.image) for sample in data.train)
    for part in parts:
        assert {*map(id, part.train)}.isdisjoint(map(id, part.held_out)) and len(part.train) + len(part.held_out) == 101
        assert not {id(sample.image) for sample in data.held_out} & {id(sample.image) for sample in part.train + part.held_out}
        for label in range(10):
            of_class = sum(sample.label == label for sample in data.train)
            assert of_class // 3 <= sum(sample.label == label for sample in part.held_out) <= -(-of_class // 3)
    assert folds(data, 3, seed=1)[0].held_out == parts[0].held_out != folds(data, 3, seed=2)[0].held_out


def test_colours_change_only_where_there_are_some():
    from PIL import Image

    grey, red = Image.new("RGB", (8, 8), (9, 9, 9)), Image.new("RGB", (8, 8), (200, 9, 9))
    assert not has_colours(Data("grey", ("a",), [Sample(grey, 0)] * 300, []))
    assert has_colours(Data("red", ("a",), [Sample(grey, 0)] * 30 + [Sample(red, 0)], []))
    numbers = draw(0, 1, (), 0)[0] | {f"{group} probability": 0.5 for group in ("geometry", "tone", "cutout")}
    numbers |= {f"{group} strength": 0.5 for group in ("geometry", "tone", "cutout")}
    of_grey, of_red = (settings_of(numbers, training.PHOTOS, colours)["augment"].sub_policies[0] for colours in (False, True))
    assert {*of_red[1].operations} - {*of_grey[1].operations} == {"saturation", "hue"}
    assert of_grey[0] == of_red[0]


def test_candidates_are_settings_of_a_recipe():
    for numbers in (each for generation in range(8) for each in draw(generation, 5, (), 3)):
        recipe = training.PHOTOS.with_settings(settings_of(numbers, training.PHOTOS, True)).sized(images=100)
        assert recipe.sampling == numbers["sampling"] and (recipe.shift == 0) == (
            recipe.sampling == "part" or not numbers["shift"]
        )
