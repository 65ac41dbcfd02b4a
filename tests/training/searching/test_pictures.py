"""The pictures of a search say what was found, and are readable for any number of trials and classes."""

import math
import random
import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch
from figure_texts import check_texts, texts_of
from PIL import Image
from test_searching import search

from warmnet import training
from warmnet.data.policy import Policy, official
from warmnet.training.searching.candidates import draw, settings_of, space
from warmnet.training.searching.number_plots import ENOUGH, importances, numbers_figure
from warmnet.training.searching.planning import FOLDS, compare, plan
from warmnet.training.searching.policy_samples import TOGETHER, caption, columns_of, difference, plot_policy
from warmnet.training.searching.recall_plot import MOST_NAMES, recall_figure, recalls
from warmnet.training.searching.search_folder import AGAIN, FIRST, Job, Result
from warmnet.training.searching.trial_plots import trials_curve

PICTURES = "numbers.png", "recall.png", "samples.png", "trials.png"
DIGITS = training.DIGITS.sized(images=1000, short_side=8)
LONG = [f"a rather long name of a class, number {n}, in a garden" for n in range(1000)]


def run(trials, diverged=(), diverged_again=(), gain=0.1):
    """Results of a search whose losses `area` decides, its last plan, and what was better than the recipe."""
    results, rng = {}, random.Random(1)
    while (now := plan(results.get, lambda n: n < trials, seed=5)).due:
        for job in now.due:
            loss = 1 + rng.gauss(0, 0.02)
            if job.trial:
                loss += 0.8 * abs(now.candidates[job.trial - 1]["area"] - 0.7) - gain
            lost = diverged if job.round == FIRST else diverged_again
            results[job] = Result(math.inf if job.trial in lost else loss, 0.5, 1.0)
    better = next((each for each in compare(results.get, now.best) if each.is_better), None)
    return results, now, better


def means(results, trials, round=FIRST):
    return [statistics.fmean(results[Job(trial, round, fold)].loss for fold in range(FOLDS)) for trial in trials]


def words(figure):
    return [text for text, _ in texts_of(figure)]


def line(axes, label):
    """The places and the values of a line."""
    (found,) = [each for each in axes.lines if each.get_label() == label]
    return [[*map(float, each)] for each in found.get_data()]


def marks(axes, label):
    """The places and the values of marks with bars."""
    (found,) = [each for each in axes.containers if each.get_label() == label]
    return [[*map(float, each)] for each in found.lines[0].get_data()]


def test_a_search_leaves_its_pictures_and_draws_the_same_again(tmp_path):
    found = search(tmp_path / "run", trials=2)
    before = {name: (found.folder / name).read_bytes() for name in PICTURES}
    assert all(min(Image.open(found.folder / name).size) > 300 for name in PICTURES)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    search(tmp_path / "run", trials=2, resume=True)
    assert before == {name: (found.folder / name).read_bytes() for name in PICTURES}
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_the_trials_are_there_with_the_recipe_the_best_so_far_and_what_was_taken():
    results, now, better = run(12)
    figure = trials_curve(results.get, now, better, "digits")
    axes, twice = figure.axes[0], sorted([0, *now.best])
    first, again = means(results, range(12)), dict(zip(twice, means(results, twice, AGAIN)))
    assert {*line(axes, "the recipe, trial 0")[1]} == {first[0]}
    assert line(axes, "best so far")[1] == pytest.approx(np.minimum.accumulate(first))
    assert marks(axes, "a trial: mean and spread of its folds")[1] == pytest.approx(first)
    places, values = marks(axes, "trained again, on other folds")
    assert [round(place) for place in places] == twice and values == pytest.approx([*again.values()])
    assert line(axes, f"trial {better.trial}, taken")[1] == pytest.approx([again[better.trial]])
    assert any(f"trial {better.trial} has {-better.difference:.2g} ± {better.error:.1g} less" in text for text in words(figure))


def test_where_nothing_is_better_the_trials_say_so_and_nothing_is_marked():
    results, now, better = run(8, gain=-0.5)
    figure = trials_curve(results.get, now, better, "digits")
    assert better is None and "digits: nothing better than the recipe was found" in words(figure)
    assert not any("taken" in text for text in words(figure))


def test_trials_that_diverged_are_crosses_at_the_top():
    lost = sorted(run(12, diverged=(3, 4))[1].best[:2])
    results, now, better = run(12, diverged=(3, 4), diverged_again=lost)
    axes = trials_curve(results.get, now, better, "digits").axes[0]
    assert line(axes, "diverged")[0] == [3, 4]
    assert [round(place) for place in line(axes, "diverged, trained again")[0]] == lost
    assert {3, 4}.isdisjoint(marks(axes, "a trial: mean and spread of its folds")[0])
    assert np.isfinite(axes.get_ylim()).all() and axes.get_ylim()[1] < 2


