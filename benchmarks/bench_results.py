"""What was measured, contest by contest, in a JSON that outlives a kill: what is in it is not measured again.

A run is a machine, its threads and the versions of the packages. A file may hold the contests of several runs: within a
contest all contenders met on one machine, so that its ratios hold; its times are comparable with those of its own run only.
"""

import json
import os
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

from bench_floors import Floors

from warmnet.data.files import read_object, replacing
from warmnet.errors import InputError

UNIT = "seconds of a call, or bytes; a ratio is of warmnet's turns to those of the library where its median is highest"
Row = dict[str, Any]


class Results:
    """The runs and the contests of a file."""

    def __init__(self, path: Path):
        self.path = path
        content = read_object(path, "contests", "{}") if path.exists() else {"unit": UNIT, "runs": [], "contests": {}}
        if "contests" not in content:
            raise InputError(f"{path} is not of this benchmark: it has no contests. Delete it, or give another --out.")
        self.content: dict[str, Any] = content

    @property
    def runs(self) -> list[Row]:
        return self.content["runs"]

    def begin(self, about: Row, floors: Callable[[], Floors]) -> Floors:
        """Take part in the run that is about the same machine and versions, or begin one; the floors of its machine."""
        for i, run in enumerate(self.runs):
            if {key: run[key] for key in about} == about:
                self.current = i
                return Floors(run["floors"]["operations/s"], run["floors"]["bytes/s"])
        found = floors()
        self.current = len(self.runs)
        self.runs.append({**about, "floors": {"operations/s": found.peaks, "bytes/s": found.bandwidth}})
        return found

    def has(self, name: str, contenders: Iterable[str]) -> bool:
        """Whether a contest of all of these contenders is there."""
        contest = self.content["contests"].get(name)
        return contest is not None and all({*contenders} <= row["cells"].keys() for row in contest["rows"])

    def keep(self, name: str, rows: list[Row]) -> None:
        """Write a contest that was held now."""
        load = round(os.getloadavg()[0], 2)
        self.content["contests"][name] = {"run": self.current, "date": str(date.today()), "load": load, "rows": rows}
        with replacing(self.path) as path:
            path.write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n")

    def rows(self, names: Iterable[str]) -> list[Row]:
        """The rows of those contests in their order, each with its run and whether warmnet is there at its fastest."""
        found = []
        for contest in (self.content["contests"][name] for name in names if name in self.content["contests"]):
            own = [row["cells"].get("warmnet", {}).get("median", float("inf")) for row in contest["rows"]]
            found += [row | {"run": contest["run"], "is best": m == min(own)} for row, m in zip(contest["rows"], own)]
        return found
