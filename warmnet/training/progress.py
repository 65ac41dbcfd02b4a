"""What a run prints: a line for every epoch, and on a terminal a bar with rates."""

from __future__ import annotations

import time
from typing import Any

from ..errors import extra
from .metrics import Epoch
from .steps import Training

with extra("train"):
    from rich import progress


class Progress:
    """A bar over all steps of a run on a terminal, and wherever the output goes a line for every epoch."""

    def __init__(self, steps: int, step: int, epochs: int, visible: bool = True):
        columns = "{task.description}", progress.BarColumn(), "{task.fields[rates]}", progress.TimeRemainingColumn()
        self.bar = progress.Progress(*columns, transient=True)
        self.bar.disable = not (visible and self.bar.console.is_terminal)
        self.task = self.bar.add_task(f"epoch 1/{epochs}", total=steps, completed=step, rates="")
        self.epochs, self.visible = epochs, visible
        self.since, self.images = time.perf_counter(), 0

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def end_step(self, training: Training) -> None:
        """Advance the bar by a step."""
        self.bar.advance(self.task)
        self.images += training.batches.size(training.step - 1)
        seconds = time.perf_counter() - self.since
        if not self.bar.disable and seconds > 0.5:
            lr, loss = training.optimizer.param_groups[-1]["lr"], training.metrics.last_loss()
            rates = f"{self.images / seconds:,.0f} images/s   loss {loss:.3f}   lr {lr:.2g}"
            self.bar.update(self.task, description=f"epoch {len(training.history) + 1}/{self.epochs}", rates=rates)
            self.since, self.images = time.perf_counter(), 0

    def end_epoch(self, epoch: Epoch) -> None:
        """Print an epoch's line."""
        width = len(str(self.epochs))
        line = (
            f"epoch {epoch.epoch:{width}}/{self.epochs}   loss {epoch.train_loss:.3f}   "
            f"held out {epoch.held_out_loss:.3f}, {epoch.held_out_accuracy:6.1%} right   {epoch.seconds:.1f} s"
        )
        if self.visible:
            self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        self.since, self.images = time.perf_counter(), 0
