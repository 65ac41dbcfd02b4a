"""How time and memory of warmnet grow with batch, resolution and phi, beside the arithmetic: bench.py --rows scale

For each, one of them grows from B0 at 224, and the others stay. The arithmetic of time is the floor of bench_floors.py; that of
memory in training are the numbers that convolutions and linear layers give, each of which is kept for its gradient.
"""

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import bench_floors
import bench_memory
import torch
import torch.nn.functional as F
from bench_contenders import STILL
from bench_floors import Floors, Work
from bench_page import machine_of, quantity
from bench_turns import Entry, take_turns
from kept import keep
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

import warmnet
from warmnet.errors import InputError


class Point(NamedTuple):
    """A network and a batch for it."""

    phi: float
    resolution: int
    batch: int

    @property
    def model(self) -> Any:
        return warmnet.WarmEfficientNet(warmnet.compound(self.phi), **STILL)


AXES = {
    "batch": [Point(0, 224, batch) for batch in (1, 2, 4, 8, 16, 32)],
    "resolution": [Point(0, side, 4) for side in (96, 128, 160, 224, 320, 448, 640)],
    "phi": [Point(phi, warmnet.compound(phi).resolution, 1) for phi in range(8)],
}
COLORS = {"inference": "#2e6f95", "training": "#d1495b"}
WHAT = {"seconds": "time of a call", "bytes": "peak memory beyond the network"}


def run(options: Any, about: dict[str, Any]) -> None:
    """Measure what is not there yet, and write bench_scale.json and bench_scale.png beside the results of the other rows."""
    path = options.out.with_name(f"{options.out.stem}_scale.json")
    kept = keep(path, "run", lambda: {**about, "date": str(date.today())})
    if {key: kept[key] for key in about} != about:
        raise InputError(f"{path} is of another machine or other versions: {machine_of(kept)}. Give another --out.")
    floors = Floors(**keep(path, "floors", lambda: bench_floors.measured(options.device)._asdict()))
    found = {
        axis: [keep(path, f"{axis} {getattr(point, axis)}", partial(measured, point, options, floors)) for point in points]
        for axis, points in AXES.items()
    }
    draw(found, f"{machine_of(kept)}; {kept['date']}", path.with_suffix(".png"))


def measured(point: Point, options: Any, floors: Floors) -> dict[str, Any]:
    """Seconds and bytes of inference and training, and what the arithmetic says; why not, if it is not measured."""
    work = Work.of_model(point.model.to("meta"), point.batch, point.resolution)
    least = {what: floors.seconds(work, training=what == "training") for what in COLORS}
    found = point._asdict() | {"floor": {"seconds": least, "bytes": {"training": 4 * work.outputs}}}
    needs = 4 * (10 * work.weights + 4 * work.outputs)
    if needs > min(bench_memory.LARGEST, bench_memory.free()):
        return found | {"missing": f"takes {quantity(needs, 'bytes')}"}
    arguments = point, options.device
    calls = {what: entry(*arguments, what == "training").call for what in COLORS}
    seconds = {what: min(turns) for what, turns in take_turns(calls, options.seconds)[0].items()}
    del calls
    peaks = {what: bench_memory.peak(options.threads, entry, *arguments, what == "training") for what in COLORS}
    return found | {"seconds": seconds, "bytes": peaks}


def entry(point: Point, device: str, training: bool) -> Entry:
    """A forward in eval mode, or a training step as in the table."""
    model = point.model.train(training).to(device, memory_format=torch.channels_last)
    x = torch.randn(point.batch, 3, point.resolution, point.resolution, device=device)
    x = x.to(memory_format=torch.channels_last)
    if not training:
        return Entry(torch.no_grad()(partial(model, x)))
    optimizer, labels = torch.optim.AdamW(model.parameters(), 1e-4), torch.arange(point.batch, device=device)

    def step() -> None:
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return Entry(step)


def draw(found: dict[str, list[dict[str, Any]]], where: str, path: Path) -> None:
    """A PNG: measured curves, and dashed the arithmetic; both axes logarithmic, but for phi, which is a logarithm."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    for row, quantities in zip(figure.subplots(2, len(found), sharex="col", squeeze=False), WHAT):
        for axes, (axis, points) in zip(row, found.items()):
            for what, color in COLORS.items():
                done = [point for point in points if quantities in point]
                axes.plot([p[axis] for p in done], [p[quantities][what] for p in done], "o-", color=color, label=what)
                least = [(p[axis], p["floor"][quantities][what]) for p in points if what in p["floor"][quantities]]
                if least:
                    axes.plot(*zip(*least), "--", color=color, alpha=0.6, label=f"{what}, the arithmetic")
            _label(axes, axis, [point[axis] for point in points], quantities)
        row[0].set_ylabel(WHAT[quantities])
        row[0].legend(frameon=False, fontsize=8)
    for axes, (axis, points) in zip(figure.axes, found.items()):
        fixed = {"batch": "B0, 224x224", "resolution": f"B0, batch {points[0]['batch']}", "phi": "compound(phi), batch 1"}
        axes.set_title(f"{axis}: {fixed[axis]}", loc="left", fontsize=10)
    figure.supxlabel(where, fontsize=9, color="#666666")
    figure.savefig(path, dpi=120)


def _label(axes: Any, axis: str, ticks: list[Any], unit: str) -> None:
    axes.set(yscale="log", xscale="linear" if axis == "phi" else "log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value, unit)))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
