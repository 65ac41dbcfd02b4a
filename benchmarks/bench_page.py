"""The rows of the result as a page of Markdown: one table for each group of rows, and each machine that was measured on."""

import itertools
import statistics
from collections.abc import Iterable
from typing import Any

from bench_contenders import COLUMNS
from bench_goals import goal, verdict

TITLES = {
    "build": "Building, random weights",
    "overhead": "Python overhead: an image so small that nothing else takes time, one thread",
    "eager": "Forward, eager",
    "export": "Exporting to a file, once",
    "load": "Opening that file",
    "deployed fp32": "Deployed, fp32",
    "deployed bf16": "Deployed, bf16",
    "deployed int8": "Deployed, int8",
    "training fp32": "Training step in fp32: forward, cross-entropy, backward, AdamW; channels_last",
    "training bf16": "Training step in AMP bf16",
    "memory": "Peak memory of two calls, channels_last, beyond the network itself",
    "compiled": "torch.compile, channels_last",
    "compiling": "Compiling, once",
}
WORDS = {"export": "exporting", "load": "opening the file", "build": "building", "overhead": "Python overhead"}
Row = dict[str, Any]


def page(rows: list[Row], runs: list[Row]) -> str:
    """All ratios, and a table for each group, after what the numbers are and where they were measured."""
    lines = [
        "# Measured by `warmnet bench`",
        "",
        "Medians, with minima in brackets. The ratio is warmnet's to the fastest library's in each turn: the median, and the",
        "quartiles of the turns. *Floor* is how many times the arithmetic's time warmnet takes. What is missing is told below.",
        "",
        *(f"{letter(i)}: {described(run)}." for i, run in enumerate(runs)),
        "",
        "## All ratios",
        "",
        *grid(rows),
    ]
    for group in TITLES:
        if of_group := [row for row in rows if row["group"] == group]:
            lines += ["", f"## {TITLES[group]}", "", *table(of_group, len(runs) > 1), *summary(of_group), *missing(of_group)]
    return "\n".join(lines) + "\n"


def ratios(rows: list[Row]) -> dict[tuple[str, str], Row]:
    """By kind of row and network the row with its ratio; of the engines of a deployed network the faster."""
    return {(kind(row), row["variant"]): row for row in rows if row["ratio"] and row["is best"]}


def grid(rows: list[Row]) -> list[str]:
    """A line for each kind of row, a column for each network, the ratio where they meet; bold where it misses its goal."""
    fields = ratios(rows)
    variants = list(dict.fromkeys(variant for _, variant in fields))
    lines = [line(["", *variants]), line(["---"] * (1 + len(variants)))]
    for what in dict.fromkeys(what for what, _ in fields):
        found = [fields.get((what, variant)) for variant in variants]
        texts = [f"{row['ratio']['median']:.2f}" if row else "" for row in found]
        lines.append(
            line([what, *(f"**{text}**" if row and verdict(row) == "MISSED" else text for row, text in zip(found, texts))])
        )
    return lines


def kind(row: Row) -> str:
    """A row's name without network and side: 'eager, 16 images, channels_last'."""
    images = "" if row["group"] in WORDS else f"{row['batch']} image{'s' * (row['batch'] > 1)}"
    rest = [part for part in row["what"].split(", ") if "²" not in part]
    return ", ".join(filter(None, (WORDS.get(row["group"], row["group"]), images, *rest)))


def letter(run: int) -> str:
    return chr(ord("A") + run)


def machine_of(run: Row) -> str:
    return f"{run['machine']}; {run['device']}, {run['threads']} thread{'s' * (run['threads'] > 1)}"


def described(run: Row) -> str:
    """The machine, its floors and the versions, in a line."""
    peaks = ", ".join(f"{name} {peak / 1e9:.0f}" for name, peak in run["floors"]["operations/s"].items())
    packages = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    copy = run["floors"]["bytes/s"] / 1e9
    return f"{machine_of(run)}; matrix peak in GFLOP/s: {peaks}; copy: {copy:.0f} GB/s; {packages}"


def table(rows: list[Row], several: bool) -> list[str]:
    columns = [column for column in COLUMNS if any("median" in row["cells"].get(column, {}) for row in rows)]
    floors, goals = any(row["floor"] for row in rows), any(goal(row) for row in rows)
    heads = ["", *columns, "ratio", *["floor"] * floors, "rounds", *["goal"] * goals, *["run"] * several]
    lines = [line(heads), line(["---"] * len(heads))]
    for row in rows:
        cells = [shown(row["cells"].get(column, {}), row["unit"]) for column in columns]
        mine = row["cells"].get("warmnet", {})
        floor = [f"{mine['to floor']:.1f}" if "to floor" in mine else ""] if floors else []
        wanted = [f"{goal(row):.2f} {verdict(row)}" if verdict(row) else ""] if goals else []
        turns = str(max((cell.get("turns", 0) for cell in row["cells"].values()), default=0) or "")
        cells = [name(row), *cells, ratio(row), *floor, turns, *wanted, *([letter(row["run"])] if several else [])]
        lines.append(line(cells))
    return lines


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def name(row: Row) -> str:
    return ", ".join(filter(None, (row["variant"], row["what"], row["line"])))


def shown(cell: Row, unit: str) -> str:
    """'13.4 ms (12.9)'."""
    if "median" not in cell:
        return ""
    if cell["turns"] == 1:
        return quantity(cell["median"], unit)
    (scale, _) = scale_of(cell["median"], unit)
    return f"{quantity(cell['median'], unit)} ({digits(cell['minimum'] / scale)})"


def ratio(row: Row) -> str:
    """'0.92 [0.90, 0.95] timm'."""
    if not row["ratio"]:
        return ""
    quartiles = " [{:.2f}, {:.2f}]".format(*row["ratio"]["quartiles"]) if "quartiles" in row["ratio"] else ""
    beside = " on ".join(dict.fromkeys(filter(None, (row["ratio"]["fastest"], row["ratio"]["on"] if row["line"] else ""))))
    return f"{row['ratio']['median']:.2f}{quartiles} {beside}"


def summary(rows: list[Row]) -> list[str]:
    """How many goals are met, and the median ratio."""
    ratios = [row["ratio"]["median"] for row in rows if row["ratio"]]
    met = [verdict(row) for row in rows if verdict(row)]
    if not ratios:
        return []
    goals = f" Goals met: {met.count('met')} of {len(met)}." if met else ""
    return ["", f"Median of the ratios: {statistics.median(ratios):.2f}.{goals}"]


def missing(rows: list[Row]) -> list[str]:
    """Why figures are missing, once each, and where."""
    why = [
        (cell["missing"], f"{name(row)}, {column}")
        for row in rows
        for column, cell in row["cells"].items()
        if "missing" in cell and " has no " not in cell["missing"] and "in the column before" not in cell["missing"]
    ]
    lines = [
        f"- {reason}: {'; '.join(where for _, where in group)}"
        for reason, group in itertools.groupby(sorted(why), lambda each: each[0])
    ]
    return ["", *lines] if lines else []


def scale_of(value: float, unit: str) -> tuple[float, str]:
    steps = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")] if unit == "bytes" else [(1, "s"), (1e-3, "ms"), (1e-6, "µs")]
    return next((step for step in steps if value >= step[0]), steps[-1])


def digits(value: float) -> str:
    """Three of them."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def quantity(value: float, unit: str) -> str:
    """Three digits and a unit that suits: '13.4 ms', '1.25 GB'."""
    scale, suffix = scale_of(value, unit)
    return f"{digits(value / scale)} {suffix}"
