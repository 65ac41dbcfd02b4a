"""A search for the augmentations by which a network learns most from the images that there are.

What is to be trained next follows from what is finished, see planning.py: not from how many processes take part, nor from how
often one was killed. So all of them end with the same policy.json, byte for byte.
"""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ...authoring.source_code import find_source_code
from ...data.files import replacing
from ...data.loading import derive_seed, worker_errors
from ...data.policy import SETTINGS, write_policy
from ...data.samples import Data
from ...data.split_csv import SPLIT, digest_of, split_of, write_split
from ...errors import InputError
from ...networks.classifier import Classifier
from ...version import __version__
from ...weights import WeightsWarning
from ...weights.reading import Source
from ..checks import check_run
from ..execution import Execution
from ..initial_network import digest, load_source
from ..recipe import Recipe
from ..resumption import CHECKPOINT, check_same_images, read_checkpoint
from ..run import fit, prepared, repeatable, train
from ..run_folder import check_free
from ..run_record import RECORD, new_record, plain, read_record, run_settings, to_json
from ..steps import Diverged
from .candidates import GENERATION, folds, has_colours, settings_of, space
from .jobs import Jobs, one_thread
from .pictures import draw_pictures
from .planning import BEST, FOLDS, Comparison, Plan, compare, losses, mean_loss, missing, plan
from .search_folder import AGAIN, ROUNDS, Checkpoints, Job, Result, SearchFolder

SEARCH, POLICY, END = "search.json", "policy.json", "trials.json"
TRIALS = 20
WAIT = 0.2  # seconds, while others train what has to be finished first
WHOLE = 1.5  # an image to train on of a fold is so many of all
RECIPE, FOUND = "recipe", "policy"  # the last trainings, on all images but the test pictures


class Outcome(NamedTuple):
    """What a search found.

    - `folder`, `policy`: where it is, and policy.json there.
    - `is_better`: whether anything better than the recipe was found; if not, the policy is the recipe's own.
    - `losses`: the mean held-out loss of each trial; the first is the recipe's.
    - `recipe`, `found`: accuracy on the test pictures, trained by the recipe as it is and by the policy.
    """

    folder: Path
    policy: Path
    is_better: bool
    losses: list[float]
    recipe: float
    found: float


def search(
    data: Data, recipe: Recipe, folder: str | Path, *,
    trials: int | None = None, minutes: float | None = None, jobs: int = 1,
    variant: Any = None, source: Source | None = None, seed: int = 0, execution: Execution | None = None,
    resume: bool = False, network: type[Classifier] | None = None, options: Mapping[str, Any] | None = None,
) -> Outcome:  # fmt: skip
    """The augmentations by which a network trained by `recipe` has the lowest held-out loss, in policy.json of `folder`.

    `data.held_out`, the test pictures, are set aside: the search sees `data.train` alone, in three parts of which each is held
    out in turn. Trial 0 is the recipe as it is, and the best trials are trained again with other parts and seeds: only what is
    better then, too, is believed. At the end all but the test pictures is trained on, by the recipe and by what was found.

    - `trials`: how many. Default: 20. `minutes`: instead, as many as are done in that time, about.
    - `jobs`: processes that train, each with one thread; with any number of them the policy is the same.
    - `resume`: go on with the search in `folder`, or take part in it while others are at it; perhaps with more `trials`.
    - `variant`, `source`, `seed`, `execution`, `network`, `options`: as for `fit`. With several jobs, a network of
      your own is one of a file.

    The recipe's patience is not used: neither held-out images nor test pictures choose an epoch.
    """
    found = Search(data, recipe, Path(folder), variant, source, seed, execution or Execution(), network)
    found.open(resume, trials, minutes, jobs, options or {})
    with one_thread(), Jobs(found, found.network, jobs - 1):
        found.work()
    return found.finish()


