"""Candidates of a search: a few numbers each, drawn by optuna in generations, that stand for settings of a recipe."""

from __future__ import annotations

import math
import random
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ...data.images import to_image
from ...data.loading import derive_seed
from ...data.operations import COLOUR, GEOMETRY, TONE
from ...data.policy import Policy, Step
from ...data.samples import Data
from ...errors import InputError, extra
from ..recipe import Recipe
from ..sample_images import spread

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Numbers = Mapping[str, Any]  # of a candidate, by their names in `space`
Finished = tuple[tuple[tuple[str, Any], ...], float]  # numbers of a candidate, as items, and its loss

GENERATION = 5  # candidates that are drawn at once, by what all generations before have shown
LOOKED_AT = 100  # images, for colours
GROUPS = "geometry", "tone", "cutout"


@cache
def draw(generation: int, count: int, finished: tuple[Finished, ...], seed: int) -> list[Numbers]:
    """As many candidates, by what is finished. The same arguments give the same candidates.

    Those of the first generation are drawn at random, the others by TPE, the tree-structured Parzen estimator of optuna.
    """
    with quiet():
        import optuna

        sampler = optuna.samplers.TPESampler(
            n_startup_trials=GENERATION - 1, gamma=good_ones, seed=derive_seed(seed, generation, 0) % 2**32
        )
        study = optuna.create_study(sampler=sampler)
        for items, loss in finished:
            study.add_trial(as_trial(dict(items), loss))
        return [study.ask(space()).params for _ in range(count)]


def good_ones(trials: int) -> int:
    """Of so many trials how many count as good: the better half, at most ten.

    optuna's tenth would be one of the first generation, and all that is not in it, a flip say, were hardly tried again.
    """
    return min(-(-trials // 2), 10)


def space() -> dict[str, BaseDistribution]:
    """What each number of a candidate may be."""
    with extra("search"):
        from optuna.distributions import CategoricalDistribution, FloatDistribution
    most = {"probability": 1, "strength": 0.7}  # beyond, pictures were harmed more often than not
    numbers = {f"{group} {what}": FloatDistribution(0, most[what], step=0.05) for group in GROUPS for what in most}
    return {
        "sampling": CategoricalDistribution(("part", "shift")),
        "area": FloatDistribution(0.2, 1, step=0.05),
        "shift": FloatDistribution(0, 0.15, step=0.01),
        "flip": CategoricalDistribution((False, True)),
        **numbers,
    }


def as_trial(numbers: Numbers, loss: float) -> FrozenTrial:
    """A candidate as a trial of optuna, which failed if its loss is infinite."""
    from optuna.trial import TrialState, create_trial

    if not math.isfinite(loss):
        return create_trial(state=TrialState.FAIL, params=dict(numbers), distributions=space())
    return create_trial(params=dict(numbers), distributions=space(), value=loss)


@contextmanager
def quiet() -> Iterator[None]:
    """optuna says nothing but warnings; afterwards what it said before."""
    with extra("search"):
        import optuna
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`gamma` has been deprecated")  # optuna 6 goes without, see setup.cfg
            yield
    finally:
        optuna.logging.set_verbosity(before)


def settings_of(numbers: Numbers, recipe: Recipe, has_colours: bool) -> dict[str, Any]:
    """The settings of the recipe that a candidate has instead of its own."""
    operations = {"geometry": GEOMETRY, "tone": TONE + (COLOUR if has_colours else ()), "cutout": ("cutout",)}
    steps = tuple(
        Step(operations[group], round(numbers[f"{group} probability"], 2), strength=round(numbers[f"{group} strength"], 2))
        for group in GROUPS
        if numbers[f"{group} probability"] and numbers[f"{group} strength"]
    )
    is_part = numbers["sampling"] == "part"
    return {
        "sampling": numbers["sampling"],
        "area": (round(numbers["area"], 2), 1.0) if is_part else recipe.area,
        "shift": 0.0 if is_part else round(numbers["shift"], 2),
        "flip": numbers["flip"],
        "augment": Policy((steps,)) if steps else None,
    }


def has_colours(data: Data) -> bool:
    """Whether any of 100 images, from the first to the last, has a pixel that is not grey."""
    for sample in spread(data.train, LOOKED_AT):
        red, green, blue = to_image(sample.image).split()
        if red.tobytes() != green.tobytes() or red.tobytes() != blue.tobytes():
            return True
    return False


def folds(data: Data, count: int, seed: int) -> list[Data]:
    """The images to train on in `count` ways: each class dealt out at random, and in turn one part held out."""
    rng = random.Random(seed)
    of_class: dict[int, list[int]] = {}
    for number, sample in enumerate(data.train):
        of_class.setdefault(sample.label, []).append(number)
    part_of: dict[int, int] = {}
    for label in sorted(of_class):
        rng.shuffle(of_class[label])
        first = rng.randrange(count)  # so that what is left over of small classes is not all in one part
        for place, number in enumerate(of_class[label]):
            part_of[number] = (first + place) % count
    return [_without(data, [number for number in range(len(data.train)) if part_of[number] == part]) for part in range(count)]


def _without(data: Data, held_out: Sequence[int]) -> Data:
    """A data set that holds out these of the images to train on."""
    apart = set(held_out)
    train = [sample for number, sample in enumerate(data.train) if number not in apart]
    return Data(data.name, data.classes, train, [data.train[number] for number in held_out], facts=data.facts)


def check_enough(data: Data, count: int) -> None:
    """Raise InputError if there are too few images to search on."""
    if not data.held_out:
        raise InputError(f"{data.name}: there are no test pictures. Hold out a share, such as 0.2.")
    counts = Counter(data.classes[label] for _, label in data.train)
    few = [name for name in data.classes if counts[name] < count]
    if few:
        raise InputError(
            f"The class {few[0]} has {counts[few[0]]} images beside the test pictures. A search holds out a third of each "
            f"class in turn: {count} is the least."
        )
