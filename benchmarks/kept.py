"""Results that outlive a kill: each is written into its JSON as soon as it is there, and is not made again."""

from __future__ import annotations

import fcntl
import json
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch

import warmnet


def read(path: Path) -> dict[str, Any]:
    """The results in a file by name; none if it is not there."""
    return json.loads(path.read_text())["results"] if path.exists() else {}


def keep(path: Path, name: str, make: Callable[[], Any]) -> Any:
    """The result of that name in a file; if it is not there, it is made and put there."""
    if name in read(path):
        return read(path)[name]
    result = make()
    with open(path.with_suffix(".lock"), "w") as lock:  # several processes may fill one file
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write(path, {**read(path), name: result})
    print(f"{name}: {result}", flush=True)
    return result


def _write(path: Path, results: dict[str, Any]) -> None:
    about = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
        "versions": {module.__name__: module.__version__ for module in (torch, warmnet)},
    }
    new = path.with_suffix(".new")
    new.write_text(json.dumps({**about, "results": dict(sorted(results.items()))}, indent=1) + "\n")
    new.replace(path)
