"""Which engine is the fastest on this machine: measured once, and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import torch

from ..data.files import replacing
from ..errors import InputError
from .engines import ENGINES, is_installed
from .metadata import Metadata
from .predictor import Predictor
from .samples import synthetic_samples

ROUNDS = 15


def candidates(precision: str) -> list[str]:
    """The engines to choose among."""
    names = [
        name
        for name, engine in ENGINES.items()
        if precision in engine.precisions and engine.builds_quickly and is_installed(name)
    ]
    if not names:
        raise InputError(f"No engine that is installed has precision {precision!r}. Install: pip install 'warmnet[deploy]'")
    return names


def measure(predictors: Mapping[str, Predictor], batch: int) -> dict[str, float]:
    """Seconds for a batch by engine: the shortest of several rounds, in each of which every engine is measured once."""
    first = next(iter(predictors.values()))
    inputs = synthetic_samples(first.metadata, batch).inputs
    times = dict.fromkeys(predictors, float("inf"))
    for _ in range(ROUNDS):
        for name, predictor in predictors.items():
            predictor.logits(inputs)  # so that caches are as they are when the last call was its own
            start = time.perf_counter()
            predictor.logits(inputs)
            times[name] = min(times[name], time.perf_counter() - start)
    return times


def key(metadata: Metadata, batch: int, threads: int | None) -> str:
    """What the choice depends on: machine, versions, network, size, precision, batch, threads."""
    parts = metadata.machine, metadata.network, metadata.size, metadata.precision, batch, threads or torch.get_num_threads()
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def recall(key: str, names: Iterable[str] = ()) -> str | None:
    """The fastest engine of that key, if all of these names were measured; a damaged file is as none."""
    try:
        times = json.loads(cache_file().read_text())[key]
        return min(times, key=lambda name: float(times[name])) if {*names} <= times.keys() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remember(key: str, times: Mapping[str, float]) -> None:
    """Write the times of that key beside the others. Where nothing can be written, nothing is remembered."""
    try:
        known = json.loads(cache_file().read_text())
    except (OSError, ValueError):
        known = {}
    if not isinstance(known, dict):
        known = {}
    known[key] = dict(times)
    with suppress(OSError), replacing(cache_file()) as temporary:
        temporary.write_text(json.dumps(known, indent=1))


def cache_file() -> Path:
    """The file of what was measured, in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warmnet" / "engine-times.json"
