"""A deployed network: images in, probabilities out, on whichever engine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from ..data.preprocessing import Preprocessing
from ..errors import InputError
from .engines import ENGINES
from .engines.engine import Engine, Runner
from .errors import DeployError
from .metadata import Metadata
from .parts import in_parts
from .probabilities import all_probabilities, named_probabilities, softmax


class Predictor:
    """Probabilities (N, classes) of images by a deployed network: `predictor(images)`; by class: `predictor.predict(images)`.

    Many threads may call it. A batch as large as `threads` is dealt out to them, each of which works alone: that takes less
    time than all of them together on one image after the other.

    - `metadata`: what its file says of it. `classes`, `preprocessing`, `engine` and `precision` are of it.
    """

    def __init__(self, network: Engine, metadata: Metadata, threads: int | None = None):
        self.metadata, self.threads = metadata, threads or torch.get_num_threads()
        if self.threads < 1:
            raise InputError(f"threads is {threads}; it must be at least 1.")
        self._network, self._runners, self._building = network, dict[int, Runner](), Lock()
        self._pool = ThreadPoolExecutor(self.threads)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.metadata.classes

    @property
    def preprocessing(self) -> Preprocessing | None:
        return self.metadata.preprocessing

    @property
    def engine(self) -> str:
        return self.metadata.engine

    @property
    def precision(self) -> str:
        return self.metadata.precision

    @property
    def num_classes(self) -> int | None:
        """The number of outputs; None of a network that is no classifier, whose file does not say."""
        number = self.metadata.network.get("num_classes")
        return None if number is None else int(number)

    def __call__(self, images: Any) -> np.ndarray:
        """(N, classes): the probabilities of the images, or of the one.

        Images are as `model.predict` takes them. A network without preprocessing takes an array or a tensor (N, C, H, W) of
        floats.
        """
        if self.preprocessing is None:
            return softmax(self.logits(np.asarray(images, np.float32)))
        rows = all_probabilities(images, self.preprocessing, self.logits)
        if not rows:
            raise InputError("There are no images to predict. Pass at least one.")
        return np.stack(rows)

    def predict(self, images: Any) -> dict[str, float] | list[dict[str, float]]:
        """Class -> probability, the most probable first, of one image; of several a list of these.

        Images are as `model.predict` takes them. Raises InputError if the network has no classes or no preprocessing.
        """
        return named_probabilities(images, self, self.logits)

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """(N, classes), of the network's own inputs: pixels (N, H, W, 3) of uint8, or floats (N, C, H, W)."""
        self._check(inputs)
        is_dealt_out = self.threads > 1 and len(inputs) >= self.threads and type(self._network).has_streams
        streams = self.threads if is_dealt_out else 1
        run, inputs = self.runner(streams), np.ascontiguousarray(inputs)
        if streams == 1:
            return run(inputs)
        return np.concatenate(list(self._pool.map(run, in_parts(inputs, streams))))

    def runner(self, streams: int = 1) -> Runner:
        """A function from inputs to logits, by one call of the engine, which so many threads may call at once."""
        with self._building:  # the first calls may come at once
            if streams not in self._runners:
                self._runners[streams] = self._network.runner(self.metadata, self.threads, streams)
            return self._runners[streams]

    def _check(self, inputs: np.ndarray) -> None:
        """Raise unless these are inputs of the network."""
        shape, dtype = self.metadata.input_shape, np.uint8 if self.preprocessing else np.float32
        channel_axis = 3 if self.preprocessing else 1
        fits = inputs.ndim == 4 and len(inputs) > 0 and inputs.dtype == dtype
        if fits and self.metadata.dynamic_size:
            fits = inputs.shape[channel_axis] == self.metadata.size[0]
        elif fits:
            fits = inputs.shape[1:] == shape
        if not fits:
            raise InputError(
                f"The network's inputs are an array (N, {', '.join(map(str, shape))}) of {np.dtype(dtype)}, not {inputs.shape} "
                f"of {inputs.dtype}."
            )

    def __repr__(self) -> str:
        return f"Predictor({self.engine}, {self.precision}, {len(self.classes)} classes, {self.threads} threads)"


def open_exported(path: str | os.PathLike[str], threads: int | None = None, trust: bool = False) -> Predictor:
    """The predictor in a file of `export`; a DeployError if it is damaged or something else. Its engine must be installed.

    - `trust`: open machine code, an `.aoti.pt2`, which runs when it is opened and can do whatever you can. In all others no
      code runs.

    >>> import numpy as np, tempfile, warmnet
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), num_classes=2, seed=0)
    >>> model.classes, model.preprocessing = ('cat', 'dog'), Preprocessing(32)
    >>> path = tempfile.mkdtemp() + '/pets.pt2'
    >>> verification = warmnet.export(model, path)
    >>> sorted(warmnet.open_exported(path).predict(np.zeros((480, 640, 3), np.uint8)))
    ['cat', 'dog']
    """
    path = Path(path)
    if not path.is_file():
        raise DeployError(f"{path} is not a file." if path.exists() else f"{path} does not exist.")
    for engine in sorted(ENGINES.values(), key=lambda engine: len(engine.suffix), reverse=True):  # .aoti.pt2 before .pt2
        if path.name.endswith(engine.suffix):
            if engine.is_machine_code and not trust:
                raise DeployError(
                    f"{path} holds machine code, which can do whatever you can. If you trust where it is from, open it with "
                    f"trust=True, on the command line with --trust."
                )
            network, metadata = engine.read(path)
            return Predictor(network, metadata, threads)
    endings = ", ".join(engine.suffix for engine in ENGINES.values())
    raise DeployError(f"{path} has no ending of an exported network. They are {endings}.")


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Whether a path is named like a file of `export`, and is one or does not say.

    >>> from warmnet.deployment import is_exported
    >>> is_exported('no-such-file.onnx')
    False
    """
    return str(path).endswith(tuple(engine.suffix for engine in ENGINES.values())) and Path(path).is_file()
