"""One of the processes that take part in a search: it trains what is due and nobody else trains."""

from __future__ import annotations

import math
import shutil
import statistics
import time
import warnings
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ...checks import whole
from ...data.files import replacing
from ...data.loading import derive_seed, worker_errors
from ...data.policy_file import SETTINGS
from ...data.samples import Data
from ...data.split_csv import SplitRow, digest_of, split_of
from ...errors import InputError
from ...networks.classifier import Classifier
from ...version import __version__
from ...weights import WeightsWarning
from ...weights.reading import Source
from ..checks import check_run
from ..execution import Execution
from ..initial_network import load_source
from ..recipe import Recipe
from ..resumption import CHECKPOINT, read_checkpoint
from ..run import fit, prepared, repeatable, train
from ..run_record import RECORD, read_record
from ..steps import Diverged
from .candidates import GENERATION, check_enough, folds, has_colours, settings_of, space
from .planning import BEST, FOLDS, Comparison, Plan, compare, losses, missing, plan
from .search_folder import AGAIN, ROUNDS, Checkpoints, Job, Result, SearchFolder

END = "trials.json"  # how many trials there are time for
TRIALS = 20
WAIT = 0.2  # seconds, while others train what has to be finished first
WHOLE = 1.5  # an image to train on of a fold is so many of all
RECIPE = "recipe"  # the folder of the last training by the recipe as it is


class Length(NamedTuple):
    """How long a search is: so many trials, or minutes of so many processes."""

    trials: int | None
    minutes: float | None
    jobs: int


