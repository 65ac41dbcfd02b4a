"""One training run, its loop in plain sight, on Lightning Fabric for devices, processes and precision.

What happens at a step is decided by the seed and the step alone: which images, their augmentation, what drop connect drops. So
a run that goes on from a checkpoint ends with the very weights of one that was never interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..authoring.model_files import code
from ..data.preprocessing import ImageError
from ..errors import InputError
from ..kernels.memory import keep_memory
from ..networks.classifier import CLASSIFIER
from ..networks.efficientnet import Variant, WarmEfficientNet
from ..weights.reading import Source
from .data import Batches, Data, Images, loader
from .execution import Engine
from .progress import Progress
from .recipe import Recipe
from .run_folder import RunFolder, check_free
from .signals import Signals
from .steps import Epoch, Training

SAVE_EVERY = 600  # seconds, in long epochs


@dataclass(frozen=True)
class Run:
    """A finished run; `confusion[i, j]` counts the held-out images of class i that were taken for class j.

    `best` is the epoch with the lowest held-out loss; its weights are the run's if the recipe has patience, else the last's.
    """

    folder: Path
    history: list[Epoch]
    confusion: Tensor
    best: int


def fit(
    data: Data, recipe: Recipe, folder: str | Path, *,
    variant: str | Variant = "b0", source: Source | None = None, seed: int = 0, engine: Engine | None = None,
    resume: bool = False, network: type[WarmEfficientNet] = WarmEfficientNet,
) -> Run:  # fmt: skip
    """A network trained on `data`. Its weights, metrics.csv and pictures are in `folder`, which was empty or new.

    The same seed gives the same weights bit for bit, on the same device with the same number of threads.

    - `source`: weights to start from, of any variant: anything that `WarmEfficientNet.from_pretrained` takes. Default: from
      scratch.
    - `resume`: go on with the run in `folder` from where it was last saved.
    - `network`: the class to train, such as one of your own; the file that it is written in is copied
      into `folder`; a notebook's is not.

    SIGTERM and Ctrl-C finish the step and save before they end the process.
    """
    engine, folder = engine or Engine(), Path(folder)
    if not resume:
        check_free(folder)
    fabric = engine.fabric()
    if fabric.device.type == "cpu":
        keep_memory()
    with _repeatable(seed):
        model = _network(network, len(data.classes), recipe, variant, source, seed)
        recipe = recipe.sized(len(data.train), model.variant, model.preprocessing)
        batches = Batches(
            len(data.train), recipe.batch_size or 1, seed, fabric.global_rank, fabric.world_size, engine.accumulate
        )
        _prepare(model, recipe, data)
        training = Training(fabric, model, recipe, batches, seed, engine)
        said = {"recipe": asdict(recipe), "variant": list(model.variant), "seed": seed}
        run = RunFolder(folder, data, said, fabric, code(network))
        if recipe.class_weights:
            training.class_weights = fabric.to_device(data.class_weights())
        run.take_up(training) if resume else run.save(training)
        try:
            _train(training, data, run, engine)
        except ImageError as error:  # a file that was there at first; from a worker process it comes with a traceback
            raise ImageError(str(error).strip().rpartition("ImageError: ")[2]) from None
        finally:
            run.draw(training)
    if recipe.patience and training.best != len(training.history):
        run.choose_best()
    run.finish()
    return Run(folder, training.history, training.confusion, training.best)


def _network(
    network: type[WarmEfficientNet], classes: int, recipe: Recipe, variant: str | Variant, source: Any, seed: int
) -> WarmEfficientNet:
    """A new network, or that of the source, for so many classes."""
    made: dict[str, Any] = {"num_classes": classes, "seed": seed, "device": "cpu", **recipe.network}
    try:
        return network(variant, **made) if source is None else network.from_pretrained(source, **made)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError) or not recipe.network:
            raise
        raise InputError(f"network is {dict(recipe.network)}: {error}") from error


def _prepare(model: WarmEfficientNet, recipe: Recipe, data: Data) -> None:
    """Make the network what it is when training starts; images keep the colours that its weights are used to."""
    if (recipe.resolution or 0) < model.reduction:
        raise InputError(f"resolution is {recipe.resolution}; the network's total stride, {model.reduction}, is the least.")
    if recipe.zero_classifier and model.classes != tuple(data.classes):
        for name, parameter in model.named_parameters():
            if name in CLASSIFIER:
                nn.init.zeros_(parameter)
    before, model.classes, model.preprocessing = model.preprocessing, tuple(data.classes), recipe.preprocessing
    if before is not None:
        model.preprocessing = replace(recipe.preprocessing, mean=before.mean, std=before.std)


def _train(training: Training, data: Data, run: RunFolder, engine: Engine) -> None:
    """Steps and epochs until the recipe ends it, or somebody else."""
    recipe, batches, fabric = training.recipe, training.batches, training.fabric
    preprocessing = training.model.preprocessing
    loading: dict[str, Any] = {"workers": engine.workers, "pin_memory": fabric.device.type == "cuda"}
    train = loader(Images(data.train, preprocessing, recipe), batch_sampler=batches, **loading)
    share = fabric.world_size * batches.parts
    mine = data.held_out[fabric.global_rank :: fabric.world_size]
    held_out = loader(Images(mine, preprocessing), batch_size=-(-batches.images // batches.steps) // share + 1, **loading)
    progress = Progress(training.steps, training.step, recipe.epochs or 0, shown=fabric.is_global_zero)
    with progress, Signals(fabric) as signals:
        saved = time.monotonic()
        while training.step < training.steps and not training.patience_is_over():
            batches.step = training.step
            training.start_epoch()
            parts: list[tuple[Tensor, Tensor]] = []
            for part in train:
                parts.append(part)
                if len(parts) < batches.parts:
                    continue
                training.take_step(parts)
                progress.stepped(training)
                parts = []
                due = time.monotonic() - saved > SAVE_EVERY
                if training.step % batches.steps and signals.arrived(training.step, due):
                    run.save(training)
                    saved = time.monotonic()
                    signals.raise_arrived()
            training.finish_epoch(held_out)
            run.write(training)
            progress.finished(training.history[-1])
            saved = time.monotonic()
            if signals.arrived():
                signals.raise_arrived()


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """torch's random numbers from `seed`; afterwards its state is as before."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
