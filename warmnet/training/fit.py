"""One training run on PyTorch Lightning. Its folder is whole after every epoch, whatever ends the run."""

from __future__ import annotations

import csv
import logging
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from .. import weights
from ..efficientnet import Variant, WarmEfficientNet
from ..errors import InputError, extra
from ..preprocessing import ImageError
from .data import Data, Images, Shuffled
from .plots import plot_confusion, plot_learning
from .progress import Progress
from .recipe import Recipe

with extra("train"):
    import pytorch_lightning as pl


class Epoch(NamedTuple):
    """A line of metrics.csv. Losses are those that are trained on; training's are means over the epoch, dropout and all."""

    epoch: int
    lr: float
    train_loss: float
    held_out_loss: float
    train_accuracy: float
    held_out_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Run:
    """A finished run; `confusion[i, j]` counts the held-out images of class i that were taken for class j."""

    folder: Path
    history: list[Epoch]
    confusion: Tensor


def new_folder(name: str) -> Path:
    """The first of runs/name-1, runs/name-2, ... that is not there, made."""
    while True:
        folder = next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())
        with suppress(FileExistsError):  # another process was faster
            folder.mkdir(parents=True)
            return folder


def check_free(folder: Path) -> None:
    """Raise if there is anything where a run folder shall be; an empty folder is nothing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already, and nothing is written over. Choose another --out, or remove it.")


def fit(
    data: Data, recipe: Recipe, folder: Path, *,
    variant: str | Variant = "b0", seed: int = 0, device: str = "auto", workers: int = 0,
) -> Run:  # fmt: skip
    """A network trained on `data` from scratch. Its weights, metrics.csv and pictures are in `folder`, which was empty or new.

    The same seed gives the same weights bit for bit, on the same device with the same number of threads.
    """
    check_free(folder)
    model = WarmEfficientNet(variant, len(data.classes), seed=seed, momentum=recipe.bn_momentum)
    _check(model, recipe, device)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = recipe.sized(len(data.train))
    torch.nn.init.zeros_(model.get_parameter("classifier.weight"))  # the reason is in Recipe
    model.classes, model.preprocessing = tuple(data.classes), recipe.preprocessing
    loading: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    images, order = Images(data.train, model.preprocessing, recipe), Shuffled(len(data.train), seed)
    train = DataLoader(images, recipe.batch_size, sampler=order, drop_last=True, **loading)
    held_out = DataLoader(Images(data.held_out, model.preprocessing), recipe.batch_size, **loading)
    training = Training(model, recipe, steps=recipe.epochs * len(train))
    facts = {"seed": seed, "recipe": asdict(recipe)}
    try:
        with _quiet(), _repeatable(seed):
            callbacks = [_Writer(folder, facts), Progress(recipe.epochs, len(train))]
            trainer = pl.Trainer(
                accelerator=device, devices=1, max_epochs=recipe.epochs, deterministic=True, callbacks=callbacks, logger=False,
                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            )  # fmt: skip
            trainer.fit(training, train, held_out)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning makes exit code 1 of it
            raise KeyboardInterrupt from None
        raise
    except ImageError as error:  # a file that was there at first; from a worker process it comes with a traceback
        raise ImageError(str(error).strip().rpartition("ImageError: ")[2]) from None
    finally:
        if (folder / weights.FILE).exists():
            plot_learning(training.history, data.name, folder / "learning-curve.png")
            plot_confusion(training.confusion, data.classes, folder / "confusion-matrix.png")
    return Run(folder, training.history, training.confusion)


def _check(model: WarmEfficientNet, recipe: Recipe, device: str) -> None:
    if recipe.resolution < model.reduction:
        raise InputError(f"resolution is {recipe.resolution}; the network's total stride, {model.reduction}, is the least.")
    there = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device):
        raise InputError(f"device {device!r} is not there. Choose one of {', '.join(d for d in there if there[d])}.")


class Training(pl.LightningModule):
    """A network with its loss, optimizer and schedule, that keeps the tally. Its memory is channels last, twice as fast."""

    def __init__(self, model: WarmEfficientNet, recipe: Recipe, steps: int):
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe, self.steps = recipe, steps
        self.history: list[Epoch] = []

    def on_train_epoch_start(self) -> None:
        self.began, self.lr = time.perf_counter(), self.trainer.optimizers[0].param_groups[0]["lr"]
        self.trained, self.held_out = Tally(), Tally()

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        return self._loss(*batch, self.trained)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        self._loss(*batch, self.held_out)

    def on_validation_epoch_end(self) -> None:
        trained, held_out, seconds = self.trained, self.held_out, time.perf_counter() - self.began
        losses, accuracies = (trained.loss, held_out.loss), (trained.accuracy, held_out.accuracy)
        self.history.append(Epoch(len(self.history) + 1, self.lr, *losses, *accuracies, seconds))
        self.confusion = held_out.confusion(self.model.num_classes)

    def configure_optimizers(self) -> Any:
        kernels, others = ([p for p in self.parameters() if (p.ndim > 1) == kernel] for kernel in (True, False))
        groups = [{"params": kernels, "weight_decay": self.recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.recipe.lr)  # type: ignore[arg-type]
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share_of_lr)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    def _share_of_lr(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to 0."""
        warmup = self.recipe.warmup * self.steps
        return (
            (step + 1) / (warmup + 1)
            if step < warmup
            else (1 + math.cos(math.pi * (step - warmup) / (self.steps - warmup))) / 2
        )

    def _loss(self, images: Tensor, labels: Tensor, tally: Tally) -> Tensor:
        logits = self.model(images.contiguous(memory_format=torch.channels_last))
        losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.recipe.label_smoothing)
        tally.add(losses, logits, labels)
        return losses.mean()


class Tally:
    """What came out for the images of an epoch; nothing is copied from the device before it is asked for."""

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.batches.append((losses.detach(), logits.detach().argmax(1), labels))

    @property
    def loss(self) -> float:
        return torch.cat([losses for losses, _, _ in self.batches]).mean().item()

    @property
    def accuracy(self) -> float:
        return torch.cat([predicted == labels for _, predicted, labels in self.batches]).float().mean().item()

    def confusion(self, classes: int) -> Tensor:
        """(classes, classes): how many images of a class, the row, were taken for a class, the column."""
        cells = torch.cat([labels * classes + predicted for _, predicted, labels in self.batches])
        return torch.bincount(cells.cpu(), minlength=classes * classes).view(classes, classes)


class _Writer(pl.Callback):
    """Writes the weights and metrics.csv after every epoch."""

    def __init__(self, folder: Path, facts: dict[str, Any]):
        self.folder, self.facts = folder, facts

    def on_train_epoch_end(self, trainer: pl.Trainer, training: Training) -> None:  # type: ignore[override]
        last = training.history[-1]
        facts = {"epoch": last.epoch, "held_out_accuracy": last.held_out_accuracy, **self.facts}
        weights.save(training.model, self.folder / weights.FILE, **facts)
        with weights.replacing(self.folder / "metrics.csv") as path, open(path, "w", newline="") as file:
            csv.writer(file).writerows([Epoch._fields, *training.history])


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning without its advice: on devices, workers, loggers and products."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """torch's random numbers from `seed`; afterwards its state, and whether it must be deterministic, are as before."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
