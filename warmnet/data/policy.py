"""Policies: how images are changed, in a file that people read and edit."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, extra
from ..spelling import choose_one
from . import autoaugment, operations
from .autoaugment import AUTO, RAND, Reach
from .files import read_object, replacing

with extra("train"):
    from PIL import Image

Operation = Callable[[float, Image.Image, random.Random], Image.Image]
SETTINGS = "sampling", "area", "shift", "flip", "augment"  # of a recipe: what policy.json says
HIGHEST_LEVEL = 30.0  # of RandAugment; AutoAugment's is 10


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
        if isinstance(self.operations, str) or not isinstance(self.operations, Iterable) or not [*self.operations]:
            raise InputError(f"operations is {self.operations!r}; it must be names of operations, ['rotate', 'shear_x'].")
        object.__setattr__(self, "operations", tuple(self.operations))
        if (self.strength is None) == (self.level is None):
            raise InputError(f"A step of {', '.join(map(str, self.operations))} needs a strength, or of official ones a level.")
        known = BY_STRENGTH if self.level is None else BY_LEVEL
        for name in self.operations:
            if not isinstance(name, str) or name not in known:
                kind = "strength" if self.level is None else "level"
                raise InputError(f"Unknown operation {name!r} with a {kind}. {choose_one(name, known)}.")
        for name, most in ("probability", 1.0), ("strength", 1.0), ("level", HIGHEST_LEVEL):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (value is None and name != "probability") and not (is_number and 0 <= value <= most):
                raise InputError(f"{name} is {value!r}; it must be a number from 0 to {most:g}.")

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

    - `found`: where it comes from: of a search the seed, the resolution, the images and the losses. It changes nothing.

    >>> import random
    >>> from PIL import Image
    >>> from warmnet.data.policy import Policy
    >>> policy = Policy([[{"operations": ["rotate", "shear_x"], "probability": 0.5, "strength": 0.3}]])
    >>> policy(Image.new("RGB", (224, 224)), random.Random(0)).size
    (224, 224)
    """

    sub_policies: tuple[tuple[Step, ...], ...]
    found: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.sub_policies, (list, tuple)) or not self.sub_policies:
            raise InputError(f"sub_policies is {self.sub_policies!r}; it must be a list of lists of steps.")
        object.__setattr__(self, "sub_policies", tuple(_steps(steps) for steps in self.sub_policies))

    def __call__(self, image: Image.Image, rng: random.Random) -> Image.Image:
        """An RGB image after the steps of one of the sub-policies."""
        steps = self.sub_policies[0] if len(self.sub_policies) == 1 else rng.choice(self.sub_policies)
        for step in steps:
            image = step(image, rng)
        return image

    def __str__(self) -> str:
        return "by a policy of its own" if len(self.sub_policies) == 1 else f"by {len(self.sub_policies)} sub-policies"


def as_policy(augment: Any) -> Any:
    """A policy for what a file holds of it, a mapping; whatever else stays."""
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


def read_policy(path: str | Path) -> dict[str, Any]:
    """The settings of a recipe that a policy.json holds. Raises InputError for what is none."""
    path = Path(path)
    content = read_object(path, "policy", '{"flip": true, "augment": "autoaugment"}')
    found = content.get("found", {})
    settings = {key: value for key, value in content.items() if key != "found"}
    for name in settings:
        if name not in SETTINGS:
            raise InputError(f"{path} has {name!r}, and a policy has no such setting. {choose_one(name, SETTINGS)}.")
    try:
        if isinstance(settings.get("augment"), list):
            settings["augment"] = Policy(settings["augment"], found)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if isinstance(settings.get("area"), list):
        settings["area"] = tuple(settings["area"])
    return settings


def write_policy(path: Path, settings: Mapping[str, Any], found: Mapping[str, Any] | None = None) -> None:
    """Write policy.json, of settings of a recipe and where they come from."""
    augment = settings["augment"]
    content: dict[str, Any] = {name: settings[name] for name in SETTINGS}
    if isinstance(augment, Policy):
        content["augment"] = [[_as_json(step) for step in steps] for steps in augment.sub_policies]
    content["found"] = dict(augment.found if found is None and isinstance(augment, Policy) else found or {})
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _as_json(step: Step) -> dict[str, Any]:
    """What there is of a step."""
    values = {field.name: getattr(step, field.name) for field in fields(step)}
    return {name: value for name, value in values.items() if value is not None}


def _steps(steps: Any) -> tuple[Step, ...]:
    if not isinstance(steps, (list, tuple)):
        raise InputError(f"A sub-policy is {steps!r}; it must be a list of steps.")
    return tuple(step if isinstance(step, Step) else Step(**_keywords(Step, step)) for step in steps)


def _keywords(kind: type, content: Any) -> dict[str, Any]:
    """The arguments of a dataclass that an object of JSON holds. Raises InputError if it holds others."""
    of_kind = {field.name: field for field in fields(kind)}
    if not isinstance(content, Mapping):
        raise InputError(f"A {kind.__name__.lower()} is {content!r}; it must be an object with {', '.join(of_kind)}.")
    for name in content:
        if name not in of_kind:
            raise InputError(f"A {kind.__name__.lower()} has {name!r}. {choose_one(name, of_kind)}.")
    for name, each in of_kind.items():
        if name not in content and each.default is MISSING and each.default_factory is MISSING:
            raise InputError(f"A {kind.__name__.lower()} lacks {name}: {dict(content)}.")
    return dict(content)


def _by_level(operation: str, reach: Reach) -> Operation:
    """An operation of the official networks."""
    return lambda level, image, rng: Image.fromarray(autoaugment.apply(operation, level, np.asarray(image), rng, reach))


BY_STRENGTH: dict[str, Operation] = {name: partial(operations.apply, name) for name in operations.OPERATIONS}
BY_LEVEL: dict[str, Operation] = {
    f"{policy} {name}": _by_level(name, reach)
    for policy, reach in (("autoaugment", AUTO), ("randaugment", RAND))
    for name in autoaugment.OPERATIONS
}
