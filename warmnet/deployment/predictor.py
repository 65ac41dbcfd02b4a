"""A deployed network: images in, probabilities out, on whichever engine."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.preprocessing import Preprocessing
from ..errors import InputError
from .engines import ENGINES, Engine, Runner
from .metadata import About, DeployError
from .samples import pixels

AT_ONCE = 4 * 224 * 224  # pixels in a part of a batch: with more, or fewer, B0 took longer


class Predictor:
    """Probabilities (N, classes) of images by a deployed network: `predictor(images)`.

    Many threads may call it. A batch as large as `threads` is dealt out to them, each of which works alone: that takes less
    time than all of them together on one image after the other.

    - `about`: what its file says of it. `classes`, `preprocessing`, `engine` and `precision` are of it.
    """

    def __init__(self, network: Engine, about: About, threads: int | None = None):
        self.about, self.threads = about, threads or torch.get_num_threads()
        if self.threads < 1:
            raise InputError(f"threads is {threads}; it must be at least 1.")
        self._network, self._runners = network, dict[int, Runner]()
        self._pool = ThreadPoolExecutor(self.threads)
        self._parallel = self.threads > 1 and about.engine in ("onnx", "openvino")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.about.classes

    @property
    def preprocessing(self) -> Preprocessing | None:
        return self.about.preprocessing

    @property
    def engine(self) -> str:
        return self.about.engine

    @property
    def precision(self) -> str:
        return self.about.precision

    def __call__(self, images: Any) -> np.ndarray:
        """(N, classes): the probabilities of the images, or of the one.

        An image is a path, a PIL image, or an array (H, W, 3) of uint8. A network without preprocessing takes an array or a
        tensor (N, C, H, W) of floats.
        """
        if self.preprocessing is None:
            return softmax(self.logits(np.asarray(images, np.float32)))
        if isinstance(images, (str, os.PathLike)) or not isinstance(images, Iterable) or getattr(images, "ndim", 0) in (2, 3):
            images = [images]
        inputs = [pixels(image, self.preprocessing) for image in images]
        if not inputs:
            raise InputError("There are no images to predict. Pass at least one.")
        return softmax(self.logits(np.stack(inputs)))

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """(N, classes), of the network's own inputs: pixels (N, H, W, 3) of uint8, or floats (N, C, H, W)."""
        self._check(inputs)
        streams = self.threads if self._parallel and len(inputs) >= self.threads else 1
        if streams not in self._runners:
            self._runners[streams] = self._network.runner(self.about, self.threads, streams)
        run = self._runners[streams]
        if streams == 1:
            return run(np.ascontiguousarray(inputs))
        height, width = inputs.shape[1:3] if self.preprocessing else inputs.shape[2:4]
        rounds = math.ceil(len(inputs) * height * width / (AT_ONCE * streams))
        parts = np.array_split(np.ascontiguousarray(inputs), min(rounds * streams, len(inputs)))
        return np.concatenate(list(self._pool.map(run, parts)))

    def _check(self, inputs: np.ndarray) -> None:
        channels, height, width = self.about.size
        shape, dtype = ((height, width, channels), np.uint8) if self.preprocessing else (self.about.size, np.float32)
        fits = inputs.ndim == 4 and (self.about.dynamic_size or inputs.shape[1:] == shape)
        if not fits or inputs.dtype != dtype or not len(inputs) or channels != inputs.shape[3 if self.preprocessing else 1]:
            raise InputError(
                f"The network's inputs are an array (N, {', '.join(map(str, shape))}) of {np.dtype(dtype)}, not {inputs.shape} "
                f"of {inputs.dtype}."
            )

    def __repr__(self) -> str:
        return f"Predictor({self.engine}, {self.precision}, {len(self.classes)} classes, {self.threads} threads)"


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probabilities of classes, in dimension 1."""
    share = np.exp(logits - logits.max(1, keepdims=True))
    return share / share.sum(1, keepdims=True)


def open_exported(path: str | os.PathLike[str], threads: int | None = None) -> Predictor:
    """The predictor in a file of `export`; a DeployError if it is damaged or something else. Its engine must be installed."""
    path = Path(path)
    if not path.is_file():
        raise DeployError(f"{path} is not a file." if path.exists() else f"{path} does not exist.")
    for engine in reversed(ENGINES.values()):  # .aoti.pt2 before .pt2
        if path.name.endswith(engine.suffix):
            network, about = engine.read(path)
            return Predictor(network, about, threads)
    endings = ", ".join(engine.suffix for engine in ENGINES.values())
    raise DeployError(f"{path} has no ending of an exported network. They are {endings}.")


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Whether a path is named like a file of `export`, and is one or does not say."""
    return str(path).endswith((".onnx", ".xml", ".pt2")) and Path(path).is_file()
