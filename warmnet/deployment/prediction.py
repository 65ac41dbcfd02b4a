"""`predict`: the probability of each class of an image, by its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..data.preprocessing import Preprocessing
from ..errors import InputError
from ..networks.classifier import Classifier
from .images import is_one, to_pil

BATCH = 16


def predict(model: Classifier, images: Any) -> dict[str, float] | list[dict[str, float]]:
    """Class -> probability, the most probable first, of one image; of several a list of these.

    The model computes in eval mode on its own device, and is left as it was. Classes without names are 'class 0', 'class 1'...

    - `images`: a path, a PIL image, an array (H, W, 3) of uint8, or a list of these.

    Raises InputError if the model has no classes or no preprocessing.

    >>> import numpy as np, warmnet
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> model = warmnet.WarmEfficientNet('b0', num_classes=2, seed=0)
    >>> model.classes, model.preprocessing = ('cat', 'dog'), Preprocessing(224)
    >>> sorted(model.predict(np.zeros((480, 640, 3), np.uint8)))
    ['cat', 'dog']
    """
    check_can_predict(type(model).__name__, model.num_classes, model.preprocessing, model.resolution)
    inputs = [model.preprocessing(to_pil(image)) for image in ([images] if is_one(images) else images)]
    predictions = [by_class(probabilities, model.classes) for probabilities in _probabilities(model, inputs)]
    return predictions[0] if is_one(images) else predictions


def by_class(probabilities: Sequence[float], classes: Sequence[str]) -> dict[str, float]:
    """Class -> probability, the most probable first."""
    names = classes or [f"class {n}" for n in range(len(probabilities))]
    pairs = sorted(zip(names, probabilities), key=lambda pair: pair[1], reverse=True)
    return dict(pairs)


def check_can_predict(name: str, num_classes: int, preprocessing: Preprocessing | None, resolution: int = 224) -> None:
    """Raise what keeps a network from saying the classes of images."""
    if num_classes == 0:
        raise InputError(f"The {name} has no classes: num_classes is 0. Build it with a classifier, and train it.")
    if preprocessing is None:
        raise InputError(
            f"The {name} has no preprocessing, which makes its input of an RGB image. Set what it was trained with: "
            f"model.preprocessing = warmnet.data.Preprocessing({resolution})."
        )


def _probabilities(model: Classifier, inputs: Sequence[Tensor]) -> Iterator[list[float]]:
    """The probabilities of each input, computed in batches."""
    weight = next(model.parameters())
    with _eval_mode(model), torch.inference_mode():
        for start in range(0, len(inputs), BATCH):
            x = torch.stack(list(inputs[start : start + BATCH])).to(weight.device, weight.dtype)
            yield from model(x).float().softmax(1).tolist()


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Within it the model is in eval mode; after it each module is in its own again."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