class Search:
    """A search, as one of the processes sees it that take part."""

    def __init__(
        self, data: Data, recipe: Recipe, folder: Path, variant: Any, source: Source | None, seed: int, execution: Execution,
        network: type[Classifier] | None,
    ):  # fmt: skip
        check_enough(data, FOLDS)
        whole("seed", seed, 0)
        space()  # optuna is there
        self.source = None if source is None else load_source(source, network, variant)
        tried, _ = check_run(recipe, execution, network=network, variant=variant, source=self.source, seed=seed)
        sized = recipe.sized_for(self.source or tried, data, from_weights=source is not None)
        self.recipe = replace(recipe, resolution=sized.resolution, crop=sized.crop, area=sized.area, patience=None)
        self.data, self.variant, self.seed, self.execution = data, variant, seed, execution
        self.network, self.variant_name = type(tried), tried.variant_name
        self.files = SearchFolder(folder)
        self.length = Length(TRIALS, None, 1)

    @cached_property
    def folds(self) -> dict[str, list[Data]]:
        """The images of the first and the second round, in each way that they are dealt out."""
        return {round: folds(self.data, FOLDS, derive_seed(self.seed, number)) for number, round in enumerate(ROUNDS)}

    @cached_property
    def split(self) -> list[SplitRow]:
        """Which images are test pictures, and which are searched on."""
        return split_of(self.data)

    @cached_property
    def has_colours(self) -> bool:
        return has_colours(self.data)

    def plan(self) -> Plan:
        """The candidates and the trainings that are due."""
        return plan(self.files.result, self.goes_on, self.seed)

    def goes_on(self, trials: int) -> bool:
        """Whether there is another trial after so many. Where minutes are given, the first process that asks decides."""
        if self.length.minutes is None:
            return trials < (self.length.trials or TRIALS)
        if trials % GENERATION or not trials:
            return True
        end = self.files.path / END
        if not end.exists() and self._minutes_of(trials + GENERATION) > self.length.minutes:
            with self.files.claimed(END):
                if not end.exists():
                    with replacing(end) as path:
                        path.write_text(f"{trials}\n")
        return not end.exists() or trials < self._trials_in(end)

    def _trials_in(self, end: Path) -> int:
        try:
            return int(end.read_text())
        except ValueError as error:
            raise InputError(
                f"{end} is not a whole number. Remove it: how many trials there is time for is counted anew."
            ) from error

    def _minutes_of(self, trials: int) -> float:
        """What a search of so many trials takes, by what the trainings so far took."""
        seconds = self.files.seconds()
        count = FOLDS * (trials + BEST + 1) + 2 * WHOLE
        return count * statistics.fmean(seconds) / self.length.jobs / 60 if seconds else 0.0

    def _minutes_so_far(self) -> float:
        return sum(self.files.seconds()) / self.length.jobs / 60

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
        return [name for name in self.last if not self._is_trained(name)]

    def _attempt(self, task: Job | str) -> bool:
        """Whether the task was done by this process, and not by another."""
        with self.files.claimed(str(task)) as ours:
            if not ours:
                return False
            if isinstance(task, str):
                if not self._is_trained(task):
                    self._train_whole(task)
            elif self.files.result(task) is None:
                result = self._train(task)
                with self.files.one_at_a_time():
                    self.files.write_result(task, result)
                    self._say_how_long()
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

    @property
    def last(self) -> list[str]:
        """The last trainings, on all images but the test pictures: by the recipe, and by the candidate that is better."""
        return [RECIPE, f"trial-{self.better.trial:03}"] if self.better else [RECIPE]

    def _train_whole(self, name: str) -> None:
        """Train on all but the test pictures, by the recipe or by the policy."""
        recipe = self.recipe if name == RECIPE else self.recipe.with_settings(self.policy_settings(self.better))
        folder = self.files.path / name
        if (folder / RECORD).exists() and not _is_run(folder):
            shutil.rmtree(folder)
        print(f"{folder} is trained on all but the test pictures", flush=True)
        fit(
            self.data, recipe, folder, variant=self.variant, source=self.source, seed=self.seed,
            execution=self.execution, resume=(folder / CHECKPOINT).exists(), network=self.network, progress=False,
        )  # fmt: skip

    def _is_trained(self, name: str) -> bool:
        """Whether the network is there that is trained on all but the test pictures."""
        folder = self.files.path / name
        return _is_run(folder) and read_record(folder / RECORD).get("results") is not None

    def confusion(self, name: str) -> Tensor:
        """(classes, classes): the confusion of the test pictures by a network trained on all others."""
        confusion: Tensor = read_checkpoint(self.files.path / name)["confusion"]
        return confusion

    def policy_settings(self, better: Comparison | None) -> dict[str, Any]:
        """The settings of policy.json: by the candidate, or the recipe as it is, and where they come from."""
        recipe = self.recipe_of(better.trial if better else 0)
        return {**{name: getattr(recipe, name) for name in SETTINGS}, "found": self.found(better)}

    def found(self, better: Comparison | None) -> dict[str, Any]:
        """Where the policy comes from: nothing that depends on time or on the number of processes."""
        trial, of = better.trial if better else 0, self.files.result
        recipes, ours = losses(of, 0, AGAIN), losses(of, trial, AGAIN)
        return {
            "result": "better than the recipe" if better else "nothing better than the recipe was found",
            "recipe": self.recipe.name,
            "variant": self.variant_name,
            "resolution": self.recipe.resolution,
            "seed": self.seed,
            "images": {"name": self.data.name, "searched on": len(self.data.train), "sha256": digest_of(self.split)},
            "trial": trial,
            "held-out losses": {"recipe": recipes, "policy": ours},
            "difference": better.difference if better else 0.0,
            "standard error": better.error if better else 0.0,
            "warmnet": __version__,
        }

    def _say_how_long(self) -> None:
        """Print, after the first training of all, what the search will take."""
        seconds = self.files.seconds()
        if len(seconds) == 1 and self.length.trials:
            minutes = self._minutes_of(self.length.trials)
            print(f"a training takes {seconds[0]:.0f} s, the search about {max(minutes, 1):.0f} min", flush=True)

    def _say(self, trial: int, round: str) -> None:
        """Print a line on a trial that is finished in a round."""
        of_trial, last = losses(self.files.result, trial, round), self.length.trials
        mean = statistics.fmean(of_trial)
        said = f"held out {mean:.3f} ± {statistics.pstdev(of_trial):.3f}" if math.isfinite(mean) else "diverged"
        name = f"trial {trial} again" if round == AGAIN else f"trial {trial}/{last - 1}" if last else f"trial {trial}"
        left = self._minutes_of(last) - self._minutes_so_far() if last else 0
        rest = f"   about {left:.0f} min left" if left > 1 else ""
        what = "   the recipe as it is" if trial == 0 else ""
        print(f"{name}   {said}{rest}{what}", flush=True)


def _is_run(folder: Path) -> bool:
    """Whether a folder has what a run needs to go on, or to be read; not where a file of it is lost or damaged."""
    try:
        return bool(read_record(folder / RECORD)) and bool(read_checkpoint(folder, lazily=True))
    except (InputError, FileNotFoundError):
        return False