@pytest.mark.parametrize(
    "trials, diverged", [(1, ()), (2, ()), (2, (1,)), (7, ()), pytest.param(60, (7,), marks=pytest.mark.slow)]
)
def test_the_texts_of_trials_and_numbers_have_free_places(trials, diverged):
    results, now, better = run(trials, diverged)
    check_texts(trials_curve(results.get, now, better, "a data set with a name that goes on and on"))
    recipe, *others = means(results, range(trials))
    check_texts(numbers_figure(now.candidates, others, recipe, 5))


@pytest.mark.parametrize("least, spread", [(2.3, 1e-7), (2.3, 3e-3), (0.00023, 1e-4)])
def test_losses_that_are_close_are_read_as_they_are_and_not_drawn_apart(least, spread):
    candidates, losses = draw(0, 5, (), 3), [least + spread * n / 4 for n in range(5)]
    figure = numbers_figure(candidates, losses, least, 0)
    check_texts(figure)
    axes = figure.axes[1]
    assert not axes.yaxis.get_offset_text().get_text()
    assert float(axes.get_yticklabels()[1].get_text()) == pytest.approx(axes.get_yticks()[1])
    low, high = axes.get_ylim()
    assert high - low > 0.0099 * least and low < least < high
    results, now, _ = run(6)
    axes = trials_curve({job: Result(least + spread, 0.5, 1.0) for job in results}.get, now, None, "digits").axes[0]
    assert not axes.yaxis.get_major_formatter().get_useOffset() and np.ptp(axes.get_ylim()) > 0.0099 * least


def test_the_number_that_decides_the_loss_has_the_longest_bar():
    candidates = [numbers for generation in range(8) for numbers in draw(generation, 5, (), 3)]
    losses = [1 + numbers["tone strength"] for numbers in candidates]
    shares = importances(candidates, losses, seed=1)
    assert next(iter(shares)) == "tone strength" and shares["tone strength"] > 0.8
    assert {*shares} == {*space()} and sum(shares.values()) == pytest.approx(1)
    assert importances(candidates, losses, seed=1) == shares
    without = importances([*candidates, candidates[0]], [*losses, math.inf], seed=1)
    assert without == shares, "one that diverged does not count"


@pytest.mark.parametrize("losses", [[], [1.0], [math.inf, 1.0], [1.0, 1.0, 1.0]])
def test_of_losses_that_do_not_differ_no_number_has_a_bar(losses):
    candidates = draw(0, len(losses), (), 3)
    assert importances(candidates, losses, 0) == dict.fromkeys(space(), 0.0)


def test_few_candidates_are_not_to_be_trusted_and_it_is_said():
    candidates = [numbers for generation in range(7) for numbers in draw(generation, 5, (), 3)]
    losses = [1 + numbers["area"] for numbers in candidates]
    few = numbers_figure(candidates[:6], [math.inf, *losses[1:6]], 1.2, 0)
    assert any(text.startswith("By 5 candidates (1 diverged) this is not to be trusted") for text in words(few))
    enough = numbers_figure(candidates[:ENOUGH], losses[:ENOUGH], 1.2, 0)
    assert not any("trusted" in text for text in words(enough))


def test_each_number_is_plotted_against_the_loss_and_pale_where_it_does_not_count():
    candidates = [numbers for generation in range(2) for numbers in draw(generation, 5, (), 3)]
    losses = [1 + 0.1 * n for n in range(10)]
    axes = {each.get_title(): each for each in numbers_figure(candidates, losses, 1.2, 0).axes}
    pale, strong = (
        {
            (x, y)
            for each in axes["area"].lines
            if each.get_marker() == "o" and (each.get_alpha() > 0.5) == is_strong
            for x, y in zip(*each.get_data())
        }
        for is_strong in (False, True)
    )
    dots = [((numbers["area"], loss), numbers["sampling"]) for numbers, loss in zip(candidates, losses)]
    assert strong == {dot for dot, sampling in dots if sampling == "part"} != set()
    assert pale == {dot for dot, sampling in dots if sampling == "shift"} != set()
    assert all(each.get_alpha() > 0.5 for each in axes["flip"].lines if each.get_marker() == "o")


def confusion(classes, images, right):
    """Of each class so many right, and the others taken for the next."""
    matrix = torch.zeros(classes, classes, dtype=torch.long)
    for label in range(classes):
        matrix[label, label] = right(label)
        matrix[label, (label + 1) % classes] = images - right(label)
    return matrix


@pytest.mark.parametrize("with_policy", [True, False], ids=["a policy", "nothing better"])
@pytest.mark.parametrize("names", [["猫", "一只名字很长的狗坐在花园里看着一只小鸟"], LONG[:10], LONG], ids=["2", "10", "1000"])
def test_recall_is_readable_for_any_number_of_classes(names, with_policy):
    count = len(names)
    recipe, policy = confusion(count, 9, lambda label: label % 8), confusion(count, 9, lambda label: 9 - label % 3)
    figure = recall_figure(recalls(recipe, policy if with_policy else None, names))
    check_texts(figure)
    bars = figure.axes[0]
    assert len(bars.patches) == min(count, MOST_NAMES) * (1 + with_policy)
    assert len({label.get_text() for label in bars.get_yticklabels()}) == min(count, MOST_NAMES)
    assert max(figure.get_size_inches()) < 16


