"""The ratios of the result as one picture: a field for each network and kind of row, blue where warmnet is ahead."""

import math
from pathlib import Path
from typing import Any

from bench_goals import verdict
from bench_page import machine_of, ratios
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

Row = dict[str, Any]


def draw(rows: list[Row], runs: list[Row], path: Path) -> None:
    """A PNG with the ratio in each field, bold where it misses its goal; of the engines of a deployed network the faster."""
    fields = ratios(rows)
    if not fields:
        return
    kinds, variants = (list(dict.fromkeys(names)) for names in zip(*fields))
    figure = Figure(figsize=(2.6 + 0.95 * len(variants), 1.6 + 0.32 * len(kinds)), layout="constrained")
    axes = figure.subplots()
    values = [[fields[k, v]["ratio"]["median"] if (k, v) in fields else math.nan for v in variants] for k in kinds]
    norm = TwoSlopeNorm(vcenter=0, vmin=-1, vmax=1)
    axes.imshow([[math.log2(value) for value in line] for line in values], cmap="RdBu_r", norm=norm, aspect="auto")
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if not math.isnan(value):
                missed = verdict(fields[kinds[y], variants[x]]) == "MISSED"
                color = "white" if abs(math.log2(value)) > 0.7 else "black"
                text = f"{value:.2f}" if value < 9.995 else f"{value:.0f}"
                axes.text(x, y, text, ha="center", va="center", size=9, color=color, weight="bold" if missed else None)
    axes.set_xticks(range(len(variants)), variants)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(kinds)), kinds)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    where = machine_of(runs[0]) if len(runs) == 1 else f"{len(runs)} runs, see bench.md"
    figure.supxlabel(
        f"warmnet's time or memory, of the fastest library's: blue is ahead, bold misses its goal\n{where}",
        size=9,
        color="#666666",
    )
    figure.savefig(path, dpi=120)
