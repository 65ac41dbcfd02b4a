"""What a run prints: a line for every epoch, and on a terminal a bar of its steps with rates."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from ..errors import extra
from ..terminal import terminal_width
from .metrics import Epoch
from .steps import Training

with extra("train"):
    from rich import progress
    from rich.table import Column

REDRAWN = 5  # times a second, at most
BAR = 18  # columns that are kept for the bar and the time that remains


class Progress:
    """A bar over all steps of a run on a terminal, and wherever the output goes a line for every epoch."""

    def __init__(self, steps: int, step: int, epochs: int, visible: bool = True):
        bar, remaining = progress.BarColumn(None), progress.TimeRemainingColumn(table_column=Column(no_wrap=True))
        columns = "{task.description}", bar, "{task.fields[rates]}", remaining
        self.bar = progress.Progress(*columns, transient=True, expand=True, refresh_per_second=REDRAWN)
        self.bar.disable = not (visible and self.bar.console.is_terminal and not self.bar.console.is_dumb_terminal)
        self.steps, self.epochs, self.visible = steps, epochs, visible
        self.task = self.bar.add_task(self._place(1, step), total=steps, completed=step, rates="")
        self.since, self.images = time.perf_counter(), 0

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def end_step(self, training: Training) -> None:
        """Advance the bar to the step."""
        self.images += training.batches.size(training.step - 1)
        seconds = time.perf_counter() - self.since
        if self.bar.disable or seconds < 1 / REDRAWN:
            return
        place = self._place(len(training.history) + 1, training.step)
        loss, lr = training.metrics.last_loss(), training.optimizer.param_groups[-1]["lr"]
        loss_now, speed, rate = f"loss {_loss(loss)}", f"{self.images / seconds:,.0f} images/s", f"lr {lr:.2g}"
        room = self.bar.console.width - len(place) - BAR
        rates = _fitted(room, [loss_now, speed, rate], [loss_now, speed], [loss_now], [])
        self.bar.update(self.task, completed=training.step, description=place, rates=rates)
        self.since, self.images = time.perf_counter(), 0

    def evaluating(self, held_out: DataLoader[Any], epoch: int) -> Iterator[Any]:
        """The batches held out; the bar says how many of them are done."""
        for number, batch in enumerate(held_out, 1):
            place = f"epoch {epoch}/{self.epochs}, evaluating, batch {number:,}/{len(held_out):,}"
            self.bar.update(self.task, description=place, rates="")
            yield batch

    def end_epoch(self, epoch: Epoch) -> None:
        """Print an epoch's line."""
        name = f"epoch {epoch.epoch:{len(str(self.epochs))}}/{self.epochs}"
        loss, held_out = f"loss {_loss(epoch.train_loss)}", f"held out {_loss(epoch.held_out_loss)}"
        result, seconds = f"{held_out}, {epoch.held_out_accuracy:6.1%} right", f"{epoch.seconds:.1f} s"
        if self.visible:
            room = terminal_width() or math.inf
            line = _fitted(room, [name, loss, result, seconds], [name, loss, result], [name, result])
            self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        self.since, self.images = time.perf_counter(), 0

    def _place(self, epoch: int, step: int) -> str:
        return f"epoch {epoch}/{self.epochs}, step {step:,}/{self.steps:,} of the run"


def _loss(loss: float) -> str:
    return f"{loss:.3f}" if loss < 100 else f"{loss:,.0f}"


def _fitted(width: float, *choices: list[str]) -> str:
    """The parts of the first choice that fits into a line, or else of the last."""
    lines = ["   ".join(parts) for parts in choices]
    return next((line for line in lines if len(line) <= width), lines[-1])
