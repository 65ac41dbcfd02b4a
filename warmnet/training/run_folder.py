"""The folder of a run: what is in it, whole at any moment, and how a run goes on from it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from .. import weights
from ..authoring.source_code import SourceCode
from ..data.files import replacing, write_csv, write_pickle
from ..data.samples import Data
from ..data.split_csv import SPLIT, digest_of, split_of, write_split
from ..errors import InputError
from .metrics import Epoch
from .plots import plot_confusion, plot_learning
from .resumption import check_same_run
from .steps import Training

BEST = "best.safetensors"  # the weights of the epoch with the lowest held-out loss
CHECKPOINT = "checkpoint.pt"  # the newest state of a run that is not finished


def new_folder(name: str) -> Path:
    """The first of runs/name-1, runs/name-2, ... that is not there; it is there then."""
    number = 1
    while True:
        folder = Path("runs") / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1


def check_free(folder: Path) -> None:
    """Raise if a run folder cannot be made there, or there is anything; an empty folder, or half a file, is nothing."""
    if folder.exists() and (not folder.is_dir() or any(not path.name.startswith(".") for path in folder.iterdir())):
        raise InputError(f"{folder} is there already, and nothing is written over. Choose another --out, or remove it.")
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryDirectory(prefix=".", dir=parent).cleanup()
    except OSError as error:
        raise InputError(f"{parent} cannot be written to: {error.strerror}. Choose another --out.") from error


class RunFolder:
    """The folder of a run; the first process alone writes into it, and every file is whole at any moment."""

    def __init__(self, path: Path, data: Data, settings: dict[str, Any], fabric: Fabric, code: SourceCode | None):
        self.path, self.data, self.fabric, self.code = path, data, fabric, code
        self.split = split_of(data)
        self.settings = {**settings, "split": digest_of(self.split), "network": code and str(code)}
        self.tensorboard: Any = None

    def load(self, training: Training) -> None:
        """Go on with what was saved here."""
        if not (self.path / CHECKPOINT).exists():
            if (self.path / weights.FILE).exists():
                raise InputError(f"The run in {self.path} is finished. There is nothing to go on with.")
            raise InputError(f"{self.path} holds no run to go on with: it has no {CHECKPOINT}. Start it without --resume.")
        state = torch.load(self.path / CHECKPOINT, "cpu", weights_only=True)
        check_same_run(self.path, state["settings"], self.settings, self.split)
        training.load_state_dict(state)

    def save(self, training: Training) -> None:
        """Keep the newest state of the run."""
        training.synchronize()
        if self.fabric.is_global_zero:
            for rest in self.path.glob(".*-*.*"):  # of a process that was killed while it wrote
                rest.unlink(missing_ok=True)
            with replacing(self.path / CHECKPOINT) as path:
                write_pickle({**training.state_dict(), "settings": self.settings}, path)
            if not (self.path / SPLIT).exists():
                write_split(self.path, self.split)
            if self.code and self.code.file and not (self.path / self.code.file).exists():
                with replacing(self.path / self.code.file) as path:
                    path.write_bytes(self.code.text)
        self.fabric.barrier()

    def write(self, training: Training) -> None:
        """Keep what an epoch has changed: the weights, the best weights, metrics.csv, and the state to go on from."""
        last = training.history[-1]
        if self.fabric.is_global_zero:
            metadata = {"epoch": last.epoch, "held_out_accuracy": last.held_out_accuracy}
            metadata |= {key: self.settings[key] for key in ("recipe", "seed", "network")}
            with training.weights_to_save() as model:
                weights.save(model, self.path / weights.FILE, **metadata)
                if training.best == last.epoch:
                    weights.save(model, self.path / BEST, **metadata)
            write_csv(self.path / "metrics.csv", [Epoch._fields, *training.history])
            self._write_tensorboard(last, training.step)
        self.save(training)

    def choose_best(self) -> None:
        """Make the best epoch's weights those of the run."""
        if self.fabric.is_global_zero:
            with replacing(self.path / weights.FILE) as path:
                path.write_bytes((self.path / BEST).read_bytes())

    def draw(self, training: Training) -> None:
        """The pictures of what there is so far."""
        if training.confusion is not None and self.fabric.is_global_zero:
            plot_learning(training.history, self.data.name, self.path / "learning-curve.png")
            plot_confusion(training.confusion, self.data.classes, self.path / "confusion-matrix.png")

    def finish(self) -> None:
        """Remove what only a run that is not finished needs."""
        if self.fabric.is_global_zero:
            (self.path / CHECKPOINT).unlink(missing_ok=True)
        self.fabric.barrier()

    def _write_tensorboard(self, epoch: Epoch, step: int) -> None:
        """Give an epoch's figures to TensorBoard, if it is installed."""
        if self.tensorboard is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self.tensorboard = SummaryWriter(self.path / "tensorboard", purge_step=step)
        for name, value in epoch._asdict().items():
            self.tensorboard.add_scalar(name, value, step)
        self.tensorboard.flush()
