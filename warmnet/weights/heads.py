"""The head of a classifier, which others make of several layers where warmnet has one linear layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from ..networks.classifier import CLASSIFIER


class Head(NamedTuple):
    """The tensors of a head by their names in the source.

    - `paths`: our paths of those that one linear layer can take; `left_over`: all others.
    - `num_classes`: the outputs of the last linear layer; 0 without one.
    """

    paths: dict[str, str]
    left_over: tuple[str, ...]
    num_classes: int


def find_head(tensors: Mapping[str, Tensor], layer: str) -> Head:
    """The head among torch's tensors of a network, in which `layer` is the usual name of the linear layer.

    One linear layer, such as a Dropout precedes, is taken wherever it is: 'classifier.1' for 'classifier'.
    """
    root = re.sub(r"\.\d+$", "", layer)
    names = sorted((name for name in tensors if name.startswith(f"{root}.")), key=_position)
    weights = [name for name in names if name.endswith(".weight") and tensors[name].ndim == 2]
    if not weights:
        return Head({}, tuple(names), 0)
    last = weights[-1].removesuffix(".weight")
    num_classes = tensors[weights[-1]].shape[0]
    if {*names} <= {f"{last}.weight", f"{last}.bias"}:
        return Head({f"{last}.{path.rpartition('.')[2]}": path for path in CLASSIFIER}, (), num_classes)
    return Head({}, tuple(names), num_classes)


def _position(name: str) -> list[int]:
    """What orders a sequence's layers: 'classifier.4' is before 'classifier.10'. Others stay in the order of the file."""
    return [int(part) if part.isdecimal() else 0 for part in name.split(".")]
