"""policy.json: how images are augmented, and where that comes from, in a file that people read and edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..spelling import choose_one
from .augmentation import Augmentation
from .files import read_object, replacing
from .policy import Policy, Step, as_policy

SETTINGS = "sampling", "area", "shift", "flip", "augment", "magnitude", "erase"  # of `Augmentation`, and of a recipe
DEEPEST = 20
EXAMPLE = '{"flip": true, "augment": "autoaugment"}'


def read_policy(path: str | Path) -> dict[str, Any]:
    """The settings of a recipe that a policy.json holds, and `found`.

    What it does not say is as in the recipe. An `area` of null follows from the size of the images. Raises InputError, with
    the place, for what is not a policy.

    >>> import pathlib, tempfile
    >>> from warmnet import data
    >>> path = pathlib.Path(tempfile.mkdtemp(), 'policy.json')
    >>> _ = path.write_text('{"flip": false, "area": [0.7, 1]}')
    >>> data.read_policy(path)['flip']
    False
    """
    path = Path(path)
    content = read_object(path, "policy", EXAMPLE)
    try:
        return _settings_of(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_policy(path: Path, settings: Mapping[str, Any]) -> None:
    """Write policy.json, of settings of a recipe and `found`. A magnitude is only there for a RandAugment, which has one."""
    content = {name: settings[name] for name in (*SETTINGS, "found")}
    if isinstance(content["augment"], Policy):
        content["augment"] = [[_as_json(step) for step in steps] for steps in content["augment"].sub_policies]
    if content["augment"] not in ("randaugment", "randaugment-timm"):
        del content["magnitude"]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def check_found(found: Any) -> None:
    """Raise InputError if `found`, which says where a policy comes from, cannot be kept with weights."""
    if not isinstance(found, Mapping):
        raise InputError(f'found is {found!r}; it must be an object, such as {{"seed": 3}}. It changes no image.')
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"found cannot be kept: {error}. Write text and finite numbers, or leave it out.") from error
    if _depth(found) > DEEPEST:
        raise InputError(f"found cannot be kept: it is nested deeper than {DEEPEST} times. Leave it out; it changes no image.")


def _depth(value: Any) -> int:
    """How often lists and objects are nested in each other."""
    parts = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return 1 + max(map(_depth, parts), default=0)


def _settings_of(content: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(content.get("recipe"), Mapping):
        raise InputError("It holds options of a run or a search, and no policy. Give it to --config.")
    for name in content:
        if name not in (*SETTINGS, "found"):
            raise InputError(f"A policy has no setting {name!r}. {choose_one(name, SETTINGS)}.")
    settings = {name: value for name, value in content.items() if name != "found"}
    if not settings:
        raise InputError(f"It says nothing of how images are augmented. Write some of {', '.join(SETTINGS)}: {EXAMPLE}.")
    if "augment" in settings:
        settings["augment"] = as_policy(settings["augment"])
    if isinstance(settings.get("area"), list):
        settings["area"] = tuple(settings["area"])
    follows = settings.get("area") is None
    Augmentation(**{name: value for name, value in settings.items() if not (name == "area" and follows)})  # or an error
    found = content.get("found", {})
    check_found(found)
    return {**settings, "found": found}


def _as_json(step: Step) -> dict[str, Any]:
    """What there is of a step."""
    values = {field.name: getattr(step, field.name) for field in fields(step)}
    return {name: value for name, value in values.items() if value is not None}
