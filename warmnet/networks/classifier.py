"""Stand-in until main has it."""

from __future__ import annotations

from typing import Any, ClassVar

from ..data.preprocessing import Preprocessing
from ..engine.module import WarmModule

STEM = "stem.conv.weight"
CLASSIFIER = "classifier.weight", "classifier.bias"


class Classifier(WarmModule):
    """A network that says what is in an image."""

    variant: Any
    num_classes: int
    in_channels: int
    resolution: int
    reduction: int
    options: dict[str, Any]
    metadata: dict[str, Any]
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    from_pretrained: ClassVar[Any]
    predict: Any
    _repr_html_: Any
