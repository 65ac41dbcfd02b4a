"""The plots of a run and of an evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..data.files import replacing
from ..errors import extra
from ..text import one_line, shortened
from .evaluation_result import Bin
from .metrics import Epoch

with extra("train"):
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

TRAINED, HELD_OUT = "#7a8ba3", "#d1495b"
DPI = 120


def plot_learning(history: Sequence[Epoch], name: str, path: Path, kept: int) -> None:
    """A PNG of loss and accuracy over epochs, on the images trained on and on those held out; a line marks the epoch `kept`."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    epochs = [epoch.epoch for epoch in history]
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for part, label, color in ("train", "trained on", TRAINED), ("held_out", "held out", HELD_OUT):
            axes.plot(epochs, [getattr(epoch, f"{part}_{metric}") for epoch in history], ".-", color=color, label=label)
        axes.axvline(kept, color="#bbbbbb", zorder=0)
        axes.set(xlabel="epoch", title=metric, xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylim(0, None if metric == "loss" else 1.02)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper right" if metric == "loss" else "lower right")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    result = f"{history[kept - 1].held_out_accuracy:.1%} of the held-out images right after epoch {kept}, which is kept"
    figure.suptitle(f"{shortened(one_line(name), 24)}: {result}", parse_math=False)
    _write(figure, path)


def plot_confusion(confusion: Tensor, classes: Sequence[str], path: Path, of: str = "held-out images") -> None:
    """A PNG of the confusion matrix: colour is the share of a row, numbers are images. With many classes it is larger."""
    count = len(classes)
    side = min(max(5.0, 1.5 + 0.3 * count), 24.0)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shares = (confusion / confusion.sum(1, keepdim=True).clamp(min=1)).numpy()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, shrink=0.7, format=PercentFormatter(1), label="share of the class")
    step = -(-count // 75)  # as many names as can be read
    names = [shortened(one_line(name), 24) for name in classes][::step]
    axes.set_xticks(range(0, count, step), names, rotation=0 if max(map(len, names)) < 3 else 90, parse_math=False)
    axes.set_yticks(range(0, count, step), names, parse_math=False)
    right, total = int(confusion.trace()), int(confusion.sum())
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{right:,} of {total:,} {of} right")
    if count <= 40:
        for i, j in confusion.nonzero().tolist():
            color = "white" if shares[i, j] > 0.6 else "black"
            axes.text(j, i, str(int(confusion[i, j])), ha="center", va="center", color=color, fontsize=8)
    _write(figure, path)


def plot_calibration(bins: Sequence[Bin], path: Path) -> None:
    """A PNG of the reliability curve, how often the network is right by how sure it is, above the number of images."""
    figure = Figure(figsize=(5.6, 6.4), layout="constrained")
    curve, counts = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    curve.plot([0, 1], [0, 1], "--", color="#bbbbbb", label="as right as it is sure")
    sure, right, images = zip(*bins)
    curve.plot(sure, right, ".-", color=HELD_OUT, label="this network", clip_on=False)
    curve.set(ylabel="right", xlim=(0, 1), ylim=(0, 1.02))
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    curve.legend(frameon=False, loc="upper left")
    middles = [(n + 0.5) / len(bins) for n in range(len(bins))]
    bars = counts.bar(middles, images, 0.92 / len(bins), color=TRAINED)
    counts.bar_label(bars, [f"{count:,}" if count else "" for count in images], fontsize=7, padding=1)
    counts.margins(y=0.15)
    counts.set(xlabel="sure: the probability of the predicted class", ylabel="images")
    counts.xaxis.set_major_formatter(PercentFormatter(1))
    counts.yaxis.set(major_locator=MaxNLocator(3, integer=True), major_formatter=StrMethodFormatter("{x:,.0f}"))
    for axes in curve, counts:
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{_mean(sure, images):.1%} sure on average, {_mean(right, images):.1%} right")
    _write(figure, path)


def _mean(shares: Sequence[float | None], images: Sequence[int]) -> float:
    """The mean share of all images."""
    return sum((share or 0) * count for share, count in zip(shares, images)) / sum(images)


def _write(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font has not is shown as a box
        figure.savefig(temporary, dpi=DPI)
