"""One training run, its loop in plain sight, on Lightning Fabric for devices, processes and precision.

What happens at a step is decided by the seed and the step alone: which images, their augmentation, what drop connect drops. So
a run that goes on from a checkpoint ends with the very weights of one that was never interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..authoring.source_code import find_source_code
from ..data.loading import Batches, Images, loader, worker_errors
from ..data.samples import Data, check_is_data
from ..errors import InputError
from ..kernels.memory import keep_memory
from ..networks.classifier import Classifier
from ..weights.reading import Source
from .checks import check_freeze, check_images
from .execution import Execution
from .initial_network import build_network, digest, load_source, take_over, zero_classifier
from .metrics import Epoch
from .progress import Progress
from .recipe import Recipe, check_is_recipe
from .run_folder import RunFolder, check_free
from .run_record import new_record, run_settings
from .signals import Signals
from .steps import Diverged, Training

SAVE_EVERY = 600  # seconds, in long epochs


@dataclass(frozen=True)
class Run:
    """A finished run; `confusion[i, j]` counts the held-out images of class i that were taken for class j.

    `best` is the epoch with the lowest held-out loss, `kept` that whose weights are the run's, and whose confusion this is: the
    best if the recipe has patience, else the last.
    """

    folder: Path
    history: list[Epoch]
    confusion: Tensor
    best: int
    kept: int


def fit(
    data: Data, recipe: Recipe, folder: str | Path, *,
    variant: Any = None, source: Source | None = None, seed: int = 0, execution: Execution | None = None,
    resume: bool = False, network: type[Classifier] | None = None, options: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Run:  # fmt: skip
    """A network trained on `data`. Its weights, run.json, metrics.csv and pictures are in `folder`, which was empty or new.

    The same seed gives the same weights bit for bit, on the same device with the same number of threads.

    - `variant`: of the network, such as 'b0' or 'resnet18'. Default: the network's own.
    - `source`: weights to start from: anything that `network.from_pretrained` takes, of the `variant`, if one is given. Rows
      of the classifier stay with the classes that have the same names; the others are new. Default: from scratch.
    - `resume`: go on with the run in `folder` from where it was last saved; if it is finished, to more `epochs` of the recipe.
      Then the learning rate is from there on that of a run so long, and the weights are not those of one from the start.
    - `network`: the class to train, a `Classifier`, such as one of your own; the file that it is written in is copied
      into `folder`; a notebook's is not. Default: the class of the weights, or of the variant's name.
    - `options`: what else run.json shall hold, such as the folder of the images.
    - `progress`: print a line for every epoch, and on a terminal a bar.

    SIGTERM and Ctrl-C finish the step and save before they end the process.

    >>> import tempfile
    >>> from dataclasses import replace
    >>> import numpy as np, warmnet
    >>> from warmnet import training
    >>> data = training.arrays(np.zeros((40, 32, 32), np.uint8), ['cat', 'dog'] * 20)
    >>> recipe = replace(training.RECIPES['small'], epochs=1)
    >>> tiny = warmnet.Variant(width=0.25, depth=0.3, resolution=32, dropout=0.0)
    >>> run = training.fit(data, recipe, tempfile.mkdtemp() + '/run', variant=tiny, progress=False)
    >>> model = warmnet.WarmEfficientNet.from_pretrained(run.folder)
    >>> model.classes, len(run.history)
    (('cat', 'dog'), 1)
    """
    execution, folder = execution or Execution(), Path(folder)
    check_kinds(data, recipe, network)
    if not data.held_out:
        raise InputError(f"{data.name}: no images are held out, by which a training is judged. Hold out a share, such as 0.2.")
    if not resume:
        check_free(folder)
    with repeatable(seed):
        training, weights_digest = prepared(data, recipe, variant, source, seed, execution, network)
        code = find_source_code(type(training.model))
        settings = run_settings(training.recipe, training.model.variant_name, seed, code, weights_digest)
        run = RunFolder(folder, data, settings, new_record(settings, data, execution, options or {}), training.fabric, code)
        if resume:
            run.load(training)
        else:
            run.start(training)
        try:
            with worker_errors():
                train(training, data, run, execution.workers, progress)
        except Exception as error:
            if not training.step or (isinstance(error, Diverged) and not training.history):
                run.discard()  # from here it would end in the same way again
            raise
        finally:
            run.draw(training)
    run.finish(training)
    assert training.confusion is not None  # of an epoch
    return Run(folder, training.history, training.confusion, training.best, training.kept)


def check_kinds(data: Any, recipe: Any, network: Any) -> None:
    """Raise InputError for what is no data set, no recipe or no class of networks that can be trained."""
    check_is_data(data)
    check_is_recipe(recipe)
    if network is not None and not (isinstance(network, type) and issubclass(network, Classifier)):
        raise InputError(
            f"network is {network!r:.60}, and not a class that inherits from warmnet.Classifier, as WarmEfficientNet does. "
            f"Such a class can be built for any number of classes. `warmnet new mymodel.py` writes one to edit."
        )


def prepared(
    data: Data, recipe: Recipe, variant: Any, source: Source | None, seed: int, execution: Execution,
    network: type[Classifier] | None,
) -> tuple[Training, str | None]:  # fmt: skip
    """A training that has not begun, by arguments of `fit`; the digest of the weights that it starts from."""
    fabric = execution.fabric()
    if fabric.device.type == "cpu":
        keep_memory()
    model, weights_digest = _network(network, data, recipe, variant, source, seed)
    recipe = recipe.sized_for(model, data, from_weights=source is not None)
    batches = Batches(
        len(data.train), recipe.batch_size or 1, seed, fabric.global_rank, fabric.world_size, execution.accumulate
    )
    _prepare(model, recipe, data)
    training = Training(fabric, model, recipe, batches, seed, execution)
    if recipe.class_weights:
        training.class_weights = fabric.to_device(data.class_weights())
    return training, weights_digest


def _network(
    network: type[Classifier] | None, data: Data, recipe: Recipe, variant: Any, source: Source | None, seed: int
) -> tuple[Classifier, str | None]:
    """A new network, or that of the source with its weights, for the classes of the data; the digest of these weights."""
    if source is None:
        model = build_network(network, variant, recipe, num_classes=len(data.classes), seed=seed, device="cpu")
        if recipe.zero_classifier:
            zero_classifier(model)
        check_freeze(model, recipe, None)
        return model, None
    loaded = load_source(source, network, variant)
    return take_over(loaded, data.classes, recipe, seed), digest(loaded)


def _prepare(model: Classifier, recipe: Recipe, data: Data) -> None:
    """Give the network its classes and its preprocessing: images keep the colours that its weights are used to."""
    check_images(model, recipe.resolution or 0)
    before, model.classes, model.preprocessing = model.preprocessing, tuple(data.classes), recipe.preprocessing
    if before is not None:
        model.preprocessing = replace(recipe.preprocessing, mean=before.mean, std=before.std)


class Keeper(Protocol):
    """Keeps a training: its newest state at any step, and what an epoch has changed."""

    def save(self, training: Training) -> None: ...

    def write(self, training: Training) -> None: ...


def train(training: Training, data: Data, keeper: Keeper, workers: int, visible: bool = True) -> None:
    """Steps and epochs until the recipe ends it, or somebody else."""
    recipe, batches, fabric = training.recipe, training.batches, training.fabric
    train, held_out = _loaders(training, data, workers)
    progress = Progress(training.steps, training.step, recipe.epochs or 0, visible=visible and fabric.is_global_zero)
    with progress, Signals(fabric) as signals:
        last_save = time.monotonic()
        while not training.is_over():
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
                    keeper.save(training)
                    last_save = time.monotonic()
                    signals.raise_arrived()
            training.finish_epoch(progress.evaluating(held_out, len(training.history) + 1))
            keeper.write(training)
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
def repeatable(seed: int) -> Iterator[None]:
    """torch's random numbers from `seed`; afterwards its state is as before."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
