"""Contests as rows of the result: what each contender took, or why that is not known."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import bench_memory
import torch
from bench_contenders import LIBRARIES, MINE, Absent, Refused
from bench_floors import Floors
from bench_rows import GROUPS, Asked, Contest, Key
from bench_turns import First, first_call, take_turns

Values = dict[Key, list[float]]


def measured(
    groups: list[str], asked: Asked, floors: Floors, end: float, keep: Callable[[list[dict[str, Any]]], None]
) -> list[dict[str, Any]]:
    """The rows of those groups, in their order; the contests that take long are held last, while there is time.

    After each contest `keep` is given the rows so far, so that what was measured is not lost with what comes after.
    """
    contests = [contest for group in groups for contest in GROUPS[group](asked)]
    ahead = "not measured: the run ended before it"
    found = [as_rows(contest, contest.row, {}, dict.fromkeys(contest.entries, ahead), floors) for contest in contests]
    rows: list[dict[str, Any]] = []
    for i, place in enumerate(sorted(range(len(contests)), key=lambda i: contests[i].effort)):
        contest, now = contests[place], time.perf_counter()
        print(f"{i + 1}/{len(contests)} {contest.group}: {contest.row}", file=sys.stderr, flush=True)
        found[place] = measure(contest, floors, now + (end - now) / (len(contests) - i), end)
        bench_memory.give_back()
        keep(rows := [row for of_contest in found for row in of_contest])
    return rows


def measure(contest: Contest, floors: Floors, until: float, end: float) -> list[dict[str, Any]]:
    """A contest's rows: one for each line of the table, and of its first calls too if those have a name."""
    torch.set_num_threads(contest.threads)
    torch._dynamo.reset()
    calls: dict[Key, Any] = {}
    firsts: dict[Key, First] = {}
    why_not = not_measured(contest, end)
    missing = dict.fromkeys(contest.entries, f"not measured: {why_not}") if why_not else {}
    for key, prepare in {} if why_not else contest.entries.items():
        with noted(missing, key):
            entry = prepare()
            firsts[key], calls[key] = first_call(entry), entry.call
    seconds, late = {key: [first.seconds] for key, first in firsts.items()}, dict[Key, str]()
    if contest.kind == "once":
        values: Values = seconds
    elif contest.kind == "memory":
        values = {key: [first.found] for key, first in firsts.items()}
    else:
        values, failed = take_turns(calls, until) if calls else ({}, {})
        late = {key: reason(error) for key, error in failed.items()}
    rows = as_rows(contest, contest.row, values, missing | late, floors)
    for row in rows if contest.kind == "time" else []:
        for column, cell in row["cells"].items():
            if first := firsts.get((row["line"], column)):
                cell["first"], cell["error"] = first.seconds, first.error
    return rows + as_rows(contest._replace(works={}), contest.first, seconds, missing, floors) if contest.first else rows


def not_measured(contest: Contest, end: float) -> str:
    """Why, or ''."""
    if contest.why_not:
        return contest.why_not
    if contest.needs > (free := bench_memory.free()):
        return f"takes {contest.needs / 1e9:.0f} GB, and {free / 1e9:.0f} are free"
    return "no minutes were left" if time.perf_counter() > end else ""


@contextmanager
def noted(missing: dict[Key, str], key: Key) -> Iterator[None]:
    """A contender that is refused or fails is missing, and the others go on."""
    try:
        yield
    except Exception as error:  # of a library: anything
        missing[key] = reason(error)


def reason(error: Exception) -> str:
    """Why there is no figure."""
    if isinstance(error, Absent):
        return str(error)
    if isinstance(error, Refused):
        return f"refused: {error}"
    return f"failed: {type(error).__name__}: {(str(error).strip() or '?').splitlines()[0]}"


def as_rows(contest: Contest, name: str, values: Values, missing: dict[Key, str], floors: Floors) -> list[dict[str, Any]]:
    """For each line its cells, the floor, and the ratio of warmnet to the fastest library on any line."""
    peers = {key: turns for key, turns in values.items() if key[1] in LIBRARIES}
    floor = {
        column: floors.seconds(work, contest.precision, contest.training)
        for column, work in contest.works.items()
        if contest.kind == "time"
    }
    rows = []
    for line in dict.fromkeys(line for line, _ in contest.entries):
        mine = values.get((line, MINE))
        cells = {}
        for key in (key for key in contest.entries if key[0] == line):
            cells[key[1]] = {"missing": missing[key]} if key in missing else cell(values[key], mine, floor.get(key[1]))
        row = {"group": contest.group, "row": name, "line": line, "threads": contest.threads, "cells": cells}
        row |= {"unit": "bytes" if contest.kind == "memory" else "seconds", "floor": floor.get(MINE)}
        rows.append(row | {"ratio": ratio(mine, peers) if mine and peers else None})
    return rows


def cell(turns: list[float], mine: list[float] | None, floor: float | None) -> dict[str, Any]:
    """Median and minimum, and how many times warmnet's and the floor the median is."""
    found: dict[str, Any] = {"median": statistics.median(turns), "minimum": min(turns), "turns": len(turns)}
    if mine:
        found["to warmnet"] = statistics.median(own / one for own, one in zip(turns, mine))
    return found | ({"to floor": found["median"] / floor} if floor else {})


def ratio(mine: list[float], peers: Values) -> dict[str, Any]:
    """warmnet to the library that is the fastest beside it, turn by turn."""
    turns = {key: [one / other for one, other in zip(mine, others)] for key, others in peers.items()}
    fastest = max(turns, key=lambda key: statistics.median(turns[key]))
    found = {"median": statistics.median(turns[fastest]), "minimum": min(turns[fastest])}
    return found | {"fastest": fastest[1], "on": fastest[0]}
