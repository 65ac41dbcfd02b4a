"""The picture of roofline.py: each layer under the machine's roof, and below, where the time of a call goes."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

COLORS = {
    "1x1 convolution": "#2e6f95", "other convolution": "#68a5c4", "depthwise": "#d1495b", "linear": "#4f9d69",
    "normalization": "#edae49", "activation": "#8f6bb0", "gate, sum, pooling": "#b08d57", "folding": "#c7c7c7",
    "between layers": "#e8e8e8",
}  # fmt: skip
Way = dict[str, Any]


def draw(networks: dict[str, dict[str, Way]], floors: dict[str, Any], where: str, path: Path) -> None:
    figure = Figure(figsize=(4 * len(networks), 8.2), layout="constrained")
    panels = figure.subplots(2, len(networks), sharey="row", squeeze=False, height_ratios=[3, 2])
    peak, bandwidth = floors["peaks"]["fp32"], floors["bandwidth"]
    for (variant, ways), (roof, bars) in zip(networks.items(), panels.T):
        _roof(roof, ways["as written"]["layers"], peak, bandwidth)
        roof.set_title(variant, loc="left")
        _bars(bars, ways)
    panels[0, 0].set_ylabel("operations a second, in 10⁹")
    handles = [Line2D([], [], linestyle="", marker="o", color=color, label=kind) for kind, color in [*COLORS.items()][:-2]]
    handles += [Patch(color=color, label=kind) for kind, color in [*COLORS.items()][-2:]]
    figure.legend(handles=handles, loc="outside upper center", ncols=5, frameon=False)
    figure.supxlabel(
        f"above: each layer as written, its area its time; the line is what the machine can do. {where}",
        size=9,
        color="#666666",
    )
    figure.savefig(path, dpi=100)


def _roof(axes: Any, layers: list[Any], peak: float, bandwidth: float) -> None:
    for kind, operations, bytes, count, seconds in layers:
        if operations and seconds:
            color = COLORS[kind]
            axes.scatter(
                operations / bytes, operations / seconds / 1e9, 6 + 60 * count * seconds * 1e3, color, alpha=0.5, linewidths=0
            )
    intensity = np.geomspace(0.05, 500, 200)
    axes.plot(intensity, np.minimum(peak, intensity * bandwidth) / 1e9, color="#444444", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="operations for each byte", xlim=(0.05, 500), ylim=(0.05, 2 * peak / 1e9))
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def _bars(axes: Any, ways: dict[str, Way]) -> None:
    for y, way in enumerate(ways.values()):
        left = 0.0
        for kind, seconds in by_kind(way).items():
            axes.barh(y, 1000 * seconds, left=1000 * left, color=COLORS[kind])
            left += seconds
        axes.text(1000 * left, y, f" {1000 * way['seconds']:.0f}", va="center", size=9)
    axes.set_yticks(range(len(ways)), [*ways])
    axes.set_ylim(len(ways) - 0.5, -0.5)
    axes.margins(x=0.15)
    axes.set_xlabel("milliseconds of a call")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def by_kind(way: Way) -> dict[str, float]:
    """Seconds of the layers of each kind, less what a profiler adds, and what a call takes beyond them."""
    sums = {kind: way["by kind"].get(kind, 0.0) for kind in COLORS}
    scale = min(1.0, way["seconds"] / sum(sums.values()))
    sums = {kind: scale * seconds for kind, seconds in sums.items()}
    sums["between layers"] = way["seconds"] - sum(sums.values())
    return {kind: seconds for kind, seconds in sums.items() if seconds > 1e-9}
