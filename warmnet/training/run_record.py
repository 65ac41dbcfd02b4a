"""run.json: what a run was given, with which versions it ran, and what came of it."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..authoring.source_code import SourceCode
from ..data.files import read_object
from ..data.samples import Data
from ..errors import InputError
from ..text import shortened
from ..version import __version__
from ..weights.option_values import NotForFilesError, decode, encode
from .execution import Execution, count_processes_and_threads
from .metrics import Epoch
from .recipe import Recipe

RECORD = "run.json"
SHOWN = 60  # letters of a setting in a message
FACTS = (
    "source_code", "weights_sha256", "images", "classes", "processes", "threads", "versions", "command_line", "started",
    "extended", "results", "split", "trials", "minutes", "jobs",
)  # fmt: skip
# keys of run.json and search.json that are no options: `--config` leaves them out


def run_settings(
    recipe: Recipe, variant: str | None, seed: int, code: SourceCode | None, weights: str | None
) -> dict[str, Any]:
    """What must be the same when a run goes on, but for the digest of the split.

    - `variant`: its name. `weights`: the digest of those that the run starts from.
    """
    network = None if code is None else str(code)
    return {
        "recipe": asdict(recipe), "variant": variant, "seed": seed, "network": network, "weights": weights, "extended": [],
    }  # fmt: skip


def new_record(settings: Mapping[str, Any], data: Data, execution: Execution, options: Mapping[str, Any]) -> dict[str, Any]:
    """The content of run.json when a run begins: `settings` as compared on resume, and all that a command takes to repeat it.

    - `options`: of the command line, that the run does not know by itself, such as the folder of the images.
    """
    return {
        **options,
        "variant": settings["variant"],
        "seed": settings["seed"],
        "recipe": settings["recipe"],
        **asdict(execution),
        "source_code": settings["network"],
        "weights_sha256": settings["weights"],
        "images": {"name": data.name, "train": len(data.train), "held out": len(data.held_out)},
        "classes": list(data.classes),
        **count_processes_and_threads(),
        "versions": versions(),
        "command_line": sys.argv,
        "started": _now(),
        "extended": settings["extended"],
        "results": None,
    }


def results(history: list[Epoch], best: int, kept: int) -> dict[str, Any]:
    """What came of a run: its epochs, the best and that whose weights are kept, with its figures."""
    return {"finished": _now(), "epochs": len(history), "best": best, "kept": kept, **history[kept - 1]._asdict()}


def versions() -> dict[str, str]:
    """The versions of all that decides what a run computes."""
    return {
        "warmnet": __version__, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "Pillow": version("pillow"), "lightning_fabric": version("lightning-fabric"), "platform": platform.platform(),
    }  # fmt: skip


def read_record(path: Path) -> dict[str, Any]:
    """The content of run.json, or of another file of options. Raises InputError if it is no JSON object."""
    return read_object(path, "options", '{"epochs": 40}')


def to_json(record: Mapping[str, Any]) -> str:
    """The text of run.json. A function is there by its name, if weights could have it, and else as text."""
    return json.dumps(record, indent=2, default=_in_json) + "\n"


def from_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a recipe that run.json holds as they were: tuples, and functions that have a name.

    Raises InputError for a function that no file may name.
    """
    try:
        return {name: decode(value) for name, value in settings.items()}
    except ValueError as error:
        raise InputError(f"The recipe has an {error}. A file may name functions of torch and warmnet alone.") from error


def plain(value: Any) -> Any:
    """A setting as run.json would give it back: lists for tuples."""
    return json.loads(json.dumps(value, default=_in_json))


def differences(name: str, before: Any, now: Any) -> list[str]:
    """What differs between a setting as it was and as it is, both as JSON has them: 'network.dropout was 0.2 and is 0.5'.

    Of a setting that is long to write, only the parts that differ.
    """
    if before == now:
        return []
    is_long = max(len(str(before)), len(str(now))) > SHOWN
    if is_long and isinstance(before, dict) and isinstance(now, dict):
        parts = [differences(f"{name}.{key}", before.get(key), now.get(key)) for key in {**before, **now}]
        return [each for part in parts for each in part]
    if is_long and isinstance(before, list) and isinstance(now, list):
        if len(before) != len(now):
            return [f"{name} had {len(before)} entries and has {len(now)}"]
        parts = [differences(f"{name}[{place}]", *pair) for place, pair in enumerate(zip(before, now))]
        return [each for part in parts for each in part]
    return [f"{name} was {shortened(str(before), SHOWN)} and is {shortened(str(now), SHOWN)}"]


def _in_json(value: Any) -> Any:
    try:
        return encode(value)
    except NotForFilesError:
        return repr(value)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
