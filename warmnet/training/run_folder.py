"""The folder of a run: what is in it, whole at any moment, and how a run goes on from it."""

from __future__ import annotations

import csv
import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from PIL.Image import Image

from .. import weights
from ..authoring.model_files import Code
from ..errors import InputError
from ..weights.saving import write_pickle
from .data import SPLIT, Data, Sample, file_of, read_split
from .plots import plot_confusion, plot_learning
from .steps import Epoch, Training

BEST = "best.safetensors"  # the weights of the epoch with the lowest held-out loss
CHECKPOINT = "checkpoint.pt"  # the newest state of a run that is not finished


def new_folder(name: str) -> Path:
    """The first of runs/name-1, runs/name-2, ... that is not there, made."""
    while True:
        folder = next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())
        with suppress(FileExistsError):  # another process was faster
            folder.mkdir(parents=True)
            return folder


def check_free(folder: Path) -> None:
    """Raise if a run folder cannot be made there, or there is anything; an empty folder, or half a file, is nothing."""
    if folder.exists() and (not folder.is_dir() or any(not path.name.startswith(".") for path in folder.iterdir())):
        raise InputError(f"{folder} is there already, and nothing is written over. Choose another --out, or remove it.")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryDirectory(prefix=".", dir=there).cleanup()
    except OSError as error:
        raise InputError(f"{there} cannot be written to: {error.strerror}. Choose another --out.") from error


def trained_on(run: Path, samples: Sequence[Sample]) -> list[Sample]:
    """Those of the samples that a run was trained on, by its split.csv, if it has one."""
    names = {file for part, _, file, _ in read_split(run) if part == "train"}
    return [sample for sample in samples if not isinstance(sample.image, Image) and file_of(sample.image)[0] in names]


class RunFolder:
    """The folder of a run; the first process alone writes into it, and every file is whole at any moment."""

    def __init__(self, path: Path, data: Data, said: dict[str, Any], fabric: Fabric, code: Code | None):
        self.path, self.data, self.fabric, self.code = path, data, fabric, code
        self.split = data.split()
        self.said = {**said, "split": hashlib.sha256(ascii(self.split).encode()).hexdigest(), "network": code and str(code)}
        self.board: Any = None

    def take_up(self, training: Training) -> None:
        """Go on with what was saved here."""
        if not (self.path / CHECKPOINT).exists():
            if (self.path / weights.FILE).exists():
                raise InputError(f"The run in {self.path} is finished. There is nothing to go on with.")
            raise InputError(f"{self.path} holds no run to go on with: it has no {CHECKPOINT}. Start it without --resume.")
        state = torch.load(self.path / CHECKPOINT, "cpu", weights_only=True)
        self._check_same(state["said"])
        training.take_up(state)

    def save(self, training: Training) -> None:
        """Keep the newest state of the run."""
        training.join()
        if self.fabric.is_global_zero:
            for left in self.path.glob(".*-*.*"):  # by a process that was killed while it wrote
                left.unlink(missing_ok=True)
            with weights.replacing(self.path / CHECKPOINT) as path:
                write_pickle({**training.state(), "said": self.said}, path)
            if not (self.path / SPLIT).exists():
                self._csv(SPLIT, [("part", "class", "file", "bytes"), *self.split])
            if self.code and self.code.file and not (self.path / self.code.file).exists():
                with weights.replacing(self.path / self.code.file) as path:
                    path.write_bytes(self.code.text)
        self.fabric.barrier()

    def write(self, training: Training) -> None:
        """Keep what an epoch has brought: the weights, the best weights, metrics.csv, and the state to go on from."""
        last = training.history[-1]
        metadata = {"epoch": last.epoch, "held_out_accuracy": last.held_out_accuracy}
        metadata |= {key: self.said[key] for key in ("recipe", "seed", "network")}
        if self.fabric.is_global_zero:
            with training.weights_to_save() as model:
                for name in [weights.FILE] + [BEST] * (training.best == last.epoch):
                    weights.save(model, self.path / name, **metadata)
            self._csv("metrics.csv", [Epoch._fields, *training.history])
            self._show(last, training.step)
        self.save(training)

    def choose_best(self) -> None:
        """Make the best epoch's weights those of the run."""
        if self.fabric.is_global_zero:
            with weights.replacing(self.path / weights.FILE) as path:
                path.write_bytes((self.path / BEST).read_bytes())

    def draw(self, training: Training) -> None:
        """The pictures of what there is so far."""
        if training.history and self.fabric.is_global_zero:
            plot_learning(training.history, self.data.name, self.path / "learning-curve.png")
            plot_confusion(training.confusion, self.data.classes, self.path / "confusion-matrix.png")

    def finish(self) -> None:
        if self.fabric.is_global_zero:
            (self.path / CHECKPOINT).unlink(missing_ok=True)
        self.fabric.barrier()

    def _show(self, last: Epoch, step: int) -> None:
        """Give an epoch's figures to TensorBoard, if it is installed."""
        if self.board is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self.board = SummaryWriter(self.path / "tensorboard", purge_step=step)
        for name, value in last._asdict().items():
            self.board.add_scalar(name, value, step)
        self.board.flush()

    def _csv(self, name: str, rows: Any) -> None:
        with (
            weights.replacing(self.path / name) as path,
            open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            csv.writer(file).writerows(rows)

    def _check_same(self, was: dict[str, Any]) -> None:
        """Raise what differs between the run as it was started and as it shall go on."""
        if was["split"] != self.said["split"]:
            before, now = ({tuple(map(str, row[1:])) for row in rows} for rows in (read_split(self.path), self.split))
            gone, new = sorted(before - now), sorted(now - before)
            what = [
                f"{len(rows)} {word}, such as {rows[0][1]}" for rows, word in ((gone, "gone or changed"), (new, "new")) if rows
            ]
            raise InputError(
                f"The images are not those that the run in {self.path} was started with: "
                f"{'; '.join(what) or 'in another order'}. Put them back as {self.path / SPLIT} has them, or start a new run."
            )
        if (code := was.get("network")) != self.said["network"]:
            whose = [said or "warmnet's own network" for said in (code, self.said["network"])]
            name = (code or "").partition(",")[0]
            way = f"with {name} as it was then" if name else "without --model"
            if Code(name).file:
                way = f"with --model {self.path / name}"
            raise InputError(
                f"The run in {self.path} is of {whose[0]}, not of {whose[1]}. Go on {way}, or start a new run with --weights."
            )
        old, new_ = ({**said["recipe"], **said, "recipe": None} for said in (was, self.said))
        if differ := [key for key in {**old, **new_} if old.get(key) != new_.get(key)]:
            said = "; ".join(f"{key} was {old.get(key)} and is {new_.get(key)}" for key in differ)
            raise InputError(f"The run in {self.path} was started otherwise: {said}. Go on with what it was started with.")
