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
from torch.utils.data import DataLoader

from ..authoring.source_code import find_source_code
from ..data.errors import ImageError
from ..data.loading import Batches, Images, loader
from ..data.samples import Data
from ..errors import InputError
from ..kernels.memory import keep_memory
from ..networks.classifier import CLASSIFIER, Classifier
from ..networks.families import find_family
from ..weights.reading import Source
from .execution import Execution
from .metrics import Epoch
from .progress import Progress
from .recipe import Recipe
from .run_folder import RunFolder, check_free
from .signals import Signals
from .steps import Training

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
    variant: Any = None, source: Source | None = None, seed: int = 0, execution: Execution | None = None,
    resume: bool = False, network: type[Classifier] | None = None,
) -> Run:  # fmt: skip
    """A network trained on `data`. Its weights, metrics.csv and pictures are in `folder`, which was empty or new.

    The same seed gives the same weights bit for bit, on the same device with the same number of threads.

    - `variant`: of the network, such as 'b0' or 'resnet18'. Default: the network's own.
    - `source`: weights to start from, of any variant: anything that `network.from_pretrained` takes. Default: from scratch.
    - `resume`: go on with the run in `folder` from where it was last saved.
    - `network`: the class to train, a `Classifier`, such as one of your own; the file that it is written in is copied
      into `folder`; a notebook's is not. Default: the class of the weights, or of the variant's name.

    SIGTERM and Ctrl-C finish the step and save before they end the process.
    """
    execution, folder = execution or Execution(), Path(folder)
    if not resume:
        check_free(folder)
    fabric = execution.fabric()
    if fabric.device.type == "cpu":
        keep_memory()
    with _repeatable(seed):
        model = _network(network, len(data.classes), recipe, variant, source, seed)
        recipe = recipe.sized_for(model, data, from_weights=source is not None)
        batches = Batches(
            len(data.train), recipe.batch_size or 1, seed, fabric.global_rank, fabric.world_size, execution.accumulate
        )
        _prepare(model, recipe, data)
        training = Training(fabric, model, recipe, batches, seed, execution)
        settings = {"recipe": asdict(recipe), "variant": model.variant_name, "seed": seed}
        run = RunFolder(folder, data, settings, fabric, find_source_code(type(model)))
        if recipe.class_weights:
            training.class_weights = fabric.to_device(data.class_weights())
        if resume:
            run.load(training)
        else:
            run.save(training)
        try:
            _train(training, data, run, execution.workers)
        except ImageError as error:  # a file that was there at first; from a worker process it comes with a traceback
            raise ImageError(str(error).strip().rpartition("ImageError: ")[2]) from None
        finally:
            run.draw(training)
    if recipe.patience and training.best != len(training.history):
        run.choose_best()
    run.finish()
    assert training.confusion is not None  # of the last epoch
    return Run(folder, training.history, training.confusion, training.best)


def _network(
    network: type[Classifier] | None, classes: int, recipe: Recipe, variant: Any, source: Source | None, seed: int
) -> Classifier:
    """A new network, or that of the source, for so many classes."""
    settings: dict[str, Any] = {"num_classes": classes, "seed": seed, "device": "cpu", **recipe.network}
    try:
        if source is not None:
            return (network or Classifier).from_pretrained(source, **settings)
        network = network or find_family(variant)
        return network(**settings) if variant is None else network(variant, **settings)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError) or not recipe.network:
            raise
        advice = "A recipe without options of the network: replace(recipe, network={}), or --set network={}."
        raise InputError(f"network is {dict(recipe.network)}: {error}\n{advice}") from error


def _prepare(model: Classifier, recipe: Recipe, data: Data) -> None:
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


def _train(training: Training, data: Data, run: RunFolder, workers: int) -> None:
    """Steps and epochs until the recipe ends it, or somebody else."""
    recipe, batches, fabric = training.recipe, training.batches, training.fabric
    train, held_out = _loaders(training, data, workers)
    progress = Progress(training.steps, training.step, recipe.epochs or 0, visible=fabric.is_global_zero)
    with progress, Signals(fabric) as signals:
        last_save = time.monotonic()
        while training.step < training.steps and not training.patience_is_over():
            batches.step = training.step
            training.start_epoch()
            parts: list[tuple[Tensor, Tensor]] = []
            for part in train:
                parts.append(part)
                if len(parts) < batches.parts:
                    continue
                training.take_step(parts)
                progress.end_step(training)
                parts = []
                due = time.monotonic() - last_save > SAVE_EVERY
                if training.step % batches.steps and signals.arrived(training.step, due):
                    run.save(training)
                    last_save = time.monotonic()
                    signals.raise_arrived()
            training.finish_epoch(held_out)
            run.write(training)
            progress.end_epoch(training.history[-1])
            last_save = time.monotonic()
            if signals.arrived():
                signals.raise_arrived()


def _loaders(training: Training, data: Data, workers: int) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """The images to train on, in batches of parts of steps, and this process's share of those held out."""
    batches, fabric, preprocessing = training.batches, training.fabric, training.model.preprocessing
    options: dict[str, Any] = {"workers": workers, "pin_memory": fabric.device.type == "cuda"}
    train = loader(Images(data.train, preprocessing, training.recipe.augmentation), batch_sampler=batches, **options)
    step_size = -(-batches.images // batches.steps)
    batch_size = step_size // (fabric.world_size * batches.parts) + 1
    samples = data.held_out[fabric.global_rank :: fabric.world_size]
    return train, loader(Images(samples, preprocessing), batch_size=batch_size, **options)


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """torch's random numbers from `seed`; afterwards its state is as before."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
