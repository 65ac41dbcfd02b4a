"""Contests as rows of the result: what each contender took, or why that is not known."""

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bench_memory
import torch
from bench_contenders import LIBRARIES, MINE, Absent, Refused
from bench_floors import Floors
from bench_process import alone
from bench_results import Results
from bench_rows import Asked, Contest, Key, contests
from bench_turns import First, first_call, take_turns

import warmnet

LONGEST = 10.0  # seconds of a call
LIMIT = 1200.0  # seconds of a contest
Values = dict[Key, list[float]]


def hold(groups: list[str], asked: Asked, results: Results, floors: Floors, seconds: float, end: float) -> int:
    """Hold the contests that the results lack, those that take long last; how many are left when the time is over."""
    due = [contest for contest in contests(groups, asked) if not results.has(contest.name, asked.contenders)]
    for i, contest in enumerate(sorted(due, key=lambda contest: contest.effort)):
        if time.monotonic() > end:
            return len(due) - i
        began = time.monotonic()
        print(f"{i + 1}/{len(due)} {contest.name}", end="", file=sys.stderr, flush=True)
        try:
            only = asked._replace(variants=[contest.variant], batches=[contest.batch])
            its = groups, contest.name, only, floors, seconds
            rows = held(*its) if contest.kind == "memory" else alone(LIMIT, held, *its)  # there each contender is alone
        except (ChildProcessError, TimeoutError) as error:
            rows = as_rows(contest, {}, dict.fromkeys(contest.entries, f"failed: {error}"), floors)
        results.keep(contest.name, rows)
        print(f", {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return 0


def held(groups: list[str], name: str, asked: Asked, floors: Floors, seconds: float) -> list[dict[str, Any]]:
    """The rows of the contest of that name, held in this process."""
    (contest,) = (contest for contest in contests(groups, asked) if contest.name == name)
    torch.backends.cudnn.benchmark = True  # of no effect on a CPU
    if asked.device == "cpu" and contest.kind != "memory":
        warmnet.keep_memory()
    return measure(contest, floors, seconds)


def measure(contest: Contest, floors: Floors, seconds: float) -> list[dict[str, Any]]:
    """A contest's rows: one for each line of the table, and where they compile one for each line's first calls."""
    torch.set_num_threads(contest.threads)
    calls: dict[Key, Any] = {}
    firsts: dict[Key, First] = {}
    why_not = not_measured(contest)
    missing = dict.fromkeys(contest.entries, f"not measured: {why_not}") if why_not else {}
    for key, prepare in {} if why_not else contest.entries.items():
        with noted(missing, key):
            entry = prepare()
            firsts[key], calls[key] = first_call(entry), entry.call
            if contest.kind == "time" and not contest.compiles and firsts[key].seconds > LONGEST:
                del calls[key]
                raise Absent(f"not measured: a call takes {firsts[key].seconds:.0f} s, and {LONGEST:.0f} are allowed")
    first = {key: [found.seconds] for key, found in firsts.items()}
    late = dict[Key, str]()
    if contest.kind == "once":
        values: Values = first
    elif contest.kind == "memory":
        values = {key: [found.found] for key, found in firsts.items()}
    else:
        values, failed = take_turns(calls, seconds) if calls else ({}, {})
        late = {key: reason(error) for key, error in failed.items()}
    rows = as_rows(contest, values, missing | late, floors)
    for row in rows if contest.kind == "time" else []:
        for column, cell in row["cells"].items():
            if found := firsts.get((row["line"], column)):
                cell["first"], cell["error"] = found.seconds, found.error
    if contest.compiles:
        rows += as_rows(contest._replace(group="compiling", kind="once"), first, missing, floors)
    return rows


def not_measured(contest: Contest) -> str:
    """Why, or ''."""
    if contest.why_not:
        return contest.why_not
    for has, bytes in ("are allowed", bench_memory.LARGEST), ("are free", bench_memory.free()):
        if contest.needs > bytes:
            return f"takes {contest.needs / 1e9:.0f} GB, and {bytes / 1e9:.0f} {has}"
    return ""


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


def as_rows(contest: Contest, values: Values, missing: dict[Key, str], floors: Floors) -> list[dict[str, Any]]:
    """For each line its cells, the floor, and the ratio of warmnet to the fastest library on any line."""
    peers = {key: turns for key, turns in values.items() if key[1] in LIBRARIES}
    floor = floors.seconds(contest.work, contest.precision, contest.training) if contest.kind == "time" else None
    rows = []
    for line in dict.fromkeys(line for line, _ in contest.entries):
        mine = values.get((line, MINE))
        cells = {}
        for key in (key for key in contest.entries if key[0] == line):
            cells[key[1]] = {"missing": missing[key]} if key in missing else cell(values[key], mine, floor)
        row = {"group": contest.group, "variant": contest.variant, "batch": contest.batch, "what": contest.what, "line": line}
        row |= {"unit": "bytes" if contest.kind == "memory" else "seconds", "threads": contest.threads, "floor": floor}
        rows.append(row | {"cells": cells, "ratio": ratio(mine, peers) if mine and peers else None})
    return rows


def cell(turns: list[float], mine: list[float] | None, floor: float | None) -> dict[str, Any]:
    """Median and minimum, and how many times warmnet's and the floor the median is."""
    found: dict[str, Any] = {"median": statistics.median(turns), "minimum": min(turns), "turns": len(turns)}
    if mine:
        found["to warmnet"] = statistics.median(own / one for own, one in zip(turns, mine))
    return found | ({"to floor": found["median"] / floor} if floor else {})


def ratio(mine: list[float], peers: Values) -> dict[str, Any]:
    """warmnet to the library that is the fastest beside it: median and minimum of the turns' ratios, and their quartiles."""
    turns = {key: [one / other for one, other in zip(mine, others)] for key, others in peers.items()}
    fastest = max(turns, key=lambda key: statistics.median(turns[key]))
    found: dict[str, Any] = {"median": statistics.median(turns[fastest]), "minimum": min(turns[fastest])}
    if len(turns[fastest]) > 1:
        low, _, high = statistics.quantiles(turns[fastest], n=4, method="inclusive")
        found["quartiles"] = [low, high]
    return found | {"fastest": fastest[1], "on": fastest[0]}
