"""Loading: samples as tensors, in the batches of one epoch after another."""

from __future__ import annotations

import hashlib
import random
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import InputError
from .augmentation import Augmentation
from .errors import ImageError, WorkerError
from .images import to_image
from .preprocessing import Preprocessing
from .samples import Sample

GRACE = 10  # seconds that a worker process lives on after SIGTERM


class Images(Dataset[tuple[Tensor, int]]):
    """Samples as tensors and labels: preprocessed; or with an augmentation, indexed by (index, seed), augmented."""

    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing, augmentation: Augmentation | None = None):
        self.samples, self.preprocessing, self.augmentation = samples, preprocessing, augmentation

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Tensor, int]:
        if self.augmentation is None:
            image, label = self.samples[index]
            return self.preprocessing(to_image(image)), label
        index, seed = index
        image, label = self.samples[index]
        return self.augmentation(to_image(image), self.preprocessing, random.Random(seed)), label


class Batches(Sampler[Any]):
    """The batches of one epoch after another for one of `world` processes: lists of (index, seed of its augmentation).

    An epoch is every image once, in an order that `seed` and the epoch decide, cut into steps that differ in size by one at
    most: nothing is left over. A step is dealt out to the processes, and what each gets is cut into `parts`. So the images of
    a step are the same for any number of processes, parts and worker processes, and from any step on.
    """

    def __init__(self, images: int, batch_size: int, seed: int, rank: int = 0, world: int = 1, parts: int = 1):
        self.images, self.seed, self.rank, self.world, self.parts = images, seed, rank, world, parts
        self.steps = -(-images // batch_size)  # of an epoch
        self.step = 0  # of the run: where the next iteration begins
        if images // self.steps < 2 * world * parts:
            raise InputError(
                f"{images // self.steps} images in a step are too few for {world} processes with {parts} parts each: batch "
                f"normalization needs 2 in each part. Choose a larger batch size."
            )

    def __len__(self) -> int:
        return (self.steps - self.step % self.steps) * self.parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, first = divmod(self.step, self.steps)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
        order = torch.randperm(self.images, generator=generator)
        seeds = torch.randint(2**62, (self.images,), generator=generator)
        for step in torch.tensor_split(order, self.steps)[first:]:
            for part in torch.tensor_split(step[self.rank :: self.world], self.parts):
                yield [(int(index), int(seeds[index])) for index in part]

    def size(self, step: int) -> int:
        """The number of images in a step of the run, of all processes together."""
        is_larger = step % self.steps < self.images % self.steps
        return self.images // self.steps + int(is_larger)


def loader(images: Dataset[Any], workers: int, **options: Any) -> DataLoader[Any]:
    """A DataLoader whose worker processes do not hear the signals that are sent to all: this process ends them.

    >>> from warmnet import data, training
    >>> images = training.Images(training.digits().train, data.Preprocessing(32))
    >>> x, labels = next(iter(data.loader(images, workers=0, batch_size=16)))
    >>> tuple(x.shape), tuple(labels.shape)
    ((16, 3, 32, 32), (16,))
    """
    return DataLoader(images, num_workers=workers, worker_init_fn=_ignore_signals, persistent_workers=workers > 0, **options)


@contextmanager
def worker_errors() -> Iterator[None]:
    """What goes wrong in a worker process, or with it, as an error of a line: an ImageError, or a WorkerError."""
    try:
        yield
    except ImageError as error:  # a file that was there at first; from a worker process it comes with a traceback
        raise ImageError(str(error).strip().rpartition("ImageError: ")[2]) from None
    except RuntimeError as error:
        if not re.search(r"DataLoader worker|shared memory|torch_shm_manager|/torch_\d+", str(error)):
            raise
        reason = str(error).partition("\n")[0].rstrip(". ")
        raise WorkerError(
            f"A process that reads images ended: {reason}. Mostly memory is short, or the shared memory of /dev/shm: fewer "
            f"--workers take less of both, and with --workers 0 this process reads alone."
        ) from None


def _ignore_signals(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))  # by then the run has saved, and ended this process


def derive_seed(*numbers: int) -> int:
    """A seed that these numbers decide, for each list of numbers another."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest(), "big") >> 1
