"""The folder of a search: its settings, and one small file for each training that is finished, whole at any moment.

Whoever can write here takes part. A training is locked while it is under way, by a lock of the operating system, which is free
again when its process has ended, however it did: so what a dead process had begun is taken up by the next that comes.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...data.files import parse_json, replacing, write_pickle
from ...errors import extra
from ..resumption import CHECKPOINT, DAMAGED
from ..steps import Training
from .candidates import Numbers, as_trial, quiet

with extra("search"):
    from filelock import FileLock, Timeout

ROUNDS = FIRST, AGAIN = "fold", "again"  # each has other folds, and other seeds
JOURNAL = "journal.log"
SAVE_EVERY = 20  # seconds


class Job(NamedTuple):
    """A training of a search: of a candidate, in one of the rounds, with one of its folds held out."""

    trial: int
    round: str
    fold: int

    def __str__(self) -> str:
        return f"trial-{self.trial:03}-{self.round}-{self.fold}"


class Result(NamedTuple):
    """What came of a training: loss and accuracy of the images held out, infinite and 0 if it diverged; and its seconds."""

    loss: float
    accuracy: float
    seconds: float


class SearchFolder:
    """The files of a search."""

    def __init__(self, path: Path):
        self.path, self.trainings = path, path / "trainings"
        self._results: dict[Job, Result] = {}

    def result(self, job: Job) -> Result | None:
        """What came of a training; None if it is not finished, or its file is damaged."""
        if job not in self._results:
            try:
                result = _result(parse_json((self.trainings / f"{job}.json").read_bytes()))
            except (FileNotFoundError, ValueError, TypeError, AttributeError):
                return None
            if job.trial == 0 and math.isinf(result.loss):  # the recipe's are never written so
                return None
            self._results[job] = result
        return self._results[job]

    def write_result(self, job: Job, result: Result) -> None:
        """Keep what came of a training, whose checkpoint is not needed any more."""
        content = {name: value if math.isfinite(value) else None for name, value in result._asdict().items()}
        with replacing(self.trainings / f"{job}.json") as path:
            path.write_text(json.dumps(content) + "\n")
        shutil.rmtree(self.trainings / str(job), ignore_errors=True)

    def one_at_a_time(self) -> FileLock:
        """A lock that processes wait for: so one alone sees that a training was the last of its trial."""
        return FileLock(self.trainings / ".results.lock")

    def seconds(self) -> list[float]:
        """What each of the trainings took that this process knows of."""
        return [result.seconds for result in self._results.values()]

    @contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Whether what has that name is this process's alone, until the block has ended."""
        self.trainings.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.trainings / f".{name}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def write_journal(self, candidates: Sequence[Numbers], losses: Sequence[float]) -> None:
        """Write all trials but the recipe as a journal of optuna, for its dashboard and `optuna.load_study`."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        with quiet(), replacing(self.path / JOURNAL) as path:
            study = optuna.create_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name=self.path.name)
            for numbers, loss in zip(candidates, losses):
                study.add_trial(as_trial(numbers, loss))


def _result(content: Any) -> Result:
    """What a file holds that `write_result` wrote. ValueError, TypeError or AttributeError if it is another."""
    result = Result(**{name: math.inf if value is None else float(value) for name, value in content.items()})
    if math.isnan(sum(result)):
        raise ValueError("one of its numbers is none")
    return result


class Checkpoints:
    """Keeps the newest state of a training and nothing else, see `run.Keeper`."""

    def __init__(self, folder: Path):
        self.folder, self.saved = folder, time.monotonic()

    def load(self, training: Training) -> None:
        """Go on with what a process that has ended saved here, if it did and it can be read."""
        with suppress(*DAMAGED):
            training.load_state_dict(torch.load(self.folder / CHECKPOINT, "cpu", weights_only=True))

    def save(self, training: Training) -> None:
        """Keep the newest state."""
        with replacing(self.folder / CHECKPOINT) as path:
            write_pickle(training.state_dict(), path)
        self.saved = time.monotonic()

    def write(self, training: Training) -> None:
        """Keep the state after an epoch, but not more often than every 20 seconds."""
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save(training)
