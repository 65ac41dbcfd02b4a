"""The folder of a run: what is in it, whole at any moment, and how a run goes on from it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from .. import weights
from ..authoring.source_code import SourceCode
from ..data.files import replacing, write_csv, write_pickle
from ..data.samples import Data
from ..data.split_csv import SPLIT, digest_of, split_of, write_split
from ..errors import InputError
from .confusion_plot import plot_confusion
from .metrics import Epoch
from .plots import plot_learning
from .resumption import CHECKPOINT, check_same_images, check_settings, extended, read_checkpoint
from .run_record import RECORD, read_record, results, to_json
from .steps import Training

BEST = "best.safetensors"  # the weights of the epoch with the lowest held-out loss


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
    if (folder / CHECKPOINT).exists():
        raise InputError(
            f"{folder} is there already, with a run, and nothing is written over. Go on with it by --resume, choose another "
            f"--out, or remove it."
        )
    if folder.exists() and (not folder.is_dir() or any(not path.name.startswith(".") for path in folder.iterdir())):
        raise InputError(f"{folder} is there already, and nothing is written over. Choose another --out, or remove it.")
    check_can_be_written(folder)


def check_can_be_written(path: Path) -> None:
    """Raise if nothing can be written at a path, which may not be there yet."""
    parent = next(path for path in (path, *path.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryDirectory(prefix=".", dir=parent).cleanup()
    except OSError as error:
        raise InputError(f"{parent} cannot be written to: {error.strerror}. Choose another --out.") from error


class RunFolder:
    """The folder of a run; the first process alone writes into it, and every file is whole at any moment."""

    def __init__(
        self, path: Path, data: Data, settings: dict[str, Any], record: dict[str, Any], fabric: Fabric, code: SourceCode | None
    ):
        self.path, self.data, self.record = path, data, record
        self.fabric, self.code = fabric, code
        self.split = split_of(data)
        self.settings = {**settings, "split": digest_of(self.split)}
        self.tensorboard: Any = None

    def start(self, training: Training) -> None:
        """Begin a run here."""
        self.save(training)
        self._write_record()

    def load(self, training: Training) -> None:
        """Go on with what was saved here."""
        state = read_checkpoint(self.path)
        check_same_images(self.path, state["settings"], self.settings, self.split)
        check_settings(self.path, state, self.settings)
        training.load_state_dict(state)
        self.record["extended"] = self.settings["extended"] = extended(state, self.settings["recipe"])
        if (self.path / RECORD).exists():
            before = read_record(self.path / RECORD)
            self.record |= {key: before[key] for key in ("command_line", "started") if key in before}
        self._write_record()

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
                if training.kept == last.epoch:
                    weights.save(model, self.path / weights.FILE, **metadata)
                if training.best == last.epoch:
                    weights.save(model, self.path / BEST, **metadata)
            write_csv(self.path / "metrics.csv", [Epoch._fields, *training.history])
            self._write_tensorboard(last, training.step)
        self.save(training)

    def draw(self, training: Training) -> None:
        """The pictures of what there is so far."""
        if training.confusion is not None and self.fabric.is_global_zero:
            plot_learning(training.history, self.data.name, self.path / "learning-curve.png", training.kept)
            plot_confusion(training.confusion, self.data.classes, self.path / "confusion-matrix.png")

    def finish(self, training: Training) -> None:
        """Say what came of the run. The newest state stays, from which it can be made longer."""
        self.record["results"] = results(training.history, training.best, training.kept)
        self._write_record()
        self.fabric.barrier()

    def discard(self) -> None:
        """Remove what `start` wrote."""
        if self.fabric.is_global_zero:
            for name in CHECKPOINT, SPLIT, RECORD, self.code and self.code.file:
                if name:
                    (self.path / name).unlink(missing_ok=True)

    def _write_record(self) -> None:
        if self.fabric.is_global_zero:
            with replacing(self.path / RECORD) as path:
                path.write_text(to_json(self.record), encoding="utf-8")

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
