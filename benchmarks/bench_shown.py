"""The rows of the result as text and as a picture."""

import itertools
import textwrap
from pathlib import Path
from typing import Any

from bench_contenders import COLUMNS, LIBRARIES, MINE
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

TITLES = {
    "build": "Building, random weights",
    "overhead": "Python overhead: B0 on an image so small that nothing else takes time",
    "eager": "Forward, eager",
    "export": "Exporting to a file, once",
    "deployed fp32": "Deployed, fp32",
    "deployed bf16": "Deployed, bf16",
    "deployed int8": "Deployed, int8",
    "training": "Training step: forward, cross-entropy, backward, AdamW",
    "memory": "Peak memory of two calls, channels_last, beyond the network itself",
    "compiled": "torch.compile, channels_last",
}
COLORS = dict(zip(COLUMNS, ("#d1495b", "#2e6f95", "#68a5c4", "#8f6bb0", "#b08d57", "#4f9d69", "#9a9a9a")))
MARKERS = dict(zip(COLUMNS, "osD^vPX"))
NAME, LEAST = 28, 8
WIDTHS = {column: max(LEAST, len(column)) + 2 for column in COLUMNS}


def table(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """For each group its rows: medians, with the ratio to the fastest library; below them minima and distances to the floor."""
    peaks = ", ".join(f"{name} {peak / 1e9:.0f}" for name, peak in about["floors"]["operations/s"].items())
    lines = [
        f"{where(about)}; load {about['load']['before'][0]:.1f} to {about['load']['after'][0]:.1f}",
        f"Matrix peak in GFLOP/s: {peaks}; copy: {about['floors']['bytes/s'] / 1e9:.0f} GB/s; "
        f"freed memory {about['freed memory']}",
        *textwrap.wrap(", ".join(f"{name} {version}" for name, version in about["versions"].items()), 119),
    ]
    for group, members in itertools.groupby(rows, lambda row: row["group"]):
        of_group = list(members)
        columns = list(of_group[0]["cells"])
        head = _line("median", {column: column for column in columns}, "warmnet / best")
        lines += ["", TITLES[group], head, "─" * len(head)]
        notes: dict[str, str] = {}
        for row in of_group:
            lines += _lines(row, notes)
        lines += [f"{mark} {why}" for why, mark in notes.items()]
    return "\n".join(lines)


def _lines(row: dict[str, Any], notes: dict[str, str]) -> list[str]:
    """One to three lines of text. Why a cell is missing goes to `notes`."""
    cells, ratio = row["cells"], row["ratio"]
    for cell in cells.values():
        if "missing" in cell:
            notes.setdefault(cell["missing"], f"[{len(notes) + 1}]")

    def shown(what: str) -> dict[str, str]:
        return {column: quantity(cell[what], row["unit"]) if what in cell else "" for column, cell in cells.items()}

    medians = {c: text or notes[cells[c]["missing"]] for c, text in shown("median").items()}
    name = ", ".join(filter(None, (row["row"], row["line"])))
    lines = [_line(name, medians, f"{ratio['median']:.2f} ({ratio['minimum']:.2f})" if ratio else "")]
    if any(cell.get("turns", 1) > 1 for cell in cells.values()):
        turns = max(cell.get("turns", 1) for cell in cells.values())
        lines.append(_line(f"  minimum of {turns}", shown("minimum"), ratio["fastest"] if ratio else ""))
    if any("to floor" in cell for cell in cells.values()):
        floors = {column: f"{cell['to floor']:.1f}x" if "to floor" in cell else "" for column, cell in cells.items()}
        own = f", {quantity(row['floor'], 'seconds')}" if row["floor"] else ""
        lines.append(_line(f"  to the floor{own}", floors, ""))
    return lines


def _line(name: str, cells: dict[str, str], end: str) -> str:
    return f"{name:<{NAME}}{''.join(f'{text:>{WIDTHS[column]}}' for column, text in cells.items())}  {end}".rstrip()


def quantity(value: float, unit: str) -> str:
    """Three digits and a unit that suits: '13.4 ms', '1.25 GB'."""
    steps = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")] if unit == "bytes" else [(1, "s"), (1e-3, "ms"), (1e-6, "µs")]
    size, name = next((step for step in steps if value >= step[0]), steps[-1])
    value /= size
    return f"{value:.0f} {name}" if value >= 100 else f"{value:.1f} {name}" if value >= 10 else f"{value:.2f} {name}"


def where(about: dict[str, Any]) -> str:
    """Machine, threads, day."""
    threads = f"{about['threads']} thread{'s' * (about['threads'] > 1)}"
    return f"{about['machine']}; {about['device']}, {threads} unless stated; {about['date']}"


def draw(rows: list[dict[str, Any]], about: dict[str, Any], path: Path) -> None:
    """A PNG: in each row a dot for each contender, how many times warmnet's time or memory it takes."""
    drawn = [row for row in rows if sum("to warmnet" in cell for cell in row["cells"].values()) > 1]
    if not drawn:
        return
    groups = [list(members) for _, members in itertools.groupby(drawn, lambda row: row["group"])]
    figure = Figure(figsize=(10, 0.27 * len(drawn) + 0.75 * len(groups) + 1.2), layout="constrained")
    panels = figure.subplots(len(groups), sharex=True, squeeze=False, height_ratios=[len(group) + 0.8 for group in groups])[
        :, 0
    ]
    for axes, group in zip(panels, groups):
        _draw_group(axes, group)
    columns = [column for column in COLUMNS if any("to warmnet" in row["cells"].get(column, {}) for row in drawn)]
    handles = [Line2D([], [], linestyle="", marker=MARKERS[c], color=COLORS[c], label=c) for c in columns]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(columns), frameon=False)
    panels[-1].set_xlabel("times warmnet's time or memory, logarithmic; in the shaded half warmnet is ahead")
    figure.supxlabel(where(about), fontsize=9, color="#666666")
    figure.savefig(path, dpi=120)


def _draw_group(axes: Any, group: list[dict[str, Any]]) -> None:
    """warmnet's line at 1, and the side where it is ahead shaded."""
    axes.set_xscale("log")
    ratios = []
    for y, row in enumerate(group):
        for column, cell in row["cells"].items():
            if "to warmnet" in cell:
                ratios.append(cell["to warmnet"])
                size, order = (8, 4) if column == MINE else (6.5, 3 if column in LIBRARIES else 2)
                axes.plot(
                    cell["to warmnet"], y, MARKERS[column], color=COLORS[column], markersize=size, zorder=order, alpha=0.9
                )
    axes.axvline(1, color=COLORS[MINE], linewidth=1.5, zorder=1)
    axes.axvspan(1, 1000, color=COLORS[MINE], alpha=0.05, zorder=0)
    low, high = min(axes.get_xlim()[0], *ratios, 0.7), max(*ratios, 1.5)
    axes.set_xlim(low / 1.1, high * 1.1)
    axes.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.set_yticks(range(len(group)), [", ".join(filter(None, (row["row"], row["line"]))) for row in group], fontsize=8)
    axes.set_ylim(len(group) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(TITLES[group[0]["group"]], loc="left", fontsize=9.5)
