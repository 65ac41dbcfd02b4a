"""What a run shows: a line for every epoch, and on a terminal a bar."""

from __future__ import annotations

from typing import Any

from ..errors import extra

with extra("train"):
    import pytorch_lightning as pl
    from rich import progress


class Progress(pl.Callback):
    """A bar over all batches of a run on a terminal, and wherever the output goes a line for every epoch."""

    def __init__(self, epochs: int, batches: int):
        columns = progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeRemainingColumn()
        self.bar = progress.Progress(*columns, transient=True)
        self.bar.disable = not self.bar.console.is_terminal
        self.task = self.bar.add_task("", total=epochs * batches)
        self.epochs = epochs

    def on_train_start(self, trainer: pl.Trainer, training: Any) -> None:
        self.bar.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, training: Any) -> None:
        self.bar.update(self.task, description=f"epoch {len(training.history) + 1}/{self.epochs}")

    def on_train_batch_end(self, trainer: pl.Trainer, training: Any, *batch: Any) -> None:
        self.bar.advance(self.task)

    def on_train_epoch_end(self, trainer: pl.Trainer, training: Any) -> None:
        last, width = training.history[-1], len(str(self.epochs))
        line = (
            f"epoch {last.epoch:{width}}/{self.epochs}   loss {last.train_loss:.3f}   "
            f"held out {last.held_out_loss:.3f}, {last.held_out_accuracy:6.1%} right   {last.seconds:.1f} s"
        )
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def on_train_end(self, trainer: pl.Trainer, training: Any) -> None:
        self.bar.stop()

    def on_exception(self, trainer: pl.Trainer, training: Any, exception: BaseException) -> None:
        self.bar.stop()
