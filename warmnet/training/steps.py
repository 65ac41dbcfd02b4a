"""A network in training: one step, and one epoch's end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..errors import InputError
from ..networks.efficientnet import WarmEfficientNet
from .activation_checkpointing import recompute_blocks
from .data import Batches, seeded
from .ema import EMA
from .execution import Engine
from .mix import mixed
from .optimizer import depth, optimizer
from .recipe import Recipe


class Diverged(InputError):
    """The loss is no number any more."""


class Epoch(NamedTuple):
    """A line of metrics.csv. Losses are those that are trained on; training's are means over the epoch, dropout and all.

    `lr` is the learning rate of the epoch's first step.
    """

    epoch: int
    lr: float
    train_loss: float
    held_out_loss: float
    train_accuracy: float
    held_out_accuracy: float
    seconds: float


class Training:
    """A network with its loss, optimizer, average and the tally of the epoch; `step` counts all steps of the run.

    Its memory is channels last, twice as fast.
    """

    def __init__(self, fabric: Fabric, model: WarmEfficientNet, recipe: Recipe, batches: Batches, seed: int, engine: Engine):
        self.fabric, self.recipe, self.batches, self.seed, self.engine = fabric, recipe, batches, seed, engine
        self.images, self.steps, self.step = batches.images, (recipe.epochs or 0) * batches.steps, 0
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if engine.recompute:
            recompute_blocks(model)
        if fabric.device.type == "cuda" and fabric.world_size > 1:  # torch has none on the CPU
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.optimizer: Any = optimizer(model, recipe)
        self.ema = EMA(fabric.to_device(model), constant=recipe.ema == "constant") if recipe.ema else None
        self.class_weights: Tensor | None = None
        self.history: list[Epoch] = []
        self.tally, self.began = Tally(), time.perf_counter()
        self.learning = -1  # the stage from which on the network learns
        self._wrap()

    def start_epoch(self) -> None:
        self.began = time.perf_counter()
        self._unfreeze()

    def take_step(self, parts: list[tuple[Tensor, Tensor]]) -> None:
        """One step of the optimizer along the gradient of the mean loss over all images of all processes and parts."""
        self._train_mode()
        total, lr = self.batches.size(self.step), self.recipe.rate(self.step, self.steps, self.images)
        torch.manual_seed(seeded(self.seed, self.step, self.fabric.global_rank))
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["share"]
        for i, (images, labels) in enumerate(parts):
            images, labels = self.fabric.to_device((images, labels))
            with self.fabric.no_backward_sync(self.wrapped, enabled=i < len(parts) - 1):
                losses = self._losses(images, labels)
                self.fabric.backward(losses.sum() * (self.fabric.world_size / total))
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema:
            self.ema.update()
        self.step += 1
        if self.fabric.device.type == "cpu" or self.step % 50 == 0:
            self.check_finite()

    def _losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """(B,): each image's loss, noted in the tally."""
        images = images.contiguous(memory_format=torch.channels_last)
        images, targets = mixed(images, labels, self.model.num_classes, self.recipe, seeded(self.seed, self.step, 1))
        logits = self.wrapped(images).float()
        losses = self._loss(logits, targets)
        self.tally.add(losses, logits, labels)
        return losses

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(B,): cross entropy with labels or probabilities, by the weights of the true classes; torch would smooth by them."""
        losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=self.recipe.label_smoothing)
        if self.class_weights is None:
            return losses
        return losses * (targets @ self.class_weights if targets.ndim > 1 else self.class_weights[targets])

    @torch.no_grad()
    def finish_epoch(self, held_out: DataLoader[Any]) -> None:
        """Evaluate what will be saved, and note it all in the history."""
        self.check_finite()
        self.join()
        tally = Tally()
        with self.weights_to_save() as model, self.fabric.autocast():
            model.eval()
            for images, labels in held_out:
                images, labels = self.fabric.to_device((images.contiguous(memory_format=torch.channels_last), labels))
                logits = model(images).float()
                tally.add(self._loss(logits, labels), logits, labels)
        trained, held = (t.over_all(self.fabric) for t in (self.tally, tally))
        if not math.isfinite(held[0]):
            raise self._diverged("on the images held out")
        self.confusion = tally.confusion(self.model.num_classes, self.fabric)
        lr = self.recipe.rate(max(0, self.step - self.batches.steps), self.steps, self.images)
        seconds = time.perf_counter() - self.began
        number = len(self.history) + 1
        self.history.append(Epoch(number, lr, trained[0], held[0], trained[1], held[1], seconds))
        self.tally = Tally()

    @torch.no_grad()
    def join(self) -> None:
        """Bring together what each process has of its own images: batch normalization's statistics, averaged, and the tally.

        All processes must call it. It may come at any time: averages of averages end as they would have without it.
        """
        if self.fabric.world_size > 1:
            average = list(self.ema.average.items()) if self.ema else []
            for name, value in [*self.model.named_buffers(), *average]:
                if "running_" in name:
                    self.fabric.all_reduce(value, reduce_op="mean")
            sums: Any = self.fabric.all_reduce(torch.tensor(self.tally.sums(), dtype=torch.float64), reduce_op="sum")
            self.tally = Tally(sums.tolist() if self.fabric.is_global_zero else None)

    @contextmanager
    def weights_to_save(self) -> Iterator[WarmEfficientNet]:
        """The model with its average, if the recipe has one, in place."""
        if self.ema is None:
            yield self.model
        else:
            with self.ema.swapped():
                yield self.model

    @property
    def best(self) -> int:
        """The epoch, from 1 on, with the lowest held-out loss."""
        return min(self.history, key=lambda epoch: epoch.held_out_loss).epoch if self.history else 0

    def patience_is_over(self) -> bool:
        return bool(self.recipe.patience) and len(self.history) - self.best >= (self.recipe.patience or 0)

    def check_finite(self) -> None:
        """Raise if the last loss was no number."""
        if self.tally.last is not None and not bool(self.tally.last.isfinite().all()):
            raise self._diverged(f"at step {self.step} of {self.steps}")

    def _diverged(self, where: str) -> Diverged:
        lr = self.optimizer.param_groups[-1]["lr"]
        return Diverged(
            f"The loss is not a number any more {where}, with a learning rate of {lr:.3g}. Start again with a lower --lr. "
            f"What was saved before is as it was."
        )

    def state(self) -> dict[str, Any]:
        """All that it takes to go on from here, as torch.save holds it without code; of several processes after `join`."""
        tally = self.tally.sums()
        return {
            "step": self.step, "history": [list(epoch) for epoch in self.history], "tally": tally,
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None,
            "confusion": getattr(self, "confusion", None),
        }  # fmt: skip

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.step, self.history = state["step"], [Epoch(*row) for row in state["history"]]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        self.tally = Tally(state["tally"] if self.fabric.is_global_zero else None)
        if state["confusion"] is not None:
            self.confusion = state["confusion"]

    def _wrap(self) -> None:
        """Give the model and the optimizer to Fabric: on the device, and in DDP where there are several processes."""
        model: Any = torch.compile(self.model) if self.engine.compile else self.model
        self.wrapped: Any = self.fabric.setup_module(model)
        self.optimizer = self.fabric.setup_optimizers(getattr(self.optimizer, "optimizer", self.optimizer))

    def _unfreeze(self) -> None:
        """Let the stages learn whose turn it is: the classifier at once, the stem when `unfreeze` epochs are over."""
        done, last = len(self.history), depth("classifier.weight")
        first = max(0, round(last * (1 - done / self.recipe.unfreeze))) if self.recipe.unfreeze else 0
        if first != self.learning:
            self.learning = first
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(depth(name) >= first)
            if self.fabric.world_size > 1:
                self._wrap()

    def _train_mode(self) -> None:
        for name, module in self.model.named_modules():
            frozen = self.recipe.frozen_norm or depth(name) < self.learning
            module.training = not (frozen and isinstance(module, nn.modules.batchnorm._BatchNorm))


class Tally:
    """What came out for the images of an epoch; nothing is copied from the device before it is asked for."""

    def __init__(self, sums: list[float] | None = None):
        self.before = sums or [0.0, 0.0, 0.0]
        self.batches: list[tuple[Tensor, Tensor, Tensor]] = []
        self.last: Tensor | None = None

    def add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.last = losses.detach()
        self.batches.append((self.last.sum(), logits.detach().argmax(1), labels))

    def sums(self) -> list[float]:
        """The losses of all images, how many were right, how many there were."""
        total = list(self.before)
        for loss, predicted, labels in self.batches:
            for i, value in enumerate((float(loss), float((predicted == labels).sum()), len(labels))):
                total[i] += value
        return total

    def over_all(self, fabric: Fabric) -> tuple[float, float]:
        """The mean loss and the accuracy over the images of all processes."""
        sums: Any = fabric.all_reduce(torch.tensor(self.sums(), dtype=torch.float64), reduce_op="sum")
        return (float(sums[0] / sums[2]), float(sums[1] / sums[2])) if sums[2] else (math.nan, math.nan)

    def confusion(self, classes: int, fabric: Fabric) -> Tensor:
        """(classes, classes): how many images of a class, the row, were taken for a class, the column."""
        cells = [labels * classes + predicted for _, predicted, labels in self.batches]
        counts = torch.bincount(torch.cat(cells).cpu() if cells else torch.zeros(0, dtype=torch.int64), minlength=classes**2)
        return fabric.all_reduce(counts.view(classes, classes), reduce_op="sum").cpu()  # type: ignore[union-attr]
