"""Predictions as text, a line or an element for each image as soon as it is predicted: a table, CSV, or JSON."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from typing import Protocol, TextIO

TOP = 5  # classes of an image, if nothing else is asked


class Writer(Protocol):
    """What writes predictions. `add`: class -> probability of an image, the most probable first, or why there is none."""

    def add(self, file: str, probabilities: dict[str, float], error: str = "") -> None: ...


class Table:
    """A line for each image: its name and its most probable classes; on a terminal as many as fit."""

    def __init__(self, files: list[str], top: int | None):
        self.top = top or TOP
        self.columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        longest = max(map(len, files))
        self.width = min(longest, self.columns // 2) if self.columns else longest

    def add(self, file: str, probabilities: dict[str, float], error: str = "") -> None:
        if error:
            return
        if len(file) > self.width:
            file = "…" + file[len(file) - self.width + 1 :]
        line = file.ljust(self.width)
        for name, probability in [*probabilities.items()][: self.top]:
            cell = f"  {name} {probability:.1%}"
            if self.columns and len(line) + len(cell) > self.columns:
                line = f"{line} …"[: self.columns]
                break
            line += cell
        print(line)


class Csv:
    """A row for each image: file, the most probable classes, each with its probability, and why there are none."""

    def __init__(self, file: TextIO, classes: int | None, top: int | None):
        self.rows, self.top = csv.writer(file, lineterminator="\n"), min(top or TOP, classes or sys.maxsize)
        pairs = [name for rank in range(1, self.top + 1) for name in (f"class {rank}", f"probability {rank}")]
        self.rows.writerow(["file", *pairs, "error"])

    def add(self, file: str, probabilities: dict[str, float], error: str = "") -> None:
        cells: list[str] = []
        for name, probability in [*probabilities.items()][: self.top]:
            cells += [name, f"{probability:.6f}"]
        self.rows.writerow([file, *(cells or [""] * 2 * self.top), error])


class Json:
    """An array with an object for each image: its file, and its probabilities by class or the error."""

    def __init__(self, top: int | None):
        self.top, self.before = top, "["

    def add(self, file: str, probabilities: dict[str, float], error: str = "") -> None:
        content = {"error": error} if error else {"probabilities": dict([*probabilities.items()][: self.top])}
        print(self.before, json.dumps({"file": file, **content}), sep="\n", end="")
        self.before = ","

    def end(self) -> None:
        print("\n]")
