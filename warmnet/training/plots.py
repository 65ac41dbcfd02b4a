"""The plots of a run and of an evaluation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from ..errors import extra
from ..plotting.figures import write
from ..plotting.fonts import families
from ..text import one_line, shortened
from .evaluation_result import Bin
from .metrics import Epoch

with extra("train"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

TRAINED, HELD_OUT, KEPT = "#7a8ba3", "#d1495b", "#222222"
MOST_DOTS = 50  # epochs that have a dot on the curve
LEAST = 0.01  # of the losses: the height of their axis
JUMP = 20  # a loss so many times the median wants a logarithmic scale


def plot_learning(history: Sequence[Epoch], name: str, path: Path, kept: int) -> None:
    """A PNG of loss and accuracy over epochs, on the images trained on and on those held out.

    - `kept`: the epoch, from 1 on, whose weights are kept. It is marked.
    """
    write(learning_curve(history, name, kept), path)


def learning_curve(history: Sequence[Epoch], name: str, kept: int) -> Figure:
    """What `plot_learning` writes."""
    name = shortened(one_line(name), 30)
    with matplotlib.rc_context({"font.family": families([name])}):
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy")):
            _plot_metric(axes, history, metric, kept)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        accuracy = history[kept - 1].held_out_accuracy
        title = f"{name}: {accuracy:.1%} of the held-out images right by the weights kept, of epoch {kept}"
        figure.suptitle(title, parse_math=False)
    return figure


def _plot_metric(axes: Axes, history: Sequence[Epoch], metric: str, kept: int) -> None:
    """The two curves of a metric, and the epoch that is kept."""
    epochs = [epoch.epoch for epoch in history]
    line = ".-" if len(epochs) <= MOST_DOTS else "-"
    values = list[float]()
    for part, label, color in ("train", "trained on", TRAINED), ("held_out", "held out", HELD_OUT):
        curve = [getattr(epoch, f"{part}_{metric}") for epoch in history]
        axes.plot(epochs, curve, line, color=color, label=label, clip_on=False)
        values += curve
    axes.axvline(kept, linestyle=":", color=KEPT, zorder=0)
    held_out = getattr(history[kept - 1], f"held_out_{metric}")
    axes.plot(kept, held_out, "o", markersize=9, markerfacecolor="none", color=KEPT, label=f"epoch {kept}, kept", clip_on=False)
    axes.set(xlabel="epoch", title=metric, xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
    if metric == "accuracy":
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    elif is_skewed(values):
        axes.set(yscale="log", title="loss, on a logarithmic scale")
    else:
        axes.set_ylim(0, 1.08 * max(values) or 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def is_skewed(values: Sequence[float]) -> bool:
    """Whether losses want a logarithmic scale: one is far above the others."""
    return len(values) > 0 and min(values) > 0 and max(values) > JUMP * statistics.median(values)


def scale_losses(axes: Axes, losses: Sequence[float]) -> None:
    """The vertical axis of losses: logarithmic where one is far above the others, else in figures as they are.

    It is at least a hundredth of the losses high, so that what is no difference does not look like one.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if is_skewed(finite):
        axes.set_yscale("log")
        return
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    low, high = axes.get_ylim()
    room = LEAST * max(finite, default=0) - (high - low)
    if room > 0:
        axes.set_ylim(low - room / 2, high + room / 2)


def plot_calibration(bins: Sequence[Bin], path: Path) -> None:
    """A PNG of the reliability curve, how often the network is right by how sure it is, above the number of images."""
    write(calibration_curve(bins), path)


def calibration_curve(bins: Sequence[Bin]) -> Figure:
    """What `plot_calibration` writes."""
    figure = Figure(figsize=(5.6, 6.6), layout="constrained")
    curve, counts = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    curve.plot([0, 1], [0, 1], "--", color="#bbbbbb", label="as right as it is sure")
    sure, right, images = zip(*bins)
    curve.plot(sure, right, ".-", color=HELD_OUT, label="this network", clip_on=False)
    curve.set(ylabel="right", xlim=(0, 1), ylim=(0, 1.02))
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(*curve.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    middles = [(n + 0.5) / len(bins) for n in range(len(bins))]
    bars = counts.bar(middles, images, 0.92 / len(bins), color=TRAINED)
    counts.bar_label(bars, [compact(count) if count else "" for count in images], fontsize=7, padding=1)
    counts.margins(y=0.15)
    counts.set(xlabel="sure: the probability of the predicted class", ylabel="images")
    counts.xaxis.set_major_formatter(PercentFormatter(1))
    counts.yaxis.set(major_locator=MaxNLocator(3, integer=True), major_formatter=StrMethodFormatter("{x:,.0f}"))
    for axes in curve, counts:
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{_mean(sure, images):.1%} sure on average, {_mean(right, images):.1%} right")
    return figure


def _mean(shares: Sequence[float | None], images: Sequence[int]) -> float:
    """The mean share of all images."""
    return sum((share or 0) * count for share, count in zip(shares, images)) / sum(images)


def compact(n: int) -> str:
    """A whole number in four letters, or five: 1234, 12k, 1.2M."""
    if n < 10_000:
        return str(n)
    return f"{n / 1e3:.0f}k" if n < 1_000_000 else f"{n / 1e6:.1f}M"
