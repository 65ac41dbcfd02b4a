"""Which parts of a network learn: all, or those behind the last part that is frozen."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import InputError
from ..networks.classifier import Classifier
from ..networks.names import choose_one
from ..weights.pruned import rebuilt
from .optimizer import depth, part_depths

ALL = "all"  # but the classifier


class Learning(NamedTuple):
    """How many of a network's parameters learn, and how many it has."""

    parameters: int
    of: int

    def __str__(self) -> str:
        return f"{self.parameters:,} of {self.of:,} parameters learn"


def first_to_learn(model: Classifier, freeze: str | None) -> int:
    """The depth of the first part that learns, as `part_depths` counts, if all up to the part `freeze` is frozen.

    Raises InputError if it has no such part, or if nothing would learn.
    """
    if freeze is None:
        return 0
    depths = part_depths(model)
    *parts, _ = depths
    if freeze == ALL:
        return len(parts)
    if freeze not in parts:
        raise InputError(f"freeze is {freeze!r}. {choose_one(freeze, [*parts, ALL])}; with {ALL} the classifier alone learns.")
    return depths[freeze] + 1


def count_learning(model: Classifier, freeze: str | None, num_classes: int) -> Learning:
    """How many parameters of such a network learn, if it has so many classes."""
    model = rebuilt(model, num_classes, next(model.parameters()).device)
    depths, first = part_depths(model), first_to_learn(model, freeze)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    learning = [size for name, size in sizes.items() if depth(name, depths) >= first]
    return Learning(sum(learning), sum(sizes.values()))
