"""A prediction explained: the image as the network sees it, its most probable classes, and where it sees signs of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..deployment.prediction import computing
from ..deployment.probabilities import by_class, check_can_predict, names_of, softmax
from ..networks.classifier import Classifier
from ..plotting.figures import png, write
from .localization import block_and_grad_cam

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

MAPS = 2  # classes, the most probable, that have one


@dataclass(frozen=True, repr=False)
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
        """Write the picture as a PNG file."""
        write(self.figure(), Path(path))

    def _repr_png_(self) -> bytes:
        return png(self.figure())


def explain(model: Classifier, image: Any) -> Explanation:
    """What a network says of an image, with Grad-CAM of its two most probable classes.

    The network computes in eval mode on its own device, and is left as it was.

    - `image`: a path, a PIL image, an array, or what else `predict` takes for one.

    Raises InputError if the model has no classes or no preprocessing, ImageError, which is one, if the image cannot be read.

    >>> import numpy as np, warmnet
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> model = warmnet.WarmEfficientNet('b0', num_classes=2, seed=0)
    >>> model.classes, model.preprocessing = ('cat', 'dog'), Preprocessing(64)
    >>> explanation = warmnet.explain(model, np.zeros((480, 640, 3), np.uint8))
    >>> sorted(explanation.maps), explanation.block, explanation.maps['cat'].shape
    (['cat', 'dog'], 'head', torch.Size([64, 64]))
    """
    check_can_predict(model)
    pixels = model.preprocessing.pixels(image)
    with computing(model) as logits:
        (shares,) = softmax(logits(np.stack([pixels])))
    classes, probabilities = names_of(model.classes, len(shares)), by_class(shares.tolist(), model.classes)
    labels = {classes[index]: int(index) for index in shares.argsort()}  # of classes with one name the most probable
    named = [*probabilities][:MAPS]
    weight = next(model.parameters())
    x = model.preprocessing.normalized(pixels)[None].expand(len(named), -1, -1, -1).to(weight.device, weight.dtype)
    block, maps = block_and_grad_cam(model, x, [labels[name] for name in named])
    return Explanation(pixels, classes, probabilities, block, dict(zip(named, maps.float().cpu())))
