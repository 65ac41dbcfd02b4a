"""Images as the probabilities of their classes: read, computed in batches, named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np

from ..data.errors import ImageError
from ..data.images import is_one
from ..data.preprocessing import Preprocessing
from ..data.reading_ahead import read_ahead
from ..errors import InputError

BATCH = 64  # images

Logits = Callable[[np.ndarray], np.ndarray]  # of pixels (N, H, W, 3), uint8, as preprocessing gives them: (N, classes)


class Network(Protocol):
    """What is known of a network that says the classes of images: of a Classifier, and of a Predictor."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def num_classes(self) -> int | None: ...
    @property
    def preprocessing(self) -> Preprocessing | None: ...


def named_probabilities(images: Any, network: Network, logits: Logits) -> dict[str, float] | list[dict[str, float]]:
    """Class -> probability, the most probable first, of one image; of several a list of these."""
    check_can_predict(network)
    predictions = [by_class(row.tolist(), network.classes) for row in all_probabilities(images, network.preprocessing, logits)]
    return predictions[0] if is_one(images) else predictions


def all_probabilities(images: Any, preprocessing: Preprocessing | None, logits: Logits) -> list[np.ndarray]:
    """(classes,) of each of the images, or of the one; the first that cannot be read is an ImageError."""
    rows = []
    for result in probabilities([images] if is_one(images) else images, preprocessing, logits):
        if isinstance(result, ImageError):
            raise result
        rows.append(result)
    return rows


def probabilities(
    images: Iterable[Any], preprocessing: Preprocessing | None, logits: Logits, batch_size: int = BATCH, threads: int = 0
) -> Iterator[np.ndarray | ImageError]:
    """(classes,) of each image, in their order; in its place the error of one that cannot be read.

    It keeps no more than a few batches, however many images there are.

    - `threads`: that read images ahead; 0 for none. No image may then be given twice as the same PIL image.
    """

    def read(image: Any) -> np.ndarray | ImageError:
        try:
            return np.asarray(preprocessing.pixels(image))  # type: ignore[union-attr]
        except ImageError as error:
            return error

    pixels = read_ahead(read, images, threads, ahead=2 * batch_size)
    while batch := list(islice(pixels, batch_size)):
        readable = [each for each in batch if not isinstance(each, ImageError)]
        rows = iter(softmax(logits(np.stack(readable)))) if readable else iter(())
        for each in batch:
            yield each if isinstance(each, ImageError) else next(rows)


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probabilities of classes, in dimension 1; an InputError if they are no numbers."""
    if not np.isfinite(logits).all():
        raise InputError("The network gives numbers that are not finite; its weights are damaged, or their training diverged.")
    share = np.exp(logits - logits.max(1, keepdims=True))
    return share / share.sum(1, keepdims=True)


def by_class(probabilities: Sequence[float], classes: Sequence[str]) -> dict[str, float]:
    """Class -> probability, the most probable first. A name that several classes have gets the sum of theirs."""
    names = names_of(classes, len(probabilities))
    sums = dict.fromkeys(names, 0.0)
    for name, probability in zip(names, probabilities):
        sums[name] += probability
    return dict(sorted(sums.items(), key=lambda pair: pair[1], reverse=True))


def names_of(classes: Sequence[str], outputs: int) -> tuple[str, ...]:
    """The name of each output: 'class 0', 'class 1', ... if there are no names of classes."""
    names = tuple(classes) or tuple(f"class {n}" for n in range(outputs))
    if len(names) != outputs:
        raise InputError(f"The network has {outputs} outputs and {len(names)} names of classes. Give it as many.")
    return names


def check_can_predict(network: Network) -> None:
    """Raise what keeps a network from saying the classes of images."""
    name = type(network).__name__
    if network.num_classes == 0:
        raise InputError(f"The {name} has no classes: num_classes is 0. Build it with a classifier, and train it.")
    channels = getattr(network, "in_channels", 3)
    if channels != 3:
        raise InputError(
            f"The {name} was built with in_channels={channels}, and preprocessing makes 3, red, green and blue. Prepare the "
            f"images yourself, and call it: model(x)."
        )
    if network.preprocessing is None:
        raise InputError(
            f"The {name} has no preprocessing, which makes its input of an RGB image. Set what it was trained with: "
            f"model.preprocessing = warmnet.data.Preprocessing({getattr(network, 'resolution', 224)}). An exported network has "
            f"what its model had."
        )
