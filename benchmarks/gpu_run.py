"""Stages of a run, each in a process of its own and within its share of the time; what they measure is kept as it comes.

A stage that fails, hangs, takes all memory or breaks the GPU's state for its process costs the others nothing.
"""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

GRACE = 10  # seconds that a stage may take beyond its time, to end what it is measuring
LATE = "not measured: no time was left"
Row = dict[str, Any]
Add = Callable[[Row], None]


class Settings(NamedTuple):
    """How large everything is; the defaults are for a GPU."""

    device: str = "cuda"
    tiny: bool = False
    variants: tuple[str, ...] = ("b0", "resnet50", "v2-s", "lite0", "mobilenetv2-1.0")
    side: int = 224
    batches: tuple[int, ...] = (1, 64, 256)
    training_batches: tuple[int, ...] = (256, 64)
    rounds: int = 10
    turn: float = 0.04  # seconds

    @classmethod
    def dry(cls, device: str) -> "Settings":
        """Just enough to see that everything runs."""
        return cls(device, True, ("b0", "resnet50"), side=32, batches=(1, 2), training_batches=(2,), rounds=2, turn=0.0)


class Stage(NamedTuple):
    """A function `module.name` of the `Settings`, a function for its rows, and the time.monotonic() at which it has to end.

    `share` is the seconds that it needs: of all that the stages need, its share of the time.
    """

    module: str
    name: str
    share: float


class Record:
    """The run as a JSON file, replaced as a whole at each change: whatever ends the run, what was measured is in it."""

    def __init__(self, path: Path, content: dict[str, Any]):
        self.path, self.content = path.absolute(), content  # a stage may work in another folder

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{os.getpid()}-{self.path.name}")
        with open(temporary, "w") as file:
            json.dump(self.content, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)

    def read(self) -> None:
        """Take over what a stage's process has written."""
        self.content = json.loads(self.path.read_text())


def run(stages: dict[str, Stage], settings: Settings, record: Record, end: float) -> list[str]:
    """Run one stage after the other until `end`, a time.monotonic(). The names of those that failed or took too long.

    A stage has its share of the time that is left, and what it leaves of it the next ones have.
    """
    record.content["stages"] = {name: {"status": "not reached", "rows": []} for name in stages}
    record.save()
    names = list(stages)
    for i, name in enumerate(names):
        began = time.monotonic()
        left = max(0.0, end - began)
        seconds = left * stages[name].share / sum(stages[later].share for later in names[i:])
        print(f"\n== {name}, {seconds:.0f} s of {left:.0f}", flush=True)
        status = _run(name, stages[name], settings, record, began + seconds)
        record.read()
        took = {"status": status, "seconds": round(time.monotonic() - began, 1), "allowed": round(seconds, 1)}
        record.content["stages"][name] |= took
        record.save()
        print(f"== {name}: {status}", flush=True)
    return [name for name in names if record.content["stages"][name]["status"] != "done"]


def _run(name: str, stage: Stage, settings: Settings, record: Record, until: float) -> str:
    """Run a stage in a process of its own: how it ended, in a line."""
    record.content["stages"][name]["status"] = "failed: its process ended before it did"
    record.save()
    context = multiprocessing.get_context("spawn")  # a forked process could not use a GPU that this one had looked at
    process = context.Process(target=_in_child, args=(name, stage, settings, record, until))
    process.start()
    try:
        process.join(max(0.0, until + GRACE - time.monotonic()))
        late = process.is_alive()
    finally:
        _kill(process)  # with what it has started: compilers, tests
    if late:
        return "out of time"
    record.read()
    status = record.content["stages"][name]["status"]
    return f"{status}: exit code {process.exitcode}" if process.exitcode else status


def _kill(process: Any) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # all of it has ended, or it has not become a group yet
        process.kill()
    process.join()


def _in_child(name: str, stage: Stage, settings: Settings, record: Record, until: float) -> None:
    os.setpgid(0, 0)
    mine = record.content["stages"][name]

    def add(row: Row) -> None:
        mine["rows"].append(row)
        record.save()
        print(in_a_line(row), flush=True)

    try:
        getattr(import_module(stage.module), stage.name)(settings, add, until)
        failures = [text for row in mine["rows"] for text in texts(row) if text.startswith("failed: ")]
        mine["status"] = failures[0] if failures else "done"
    except Exception as error:
        mine["status"] = reason(error)
    record.save()


def reason(error: Exception) -> str:
    """Why there is no figure, in a line."""
    return f"failed: {type(error).__name__}: {(str(error).strip() or '?').splitlines()[0]}"


def texts(row: Row) -> Iterator[str]:
    """All strings among the values of a row."""
    for value in row.values():
        if isinstance(value, dict):
            yield from texts(value)
        elif isinstance(value, str):
            yield value


def in_a_line(row: Row) -> str:
    """A row for the terminal: times in milliseconds, numbers short."""
    parts = []
    for key, value in row.items():
        if key == "cells":
            parts += [f"{name} {_cell(cell)}" for name, cell in value.items()]
        elif key == "ratio" and value:
            parts.append(f"ratio {value['median']:.2f} ({value['minimum']:.2f}) to {value['fastest']}")
        elif value is not None and key != "report":
            parts.append(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}")
    return "  ".join(parts)


def _cell(cell: Row) -> str:
    if "missing" in cell:
        return cell["missing"]
    peak = f", {cell['peak bytes'] / 1e6:.0f} MB" if cell.get("peak bytes") else ""
    return f"{1000 * cell['median']:.4g} ({1000 * cell['minimum']:.4g}) ms{peak}"
