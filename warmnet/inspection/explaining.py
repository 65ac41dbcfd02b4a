"""A prediction explained: the image as the network sees it, its most probable classes, and where it sees signs of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..data.files import check_ending
from ..deployment.prediction import computing
from ..deployment.probabilities import by_class, check_can_predict, names_of, softmax
from ..errors import InputError
from ..networks.classifier import Classifier
from ..plotting.figures import png, write
from .copying import network_of
from .localization import block_and_grad_cam

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

MAPS = 2  # classes, the most probable, that have one


@dataclass(frozen=True, repr=False, eq=False)
class Explanation:
    """What a network says of an image, and why. It shows as a picture in Jupyter; `save` writes that to a file.

    - `image`: the square of the resolution that the network sees.
    - `probabilities`: class -> probability, the most probable first. `classes`: all classes, in the order of the outputs.
    - `maps`: for the two most probable classes: class -> Grad-CAM (H, W) of `block`, as `grad_cam` gives it.
    """

    image: Image
    classes: tuple[str, ...]
    probabilities: dict[str, float]
    block: str
    maps: dict[str, Tensor]

    def __repr__(self) -> str:
        pairs = [f"{name} {share:.1%}" for name, share in [*self.probabilities.items()][:MAPS]]
        return f"Explanation({', '.join(pairs)}, by {self.block})"

    def figure(self) -> Figure:
        """The picture, as a figure of matplotlib."""
        from .explanation_plot import explanation_figure

        return explanation_figure(self.image, self.classes, self.probabilities, self.block, self.maps)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as a PNG file. Raises InputError if the path does not end in .png."""
        check_ending(Path(path), ".png")
        write(self.figure(), Path(path))

    def _repr_png_(self) -> bytes:
        return png(self.figure())


def explain(model: Classifier, image: Any) -> Explanation:
    """What a network says of an image, with Grad-CAM of its two most probable classes.

    The network computes in eval mode on its own device, and is left as it was.

    - `model`: a classifier of warmnet. `image`: a path, a PIL image, an array, or what else `predict` takes for one.

    Raises InputError for another model and for one without classes or preprocessing, ImageError, which is one, if the image
    cannot be read.

    >>> import numpy as np, warmnet
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> model = warmnet.WarmEfficientNet('b0', num_classes=2, seed=0)
    >>> model.classes, model.preprocessing = ('cat', 'dog'), Preprocessing(64)
    >>> explanation = warmnet.explain(model, np.zeros((480, 640, 3), np.uint8))
    >>> sorted(explanation.maps), explanation.block, explanation.maps['cat'].shape
    (['cat', 'dog'], 'head', torch.Size([64, 64]))
    """
    network = network_of(model)
    if not isinstance(network, Classifier):
        raise InputError(
            f"{type(network).__name__} is none of warmnet's classifiers, which know their classes and how to prepare an image. "
            f"Build it as one, or do these steps yourself and call warmnet.grad_cam(model, x, label)."
        )
    check_can_predict(network)
    pixels = network.preprocessing.pixels(image)
    with computing(network) as logits:
        (shares,) = softmax(logits(np.stack([pixels])))
    classes, probabilities = names_of(network.classes, len(shares)), by_class(shares.tolist(), network.classes)
    labels = {classes[index]: int(index) for index in shares.argsort()}  # of classes with one name the most probable
    named = [*probabilities][:MAPS]
    weight = next(network.parameters())
    x = network.preprocessing.normalized(pixels)[None].expand(len(named), -1, -1, -1).to(weight.device, weight.dtype)
    block, maps = block_and_grad_cam(network, x, [labels[name] for name in named])
    return Explanation(pixels, classes, probabilities, block, dict(zip(named, maps.float().cpu())))