def test_recall_by_the_recipe_and_by_the_policy_stand_beside_each_other():
    recipe, policy = torch.tensor([[3, 1, 0], [0, 0, 0], [5, 0, 5]]), torch.tensor([[4, 0, 0], [0, 0, 0], [8, 0, 2]])
    figure = recall_figure(recalls(recipe, policy, ["a", "without test pictures", "c"]))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.75, 0.5, 1.0, 0.2]
    assert {"a", "c", "3 of 4", "4 of 4", "5 of 10", "2 of 10", "by the policy"} <= {*words(figure)}
    assert "without test pictures" not in words(figure)


def test_of_many_classes_those_that_changed_most_are_named():
    recipe, policy = confusion(100, 8, lambda label: 4), confusion(100, 8, lambda label: {7: 8, 42: 0}.get(label, 5))
    figure = recall_figure(recalls(recipe, policy, [f"class {n}" for n in range(100)]))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["class 7", "class 42"]
    assert "All classes: 99 better by the policy, 1 worse" in words(figure)
    places = {tuple(place) for place in figure.axes[1].collections[0].get_offsets().tolist()}
    assert places == {(0.5, 1.0), (0.5, 0.0), (0.5, 0.625)}


def found_recipe():
    numbers = draw(0, 1, (), 0)[0] | {f"{group} probability": 0.45 for group in ("geometry", "tone", "cutout")}
    numbers |= {f"{group} strength": 0.3 for group in ("geometry", "tone", "cutout")}
    return DIGITS.with_settings(settings_of(numbers, DIGITS, has_colours=True))


def test_the_columns_are_sub_policies_or_the_steps_of_the_only_one():
    v0, found = official("autoaugment"), found_recipe()
    assert len(columns_of(replace(DIGITS, augment=v0), v0)) == 25 + TOGETHER
    columns = columns_of(found, found.augment)
    assert len(columns) == 3 + TOGETHER
    assert columns[0].caption == "rotate, shear x,\nshear y\n45%, strength 0.3"
    assert len(columns_of(DIGITS, None)) == TOGETHER
    assert caption(official("randaugment").sub_policies[0][0]) == "one of 16\n100%, level 10"


def test_a_step_is_always_applied_and_the_last_columns_are_as_trained_on():
    policy = Policy([[{"operations": ["solarize"], "probability": 0.0, "strength": 1.0}]])
    recipe = replace(DIGITS, augment=policy)
    step, *_, whole = columns_of(recipe, policy)
    image = training.digits().train[0].image
    plain = recipe.preprocessing.pixels(image)
    assert np.asarray(step.change(image, random.Random(1))).tolist() != np.asarray(plain).tolist()
    trained_on = recipe.augmentation.pixels(plain, recipe.preprocessing, random.Random(1))
    assert whole.change(plain, random.Random(1)).tobytes() == trained_on.tobytes()


def test_under_an_image_is_by_how_much_it_differs():
    black, white = (Image.new("RGB", (4, 4), color) for color in ("black", "white"))
    grey, nearly = (Image.new("RGB", (4, 4), (value, value, value // 2)) for value in (51, 0))
    nearly.putpixel((0, 0), (1, 0, 0))
    differences = [difference(image, black) for image in (black, white, grey, nearly)]
    assert differences == ["unchanged", "differs by 100.0%", "differs by 16.6%", "differs by < 0.1%"]


@pytest.mark.parametrize("augment", ["autoaugment", "randaugment", "randaugment-timm", None])
def test_any_recipe_has_samples_of_bearable_size(tmp_path, augment):
    plot_policy(training.digits(), replace(DIGITS, augment=augment), 0, tmp_path / "samples.png")
    picture = Image.open(tmp_path / "samples.png")
    assert 900 < picture.width < 1500 and picture.height < 3500
    plot_policy(training.digits(), replace(DIGITS, augment=augment), 0, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "samples.png").read_bytes()


def test_columns_that_do_not_fill_a_band_leave_it_white(tmp_path):
    step = {"operations": ["rotate"], "probability": 0.5, "strength": 0.5}
    black = replace(training.digits(), train=[training.digits().train[0]._replace(image=Image.new("RGB", (8, 8)))])
    plot_policy(black, replace(DIGITS, augment=Policy([[step]] * 9)), 0, tmp_path / "samples.png")
    picture = np.asarray(Image.open(tmp_path / "samples.png").convert("L"))[60:]
    first, last = ((band == 0).any(0).astype(int) for band in (picture[:150], picture[-150:]))
    assert [(np.diff(each) == 1).sum() for each in (first, last)] == [8, 6], "the image, and 7 and 5 columns"
