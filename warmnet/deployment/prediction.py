"""`predict`: the probability of each class of an image; and how a network computes, be it a model or an exported one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..networks.classifier import Classifier
from .devices import find_device
from .predictor import Predictor
from .probabilities import Logits, check_can_predict, named_probabilities


def predict(model: Classifier, images: Any) -> dict[str, float] | list[dict[str, float]]:
    """Class -> probability, the most probable first, of one image; of several a list of these.

    The model computes in eval mode on its own device, and is left as it was. Classes without names are 'class 0', 'class 1'...

    - `images`: a path, a PIL image, an array (H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16, an open file or its bytes; or
      several, as a list, another iterable, or an array (N, H, W, 3).

    Raises InputError if the model has no classes or no preprocessing, ImageError, which is one, if an image cannot be read.

    >>> import numpy as np, warmnet
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> model = warmnet.WarmEfficientNet('b0', num_classes=2, seed=0)
    >>> model.classes, model.preprocessing = ('cat', 'dog'), Preprocessing(224)
    >>> sorted(model.predict(np.zeros((480, 640, 3), np.uint8)))
    ['cat', 'dog']
    """
    check_can_predict(model)
    with computing(model) as logits:
        return named_probabilities(images, model, logits)


@contextmanager
def computing(network: Classifier | Predictor, device: str | None = None) -> Iterator[Logits]:
    """Within it, a function from pixels (N, H, W, 3) of uint8, as preprocessing gives them, to logits (N, classes), float32.

    A model evaluates, on `device`; after it each of its modules is in its own mode, on its own device, again.

    - `device`: 'auto', 'cpu', 'cuda' or 'mps'. Default: where it is. An exported network computes on the processor alone.
    """
    if isinstance(network, Predictor):
        if device not in (None, "auto", "cpu"):
            raise InputError(f"An exported network computes on the processor, not on {device!r}. Leave the device out.")
        yield network.logits
        return
    weight = next(network.parameters())
    home, modes = weight.device, {module: module.training for module in network.modules()}
    if home.type == "meta":
        raise InputError("The model is on 'meta' and has no values. Build it on a device first.")
    try:
        network.eval()
        if device is not None:
            network.to(find_device(device))
        with torch.inference_mode():
            yield _logits_of(network)
    finally:
        network.to(home)
        for module, mode in modes.items():
            module.training = mode


def _logits_of(model: Classifier) -> Logits:
    """A function from pixels to the logits of a model, in its precision and on its device."""
    weight = next(model.parameters())
    mean, std = (torch.tensor(values, device=weight.device) for values in (model.preprocessing.mean, model.preprocessing.std))

    def logits(pixels: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(pixels).to(weight.device).float().div_(255).sub_(mean).div_(std)
        return model(x.permute(0, 3, 1, 2).to(weight.dtype)).float().cpu().numpy()

    return logits