class Search:
    """A search, as one of the processes sees it that take part."""

    def __init__(
        self, data: Data, recipe: Recipe, folder: Path, variant: Any, source: Source | None, seed: int, execution: Execution,
        network: type[Classifier] | None,
    ):  # fmt: skip
        _check(data)
        space()  # optuna is there
        self.source = None if source is None else load_source(source, network, variant)
        tried, _ = check_run(recipe, execution, network=network, variant=variant, source=self.source, seed=seed)
        sized = recipe.sized_for(self.source or tried, data, from_weights=source is not None)
        self.recipe = replace(recipe, resolution=sized.resolution, crop=sized.crop, area=sized.area, patience=None)
        self.data, self.variant, self.seed, self.execution = data, variant, seed, execution
        self.network, self.variant_name = type(tried), tried.variant_name
        self.files = SearchFolder(folder)
        self.settings: dict[str, Any] = {}

    def open(self, resume: bool, trials: int | None, minutes: float | None, jobs: int, options: Mapping[str, Any]) -> None:
        """Begin the search in its folder, or go on with the one that is there. Raises InputError if that is another."""
        if trials is not None and minutes is not None:
            raise InputError("trials and minutes say both how long the search is. Leave out one of them.")
        path, split = self.files.path / SEARCH, split_of(self.data)
        code, weights = find_source_code(self.network), digest(self.source) if self.source else None
        settings = run_settings(self.recipe, self.variant_name, self.seed, code, weights)
        length = {"trials": trials or (None if minutes else TRIALS), "minutes": minutes, "jobs": jobs}
        now = {**new_record(settings, self.data, self.execution, options), **length, "split": digest_of(split)}
        if not resume:
            check_free(self.files.path)
        else:
            before = read_search(self.files.path)
            check_same_images(self.files.path, before, now, split)
            _check_same(self.files.path, before, plain(now))
            if not trials and not minutes:
                length |= {name: before[name] for name in ("trials", "minutes")}
            if length["minutes"] != before["minutes"]:
                (self.files.path / END).unlink(missing_ok=True)
            now = {**before, **length, "jobs": before["jobs"]}
        if not resume or now != before:
            with replacing(path) as temporary:
                temporary.write_text(to_json(now), encoding="utf-8")
        if not (self.files.path / SPLIT).exists():
            write_split(self.files.path, split)
        self.settings = {**length, "split": now["split"]}

    @cached_property
    def folds(self) -> dict[str, list[Data]]:
        """The images of the first and the second round, in each way that they are dealt out."""
        return {round: folds(self.data, FOLDS, derive_seed(self.seed, number)) for number, round in enumerate(ROUNDS)}

    @cached_property
    def has_colours(self) -> bool:
        return has_colours(self.data)

    def plan(self) -> Plan:
        """The candidates and the trainings that are due."""
        return plan(self.files.result, self.goes_on, self.seed)

    def goes_on(self, trials: int) -> bool:
        """Whether there is another trial after so many. Where minutes are given, the first process that asks decides."""
        if self.settings["trials"]:
            return trials < self.settings["trials"]
        if trials % GENERATION or not trials:
            return True
        end = self.files.path / END
        if not end.exists() and self._minutes_of(trials + GENERATION) > self.settings["minutes"]:
            with self.files.claimed(END):
                if not end.exists():
                    with replacing(end) as path:
                        path.write_text(f"{trials}\n")
        return not end.exists() or trials < int(end.read_text())

    def _minutes_of(self, trials: int) -> float:
        """What a search of so many trials takes, by what the trainings so far took."""
        seconds = self.files.seconds()
        count = FOLDS * (trials + BEST + 1) + 2 * WHOLE
        return count * statistics.fmean(seconds) / self.settings["jobs"] / 60 if seconds else 0.0

    def _minutes_so_far(self) -> float:
        return sum(self.files.seconds()) / self.settings["jobs"] / 60

    def work(self) -> None:
        """Train what is due and nobody else trains, until all is done."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeightsWarning)  # that each training has a new classifier
            while due := self._due():
                if not any(self._attempt(task) for task in due):
                    time.sleep(WAIT)

    def _due(self) -> list[Job | str]:
        due = self.plan().due
        if due:
            return [*due]
        last = [RECIPE, FOUND] if self.better else [RECIPE]
        return [name for name in last if self._accuracy(name) is None]

    def _attempt(self, task: Job | str) -> bool:
        """Whether the task was done by this process, and not by another."""
        with self.files.claimed(str(task)) as ours:
            if not ours:
                return False
            if isinstance(task, str):
                if self._accuracy(task) is None:
                    self._train_whole(task)
            elif self.files.result(task) is None:
                result = self._train(task)
                with self.files.one_at_a_time():
                    self.files.write_result(task, result)
                    if not missing(self.files.result, [task.trial], task.round):
                        self._say(task.trial, task.round)
        return True

    def _train(self, job: Job) -> Result:
        """What comes of a candidate on one of the folds."""
        data, started = self.folds[job.round][job.fold], time.perf_counter()
        seed = derive_seed(self.seed, ROUNDS.index(job.round), job.fold)  # the same for all candidates
        keeper = Checkpoints(self.files.trainings / str(job))
        try:
            with repeatable(seed), worker_errors():
                recipe = self.recipe_of(job.trial)
                training, _ = prepared(data, recipe, self.variant, self.source, seed, self.execution, self.network)
                keeper.load(training)
                train(training, data, keeper, self.execution.workers, visible=False)
        except Diverged:
            if job.trial == 0:
                raise
            return Result(math.inf, 0.0, time.perf_counter() - started)
        last = training.history[-1]
        return Result(last.held_out_loss, last.held_out_accuracy, time.perf_counter() - started)

    def recipe_of(self, trial: int) -> Recipe:
        """The recipe of a trial: 0 is that of the search as it is."""
        return self.recipe if trial == 0 else self.recipe.with_settings(self._settings_of(trial))

    def _settings_of(self, trial: int) -> dict[str, Any]:
        return settings_of(self.plan().candidates[trial - 1], self.recipe, self.has_colours)

    @property
    def comparisons(self) -> list[Comparison]:
        """The best candidates beside the recipe, once all are trained twice."""
        return compare(self.files.result, self.plan().best)

    @property
    def better(self) -> Comparison | None:
        """The best candidate that is better than the recipe, if there is one."""
        return next((comparison for comparison in self.comparisons if comparison.is_better), None)

    def _train_whole(self, name: str) -> None:
        """Train on all but the test pictures, by the recipe or by the policy."""
        recipe = self.recipe
        if name == FOUND:
            assert self.better is not None
            recipe = recipe.with_settings(self._policy_settings(self.better))
        folder = self.files.path / name
        fit(
            self.data, recipe, folder, variant=self.variant, source=self.source, seed=self.seed,
            execution=self.execution, resume=(folder / CHECKPOINT).exists(), network=self.network, progress=False,
        )  # fmt: skip

    def _accuracy(self, name: str) -> float | None:
        """The accuracy on the test pictures of a network trained on all others; None if it is not trained yet."""
        path = self.files.path / name / RECORD
        results = read_record(path)["results"] if path.exists() else None
        return results["held_out_accuracy"] if results else None

    def _confusion(self, name: str) -> Tensor:
        """(classes, classes): the confusion of the test pictures by a network trained on all others."""
        confusion: Tensor = read_checkpoint(self.files.path / name)["confusion"]
        return confusion

    def _policy_settings(self, better: Comparison | None) -> dict[str, Any]:
        """The settings of policy.json: the candidate's, which know where they come from, or the recipe's own."""
        if better is None:
            return {name: getattr(self.recipe, name) for name in SETTINGS}
        settings = self._settings_of(better.trial)
        if settings["augment"] is not None:
            settings["augment"] = replace(settings["augment"], found=self._found(better))
        return settings

    def _found(self, better: Comparison | None) -> dict[str, Any]:
        """Where the policy comes from: nothing that depends on time or on the number of processes."""
        trial, of = better.trial if better else 0, self.files.result
        recipes, ours = losses(of, 0, AGAIN), losses(of, trial, AGAIN)
        return {
            "result": "better than the recipe" if better else "nothing better than the recipe was found",
            "recipe": self.recipe.name,
            "variant": self.variant_name,
            "resolution": self.recipe.resolution,
            "seed": self.seed,
            "images": {"name": self.data.name, "searched on": len(self.data.train), "sha256": self.settings["split"]},
            "trials": 1 + len(self.plan().candidates),
            "trial": trial,
            "held-out losses": {"recipe": recipes, "policy": ours},
            "difference": better.difference if better else 0.0,
            "standard error": better.error if better else 0.0,
            "warmnet": __version__,
        }

    def finish(self) -> Outcome:
        """Write policy.json, the journal and the pictures; what was found."""
        better, plan = self.better, self.plan()
        path = self.files.path / POLICY
        write_policy(path, self._policy_settings(better), self._found(better))
        trials = range(1 + len(plan.candidates))
        means = [mean_loss(self.files.result, trial) for trial in trials]
        self.files.write_journal(plan.candidates, means[1:])
        recipe = self._accuracy(RECIPE)
        found = self._accuracy(FOUND) if better else recipe
        assert recipe is not None and found is not None
        taken = self.recipe_of(better.trial) if better else self.recipe
        confusions = self._confusion(RECIPE), self._confusion(FOUND) if better else None
        draw_pictures(self.files, self.data, plan, better, taken, self.seed, confusions)
        return Outcome(self.files.path, path, better is not None, means, recipe, found)

    def _say(self, trial: int, round: str) -> None:
        """Print a line on a trial that is finished in a round."""
        of_trial, last = losses(self.files.result, trial, round), self.settings["trials"]
        mean = statistics.fmean(of_trial)
        said = f"held out {mean:.3f} ± {statistics.pstdev(of_trial):.3f}" if math.isfinite(mean) else "diverged"
        name = f"trial {trial} again" if round == AGAIN else f"trial {trial}/{last - 1}" if last else f"trial {trial}"
        left = self._minutes_of(last) - self._minutes_so_far() if last else 0
        rest = f"   about {left:.0f} min left" if left > 1 else ""
        what = "   the recipe as it is" if trial == 0 else ""
        print(f"{name}   {said}{rest}{what}", flush=True)


def read_search(folder: Path) -> dict[str, Any]:
    """The settings of the search in a folder. Raises InputError if there is none."""
    if not (folder / SEARCH).exists():
        raise InputError(f"{folder} holds no search to go on with: it has no {SEARCH}. Start it without --resume.")
    return read_record(folder / SEARCH)


def _check(data: Data) -> None:
    """Raise InputError if there are too few images to search on."""
    if not data.held_out:
        raise InputError(f"{data.name}: there are no test pictures. Hold out a share, such as 0.2.")
    counts = Counter(data.classes[label] for _, label in data.train)
    few = [name for name in data.classes if counts[name] < FOLDS]
    if few:
        raise InputError(
            f"The class {few[0]} has {counts[few[0]]} images beside the test pictures. A search holds out a third of each "
            f"class in turn: {FOLDS} is the least."
        )


def _check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise InputError if the search in a folder is another than this one."""
    changes = []
    for name, value in {**now, **now["recipe"]}.items():
        old = {**before, **before["recipe"]}.get(name)
        if name in ("variant", "seed", "source_code", "weights_sha256", *now["recipe"]) and old != value:
            changes.append(f"{name} was {old} and is {value}")
    if changes:
        raise InputError(
            f"The search in {folder} was started otherwise: {'; '.join(changes)}. Go on with what it was started with, or "
            f"start a new one in another --out."
        )
