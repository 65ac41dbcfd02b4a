"""Predictions as text, a line or an element for each image as soon as it is predicted: a table, CSV, or JSON."""

from __future__ import annotations

import csv
import json
import sys
from typing import Protocol, TextIO

from ..terminal import terminal_width
from ..text import cells, one_line, shortened

TOP = 5  # classes of an image, if nothing else is asked


class Writer(Protocol):
    """What writes predictions. `add`: class -> probability of an image, the most probable first, or why there is none."""

    def add(self, file: str, probabilities: dict[str, float], error: str = "") -> None: ...


class Table:
    """A line for each image: its name and its most probable classes; on a terminal as many as fit."""

    def __init__(self, files: list[str], top: int | None):
        self.top, self.columns = top or TOP, terminal_width() or sys.maxsize
        self.width = min(max(cells(one_line(file)) for file in files), self.columns // 2)

    def add(self, file: str, probabilities: dict[str, float], error: str = "") -> None:
        if error:
            return
        file = shortened(one_line(file), self.width)
        line = file + " " * (self.width - cells(file))
        for name, probability in [*probabilities.items()][: self.top]:
            pair = f"  {shortened(one_line(name), self.columns - self.width - 12)} {probability:.1%}"
            if cells(line + pair) > self.columns - 3:
                line += "  …"
                break
            line += pair
        print(line)


class Csv:
    """A row for each image: file, the most probable classes, each with its probability, and why there are none."""

    def __init__(self, file: TextIO, classes: int | None, top: int | None):
        self.rows, self.top = csv.writer(file, lineterminator="\n"), min(top or TOP, classes or sys.maxsize)
        pairs = [name for rank in range(1, self.top + 1) for name in (f"class {rank}", f"probability {rank}")]
        self.rows.writerow(["file", *pairs, "error"])

    def add(self, file: str, probabilities: dict[str, float], error: str = "") -> None:
        pairs: list[str] = []
        for name, probability in [*probabilities.items()][: self.top]:
            pairs += [name, f"{probability:.6f}"]
        empty = [""] * (2 * self.top - len(pairs))  # of an error; or where classes have the same name
        self.rows.writerow([file, *pairs, *empty, error])


class Json:
    """An array with an object for each image: its file, and its probabilities by class or the error."""

    def __init__(self, top: int | None):
        self.top, self.last = top, ""
        print("[")

    def add(self, file: str, probabilities: dict[str, float], error: str = "") -> None:
        if self.last:
            print(f"{self.last},")
        content = {"error": error} if error else {"probabilities": dict([*probabilities.items()][: self.top])}
        self.last = json.dumps({"file": file, **content})

    def end(self) -> None:
        """Close the array."""
        print(f"{self.last}\n]")
