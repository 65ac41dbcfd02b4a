"""Policies: operations that change images, how often and how strongly."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from ..checks import within
from ..errors import InputError, extra
from ..spelling import choose_one
from ..text import shortened
from . import autoaugment, operations
from .autoaugment import AUTO, RAND, Reach

with extra("train"):
    from PIL import Image

Operation = Callable[[float, Image.Image, random.Random], Image.Image]
HIGHEST_LEVEL = 30.0  # of RandAugment; AutoAugment's is 10
SHOWN = 60  # letters of a value in a message


@dataclass(frozen=True)
class Step:
    """One of the `operations`, drawn, is applied to a share `probability` of the images.

    - `operations`: of operations.py, such as 'rotate', with a `strength` from 0, no change, to 1; or of the official networks,
      see autoaugment.py, such as 'autoaugment Rotate' or 'randaugment Rotate', with a `level` from 0 to 30.
    """

    operations: tuple[str, ...]
    probability: float
    strength: float | None = None
    level: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.operations, (list, tuple)) or not self.operations:
            raise InputError(f"operations is {_shown(self.operations)}; it must be names of operations, ['rotate', 'shear_x'].")
        object.__setattr__(self, "operations", tuple(self.operations))
        if (self.strength is None) == (self.level is None):
            raise InputError(f"A step of {_shown(self.operations)} needs a strength, or if they are official ones a level.")
        known = BY_STRENGTH if self.level is None else BY_LEVEL
        for name in self.operations:
            if not isinstance(name, str) or name not in known:
                kind = "strength" if self.level is None else "level"
                raise InputError(f"Unknown operation {_shown(name)} with a {kind}. {choose_one(name, known)}.")
        within("probability", self.probability, 0, 1)
        if self.strength is not None:
            within("strength", self.strength, 0, 1)
        if self.level is not None:
            within("level", self.level, 0, HIGHEST_LEVEL)

    def __call__(self, image: Image.Image, rng: random.Random) -> Image.Image:
        """An RGB image after the step."""
        operation = self.operations[0] if len(self.operations) == 1 else rng.choice(self.operations)
        if rng.random() >= self.probability:
            return image
        if self.level is None:
            assert self.strength is not None
            return BY_STRENGTH[operation](self.strength, image, rng)
        return BY_LEVEL[operation](self.level, image, rng)


@dataclass(frozen=True)
class Policy:
    """Of `sub_policies`, each a number of steps one after the other, one is drawn for each image.

    One without steps leaves the image as it is.

    >>> import random
    >>> from PIL import Image
    >>> from warmnet.data.policy import Policy
    >>> policy = Policy([[{"operations": ["rotate", "shear_x"], "probability": 0.5, "strength": 0.3}]])
    >>> policy(Image.new("RGB", (224, 224)), random.Random(0)).size
    (224, 224)
    """

    sub_policies: tuple[tuple[Step, ...], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.sub_policies, (list, tuple)) or not self.sub_policies:
            raise InputError(
                f"The sub-policies are {_shown(self.sub_policies)}; they must be lists of steps in a list, [[], []]."
            )
        sub_policies = tuple(_steps(steps, f"sub-policy {number}") for number, steps in enumerate(self.sub_policies, 1))
        object.__setattr__(self, "sub_policies", sub_policies)

    def __call__(self, image: Image.Image, rng: random.Random) -> Image.Image:
        """An RGB image after the steps of one of the sub-policies."""
        steps = self.sub_policies[0] if len(self.sub_policies) == 1 else rng.choice(self.sub_policies)
        for step in steps:
            image = step(image, rng)
        return image

    def __str__(self) -> str:
        return "by a policy of its own" if len(self.sub_policies) == 1 else f"by {len(self.sub_policies)} sub-policies"


def as_policy(augment: Any) -> Any:
    """A policy for what JSON has of it, a list of its sub-policies or an object with them; whatever else stays."""
    if isinstance(augment, (list, tuple)):
        return Policy(tuple(augment))
    return Policy(**_keywords(Policy, augment)) if isinstance(augment, Mapping) else augment


def official(name: str, magnitude: float = 10) -> Policy:
    """AutoAugment's policy v0, 'autoaugment', or 'randaugment' of a magnitude, written as a policy."""
    if name == "autoaugment":
        return Policy(tuple(tuple(Step((f"{name} {o}",), p, level=level) for o, p, level in pair) for pair in autoaugment.V0))
    if name == "randaugment":
        return Policy(
            ((Step(tuple(f"{name} {operation}" for operation in autoaugment.OPERATIONS), 1.0, level=magnitude),) * 2,)
        )
    raise InputError(f"Unknown policy {name!r}. {choose_one(name, ('autoaugment', 'randaugment'))}.")


def _steps(steps: Any, place: str) -> tuple[Step, ...]:
    """The steps of a sub-policy, as they are or as JSON has them. An InputError says at which `place` it is."""
    if not isinstance(steps, (list, tuple)):
        raise InputError(f"{place} is {_shown(steps)}; it must be a list of steps, as in [[{{...}}, {{...}}]].")
    return tuple(_step(step, f"{place}, step {number}") for number, step in enumerate(steps, 1))


def _step(step: Any, place: str) -> Step:
    if isinstance(step, Step):
        return step
    try:
        return Step(**_keywords(Step, step))
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _keywords(kind: type, content: Any) -> dict[str, Any]:
    """The arguments of a dataclass that an object of JSON holds. Raises InputError if it holds others."""
    of_kind = {field.name: field for field in fields(kind)}
    if not isinstance(content, Mapping):
        raise InputError(f"A {kind.__name__.lower()} is {_shown(content)}; it must be an object with {', '.join(of_kind)}.")
    for name in content:
        if name not in of_kind:
            raise InputError(f"A {kind.__name__.lower()} has {_shown(name)}. {choose_one(name, of_kind)}.")
    for name, each in of_kind.items():
        if name not in content and each.default is MISSING:
            raise InputError(f"A {kind.__name__.lower()} lacks {name}: {_shown(dict(content))}.")
    return dict(content)


def _shown(value: Any) -> str:
    """A value in a message."""
    return shortened(repr(value), SHOWN)


def _by_level(operation: str, reach: Reach) -> Operation:
    """An operation of the official networks."""
    return lambda level, image, rng: Image.fromarray(autoaugment.apply(operation, level, np.asarray(image), rng, reach))


BY_STRENGTH: dict[str, Operation] = {name: partial(operations.apply, name) for name in operations.OPERATIONS}
BY_LEVEL: dict[str, Operation] = {
    f"{policy} {name}": _by_level(name, reach)
    for policy, reach in (("autoaugment", AUTO), ("randaugment", RAND))
    for name in autoaugment.OPERATIONS
}
