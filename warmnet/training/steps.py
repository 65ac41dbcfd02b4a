"""A network in training: one step, and one epoch's end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..data.loading import Batches, derive_seed
from ..errors import InputError
from ..networks.classifier import Classifier
from .activation_checkpointing import checkpoint_blocks
from .checks import check_logits
from .ema import EMA
from .execution import Execution
from .freezing import first_to_learn
from .metrics import Epoch, Metrics, best_epoch, is_over
from .mixing import mix
from .optimizer import build_optimizer, depth, part_depths
from .recipe import Recipe


class Diverged(InputError):
    """The loss is no number any more."""


class Training:
    """A network with its loss, optimizer, average and the metrics of the epoch; `step` counts all steps of the run.

    Its memory is channels last, twice as fast.
    """

    def __init__(self, fabric: Fabric, model: Classifier, recipe: Recipe, batches: Batches, seed: int, execution: Execution):
        self.fabric, self.recipe, self.batches, self.seed, self.execution = fabric, recipe, batches, seed, execution
        self.images, self.steps, self.step = batches.images, (recipe.epochs or 0) * batches.steps, 0
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if execution.activation_checkpointing:
            checkpoint_blocks(model)
        if fabric.device.type == "cuda" and fabric.world_size > 1:  # torch has none on the CPU
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.optimizer: Any = build_optimizer(model, recipe)
        self.ema = EMA(fabric.to_device(model), constant=recipe.ema == "constant") if recipe.ema else None
        self.class_weights: Tensor | None = None
        self.history: list[Epoch] = []
        self.confusion: Tensor | None = None  # of the held-out images, by the weights that are kept
        self.metrics, self.epoch_start = Metrics(), time.perf_counter()
        self.depths = part_depths(model)
        self.first_to_learn = first_to_learn(model, recipe.freeze)  # the depth from which on the network ever learns
        self.shallowest = -1  # and now
        self._wrap()

    def start_epoch(self) -> None:
        self.epoch_start = time.perf_counter()
        self._unfreeze()

    def take_step(self, parts: list[tuple[Tensor, Tensor]]) -> None:
        """One step of the optimizer along the gradient of the mean loss over all images of all processes and parts."""
        self._train_mode()
        total, lr = self.batches.size(self.step), self.recipe.rate(self.step, self.steps, self.images)
        torch.manual_seed(derive_seed(self.seed, self.step, self.fabric.global_rank))
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
        if self.fabric.device.type == "cpu" or self.step == 1 or self.step % 50 == 0:
            self.check_finite()

    def _losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """(B,): each image's loss, added to the metrics."""
        images = images.contiguous(memory_format=torch.channels_last)
        seed = derive_seed(self.seed, self.step, 1)
        images, targets = mix(images, labels, self.model.num_classes, self.recipe, seed)
        logits = self.wrapped(images)
        check_logits(logits, len(images), self.model.num_classes)
        logits = logits.float()
        losses = self._loss(logits, targets)
        self.metrics.add(losses, logits, labels)
        return losses

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(B,): cross entropy with labels or probabilities, by the weights of the true classes; torch would smooth by them."""
        losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=self.recipe.label_smoothing)
        if self.class_weights is None:
            return losses
        if targets.ndim > 1:
            return losses * (targets @ self.class_weights)
        return losses * self.class_weights[targets]

    @torch.no_grad()
    def finish_epoch(self, held_out: Iterable[Any]) -> None:
        """Evaluate what will be saved, and add it all to the history."""
        self.check_finite()
        self.synchronize()
        held_out_metrics = self._evaluate(held_out)
        train_loss, train_accuracy = self.metrics.means(self.fabric)
        held_out_loss, held_out_accuracy = held_out_metrics.means(self.fabric)
        if not math.isfinite(held_out_loss):
            raise self._diverged("on the images held out")
        confusion = held_out_metrics.confusion(self.model.num_classes, self.fabric)
        epoch = Epoch(
            epoch=len(self.history) + 1,
            lr=self.recipe.rate(max(0, self.step - self.batches.steps), self.steps, self.images),
            train_loss=train_loss,
            held_out_loss=held_out_loss,
            train_accuracy=train_accuracy,
            held_out_accuracy=held_out_accuracy,
            seconds=time.perf_counter() - self.epoch_start,
        )
        self.history.append(epoch)
        if self.kept == epoch.epoch:
            self.confusion = confusion
        self.metrics = Metrics()

    def _evaluate(self, held_out: Iterable[Any]) -> Metrics:
        """The metrics of this process's held-out images."""
        metrics = Metrics()
        with self.weights_to_save() as model, self.fabric.autocast():
            model.eval()
            for images, labels in held_out:
                images, labels = self.fabric.to_device((images.contiguous(memory_format=torch.channels_last), labels))
                logits = model(images).float()
                metrics.add(self._loss(logits, labels), logits, labels)
        return metrics

    @torch.no_grad()
    def synchronize(self) -> None:
        """Bring together what each process has of its own images: batch normalization's statistics, averaged, and metrics.

        All processes must call it. It may come at any time: averages of averages end as they would have without it.
        """
        if self.fabric.world_size > 1:
            average = list(self.ema.average.items()) if self.ema else []
            for name, value in [*self.model.named_buffers(), *average]:
                if "running_" in name:
                    self.fabric.all_reduce(value, reduce_op="mean")
            sums: Any = self.fabric.all_reduce(torch.tensor(self.metrics.sums(), dtype=torch.float64), reduce_op="sum")
            self.metrics = Metrics(sums.tolist() if self.fabric.is_global_zero else None)

    @contextmanager
    def weights_to_save(self) -> Iterator[Classifier]:
        """The model with its average, if the recipe has one, in place."""
        if self.ema is None:
            yield self.model
        else:
            with self.ema.swapped():
                yield self.model

    @property
    def best(self) -> int:
        """The epoch, from 1 on, with the lowest held-out loss."""
        return best_epoch(self.history)

    @property
    def kept(self) -> int:
        """The epoch whose weights are the run's: the best if the recipe has patience, else the last."""
        return self.best if self.recipe.patience else len(self.history)

    def is_over(self) -> bool:
        """Whether all epochs are done, or the patience is over."""
        return is_over(self.history, self.recipe.epochs or 0, self.recipe.patience)

    def check_finite(self) -> None:
        """Raise if the last loss was no number."""
        losses = self.metrics.last_losses
        if losses is not None and not bool(losses.isfinite().all()):
            raise self._diverged(f"at step {self.step} of {self.steps}")

    def _diverged(self, place: str) -> Diverged:
        if self.step == 1:
            return Diverged(
                "The loss is not a number before anything is learned: the network gives NaN or infinity for the first images. "
                "Look for a division by zero, a logarithm or a root in its forward, or at the weights that it starts from."
            )
        lr = self.optimizer.param_groups[-1]["lr"]
        text = f"The loss is not a number any more {place}, with a learning rate of {lr:.3g}. Start again with a lower --lr"
        if self.history:
            return Diverged(f"{text} and another --out. What was saved before is as it was.")
        return Diverged(f"{text}.")

    def state_dict(self) -> dict[str, Any]:
        """All that it takes to go on from here, without code; of several processes after `synchronize`."""
        return {
            "step": self.step, "history": [list(epoch) for epoch in self.history], "metrics": self.metrics.sums(),
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None, "confusion": self.confusion,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.step, self.history = state["step"], [Epoch(*row) for row in state["history"]]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
        self.metrics = Metrics(state["metrics"] if self.fabric.is_global_zero else None)
        self.confusion = state["confusion"]

    def _wrap(self) -> None:
        """Give the model and the optimizer to Fabric: on the device, and in DDP where there are several processes."""
        model: Any = torch.compile(self.model) if self.execution.compile else self.model
        self.wrapped: Any = self.fabric.setup_module(model)
        self.optimizer = self.fabric.setup_optimizers(getattr(self.optimizer, "optimizer", self.optimizer))

    def _unfreeze(self) -> None:
        """Let the stages learn whose turn it is: the classifier at once, the stem when `unfreeze` epochs are over."""
        shallowest = self.first_to_learn
        if self.recipe.unfreeze:
            deepest = max(self.depths.values())
            shallowest = max(0, round(deepest * (1 - len(self.history) / self.recipe.unfreeze)))
        if shallowest != self.shallowest:
            self.shallowest = shallowest
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(depth(name, self.depths) >= shallowest)
            if self.fabric.world_size > 1:
                self._wrap()

    def _train_mode(self) -> None:
        """Training mode, but for batch normalization that keeps its statistics."""
        for name, module in self.model.named_modules():
            is_frozen = self.recipe.frozen_norm or depth(name, self.depths) < self.shallowest
            module.training = not (is_frozen and isinstance(module, nn.modules.batchnorm._BatchNorm))
