"""What a search has to train next, and what it has found: both follow from the finished trainings, and nothing else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .candidates import GENERATION, Numbers, draw
from .search_folder import AGAIN, FIRST, Job, Result

FOLDS = 3  # parts of the images, each held out in turn
BEST = 3  # candidates that are trained again, with other folds and seeds
TIE = 0.01  # of the recipe's loss; less than that is no difference

Results = Callable[[Job], Result | None]


class Plan(NamedTuple):
    """The candidates that are known by now, without the recipe, which is trial 0; and the trainings that are due.

    - `best`: the trials that did better than the recipe and are trained again, once it is known which.
    """

    candidates: list[Numbers]
    due: list[Job]
    best: list[int]


class Comparison(NamedTuple):
    """A candidate beside the recipe in the trainings of the second round, on the same folds with the same seeds.

    - `difference`, `error`: the mean of its losses less the recipe's, and the standard error of that mean.
    - `recipe`: the mean of the recipe's losses.
    """

    trial: int
    difference: float
    error: float
    recipe: float

    @property
    def is_better(self) -> bool:
        """Whether the candidate does better by more than the error, and by more than a hundredth. So the recipe wins ties."""
        return self.difference < -max(self.error, TIE * self.recipe)


def plan(results: Results, goes_on: Callable[[int], bool], seed: int) -> Plan:
    """What is to be trained now.

    - `goes_on`: whether there is another trial after so many.
    """
    candidates: list[Numbers] = []
    trials = 0
    while goes_on(trials):
        members = [trial for trial in range(trials, trials + GENERATION) if trial == trials or goes_on(trial)]
        finished = tuple(
            (tuple(numbers.items()), loss)
            for trial, numbers in enumerate(candidates, 1)
            if math.isfinite(loss := mean_loss(results, trial))
        )
        drawn = draw(trials // GENERATION, len(members) - (trials == 0), finished, seed)
        candidates += drawn
        due = missing(results, members, FIRST)
        if due:
            return Plan(candidates, due, [])
        trials += len(members)
    better = [trial for trial in range(1, trials) if mean_loss(results, trial) < mean_loss(results, 0)]
    best = sorted(better, key=lambda trial: mean_loss(results, trial))[:BEST]
    return Plan(candidates, missing(results, [0, *best], AGAIN), best)


def missing(results: Results, trials: Sequence[int], round: str) -> list[Job]:
    """The trainings of these trials in a round that are not finished."""
    jobs = [Job(trial, round, fold) for trial in trials for fold in range(FOLDS)]
    return [job for job in jobs if results(job) is None]


def losses(results: Results, trial: int, round: str) -> list[float]:
    """The losses of a trial's finished trainings in a round, a fold each."""
    found = [results(Job(trial, round, fold)) for fold in range(FOLDS)]
    return [result.loss for result in found if result is not None]


def mean_loss(results: Results, trial: int) -> float:
    """The mean loss of a trial in the first round."""
    return statistics.fmean(losses(results, trial, FIRST))


def compare(results: Results, best: Sequence[int]) -> list[Comparison]:
    """The best candidates beside the recipe, the one with the lowest loss in the second round first."""
    comparisons, of_recipe = [], losses(results, 0, AGAIN)
    for trial in best:
        differences = [ours - recipes for ours, recipes in zip(losses(results, trial, AGAIN), of_recipe)]
        error = statistics.stdev(differences) / FOLDS**0.5 if all(map(math.isfinite, differences)) else math.inf
        comparisons.append(Comparison(trial, statistics.fmean(differences), error, statistics.fmean(of_recipe)))
    return sorted(comparisons, key=lambda comparison: (comparison.difference, comparison.trial))
