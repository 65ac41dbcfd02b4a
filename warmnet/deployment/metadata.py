"""What a deployed file says of its network: engine, precision, image size, classes, preprocessing, versions."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..data.files import parse_json
from ..data.preprocessing import Preprocessing
from .errors import DeployError
from .machine import this_machine

FORMAT = 2


@dataclass(frozen=True)
class Metadata:
    """A deployed network's metadata, which its file holds as JSON.

    - `size`: (C, H, W) of the images that it was built for; with `dynamic_size` it takes others too.
    - `preprocessing`: that of its pixels, whose normalization is inside; None for a network of float images (B, C, H, W).
    - `network`: class, variant, options and so on, as text; `weights`: the metadata of the model's weights.
    - `verification`: how it compared with the model. `machine`: with which versions it was built, on which processor.
    """

    engine: str
    precision: str
    size: tuple[int, int, int]
    dynamic_size: bool = False
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    network: dict[str, str] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    verification: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of one input: of pixels (H, W, C), of float images (C, H, W)."""
        channels, height, width = self.size
        return (height, width, channels) if self.preprocessing else self.size

    def to_json(self) -> str:
        preprocessing = self.preprocessing and self.preprocessing.to_dict()
        return json.dumps({"format": FORMAT, **asdict(self), "preprocessing": preprocessing})

    def _check_kinds(self) -> None:
        """Raise ValueError unless the values are of the kinds that `to_json` writes."""
        if len(self.size) != 3 or any(type(side) is not int or side < 1 for side in self.size):
            raise ValueError(f"size is {self.size}")
        texts = [self.engine, self.precision, *self.classes, *self.network.values(), *self.machine.values()]
        if not all(isinstance(text, str) for text in texts) or not self.network.get("num_classes", "0").isdecimal():
            raise ValueError("a text in it is none")

    @classmethod
    def from_json(cls, text: str | bytes, path: Path) -> Metadata:
        """What `to_json` gave, as it was."""
        try:
            content = parse_json(text)
            version = content.pop("format")
            if version > FORMAT:
                raise DeployError(f"{path} was written by a newer warmnet. Update it: pip install -U warmnet")
            if version < FORMAT:
                raise DeployError(f"{path} was written by an older warmnet. Export it again from its model.")
            preprocessing = content["preprocessing"]
            content["size"], content["classes"] = tuple(content["size"]), tuple(content["classes"])
            content["preprocessing"] = preprocessing and Preprocessing.from_dict(preprocessing)
            metadata = cls(**content)
            metadata._check_kinds()
            return metadata
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, DeployError):
                raise
            raise DeployError(f"{path} holds metadata that is damaged: {error!r}. Export it again.") from error


def describe(
    model: nn.Module, engine: str, precision: str, dynamic_size: bool = False, size: tuple[int, int, int] | None = None
) -> Metadata:
    """The metadata of `model`, which tells the size of its images itself if it is a classifier."""
    preprocessing = getattr(model, "preprocessing", None)
    return Metadata(
        engine=engine,
        precision=precision,
        size=_image_size(model, preprocessing, size),
        dynamic_size=dynamic_size,
        classes=tuple(getattr(model, "classes", ())),
        preprocessing=preprocessing,
        network=_network_of(model),
        weights=json.loads(json.dumps(getattr(model, "metadata", {}), default=str)),
        machine=this_machine(),
    )


def _image_size(
    model: nn.Module, preprocessing: Preprocessing | None, size: tuple[int, int, int] | None
) -> tuple[int, int, int]:
    """(C, H, W) of a model's images, or `size` if it does not tell; a DeployError if they do not go together."""
    side = preprocessing.resolution if preprocessing else getattr(model, "resolution", None)
    channels = getattr(model, "in_channels", 3)
    if size is None and side is None:
        raise DeployError(
            f"A {type(model).__name__} does not tell the size of its images. Pass size=(channels, height, width)."
        )
    if preprocessing is None:
        return size or (channels, side, side)  # type: ignore[return-value]
    if channels != 3:
        raise DeployError(
            f"The model's preprocessing gives 3 channels and the network takes {channels}. Set model.preprocessing = None and "
            f"deploy it for float images (B, {channels}, H, W)."
        )
    expected = (channels, preprocessing.resolution, preprocessing.resolution)
    if size not in (None, expected):
        raise DeployError(f"size={size} is not that of the model's preprocessing, {expected}. Leave it out.")
    return expected


def _network_of(model: nn.Module) -> dict[str, str]:
    """A model's class, number of parameters, and settings if it is a classifier, as text."""
    network = {}
    for key in ("variant", "num_classes", "options"):
        if hasattr(model, key):
            text = repr(getattr(model, key))
            network[key] = re.sub(" at 0x[0-9a-f]+", "", text)  # of functions: another in each process
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {**network, "class": type(model).__name__, "parameters": f"{parameters:,}"}
