"""The plot of a confusion matrix, readable for two classes as for a thousand."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from torch.nn.functional import max_pool2d

from ..data.files import replacing
from ..errors import extra
from ..plotting.figures import write
from ..plotting.fonts import LEFT_TO_RIGHT, class_labels, families, isolated
from ..text import cells
from .plots import HELD_OUT, compact

with extra("train"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

MOST_NAMES = 60  # classes whose names stand beside the matrix
MOST_PAIRS = 30  # confusions that are named beside the matrix of more classes
MOST_POINTS = 240  # in a row of the matrix
LETTER, DIGIT = 0.085, 0.09  # inches that a cell of a label takes, and a digit with its share of the space around a number


def plot_confusion(confusion: Tensor, classes: Sequence[str], path: Path, of: str = "held-out images") -> list[Path]:
    """The files written: a PNG, and if classes are numbers in it, a CSV beside it with their names.

    It has the classes with images, and those that images were taken for. Colour is the share of a row, numbers are images.
    """
    used = (confusion.sum(0) + confusion.sum(1)).nonzero().flatten().tolist()
    all_labels = class_labels(classes, 24)
    labels = [all_labels[classes[i]] for i in used]
    right, total, counts = int(confusion.trace()), int(confusion.sum()), confusion[used][:, used]
    title = f"{right:,} of {total:,} {of} right"
    names = path.with_name(f"{path.stem}-classes.csv")
    if len(used) <= MOST_NAMES and not any(label == f"#{i}" for label, i in zip(labels, used)):
        names.unlink(missing_ok=True)
        write(confusion_matrix(counts, labels, title), path)
        return [path]
    with replacing(names) as temporary, open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([("number", "class"), *((f"#{i}", classes[i]) for i in used)])
    note = f" (numbers: {names.name})"
    few = len(used) <= MOST_NAMES
    write(confusion_matrix(counts, labels, title, note) if few else confusion_of_many(counts, labels, used, title, note), path)
    return [path, names]


def confusion_matrix(confusion: Tensor, labels: Sequence[str], title: str, note: str = "") -> Figure:
    """The matrix with a label at each row and column, as large as they need."""
    count, longest = len(labels), max(map(cells, labels)) * LETTER
    cell = max(0.36, 3.6 / count)  # inches
    level = longest < cell
    size = max(5.5, 2.4 + longest + cell * count), 1.6 + (0.2 if level else longest) + cell * count
    with matplotlib.rc_context({"font.family": families(labels)}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        _show(figure, axes, _shares(confusion), title, note)
        axes.set_xticks(range(count), labels, rotation=0 if level else 90, parse_math=False)
        axes.set_yticks(range(count), labels, parse_math=False)
        _write_numbers(axes, confusion, cell)
    return figure


def confusion_of_many(confusion: Tensor, labels: Sequence[str], numbers: Sequence[int], title: str, note: str) -> Figure:
    """The matrix with some classes' numbers, a point for several where there are many; and the most frequent confusions."""
    count, step = len(labels), -(-len(labels) // MOST_POINTS)
    with matplotlib.rc_context({"font.family": families(labels)}):
        figure = Figure(figsize=(17, 8.6), layout="constrained")
        axes, pairs = figure.subplots(1, 2, width_ratios=[8, 5])
        _show(figure, axes, max_pool2d(_shares(confusion)[None], step, ceil_mode=True)[0], title, note)
        marked = range(0, count, -(-count // 10))
        for axis in axes.xaxis, axes.yaxis:
            axis.set_ticks([(i + 0.5) / step - 0.5 for i in marked], [f"#{numbers[i]}" for i in marked])
        _show_pairs(pairs, confusion, labels)
    return figure


def _shares(confusion: Tensor) -> Tensor:
    """(classes, classes): the share of a class's images, the row's, that were taken for a class, the column's."""
    return confusion / confusion.sum(1, keepdim=True).clamp(min=1)


def _show(figure: Figure, axes: Axes, shares: Tensor, title: str, note: str) -> None:
    """Shares as colours, small ones stronger, and their scale."""
    image = axes.imshow(shares.numpy(), cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
    width, height = figure.get_size_inches()
    bar = figure.colorbar(image, ax=axes, shrink=min(0.7, 4 / height), fraction=1 / width, format=PercentFormatter(1))
    size = max(10, 0.8 * min(width, height))  # points: as large on a screen that all of the picture is fitted to
    bar.set_label("share of the class", size=size)
    bar.ax.tick_params(labelsize=size)
    axes.set_xlabel(f"predicted class{note}", size=size)
    axes.set_ylabel("true class", size=size)
    axes.set_title(title, size=1.2 * size)


def _write_numbers(axes: Axes, confusion: Tensor, cell: float) -> None:
    """The images of each cell of the matrix, where there is no room for all digits as 12k."""
    has_room = cell > DIGIT * len(f"{int(confusion.max()):,}")
    texts = {place: f"{n:,}" if has_room else compact(n) for place, n in _entries(confusion)}
    size = min(11.0, 9 * cell / (DIGIT * max(map(len, texts.values()))))  # points
    shares = _shares(confusion)
    for (i, j), text in texts.items():
        color = "white" if shares[i, j] > 0.3 else "black"
        axes.text(j, i, text, ha="center", va="center", color=color, fontsize=size)


def _show_pairs(axes: Axes, confusion: Tensor, labels: Sequence[str]) -> None:
    """Bars of the pairs of classes that are confused most often."""
    entries = sorted(_entries(confusion.clone().fill_diagonal_(0)), key=lambda entry: -entry[1])
    pairs, others = entries[:MOST_PAIRS], entries[MOST_PAIRS:]
    if not pairs:
        axes.set(title="No confusions")
        axes.set_axis_off()
        return
    names = [f"{LEFT_TO_RIGHT}{isolated(labels[i])} → {isolated(labels[j])}" for (i, j), _ in pairs]
    bars = axes.barh(range(len(pairs)), [n for _, n in pairs], color=HELD_OUT)
    images = confusion.sum(1).tolist()
    axes.bar_label(bars, [f"{n:,} of {images[i]:,}" for (i, _), n in pairs], padding=3, fontsize=8)
    axes.set_yticks(range(len(pairs)), names, fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.2, y=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    least = pairs[-1][1]
    equal = sum(n == least for _, n in others)
    more = f" ({equal:,} more pairs have {least:,}, too)" if equal else ""
    axes.set(title="Most frequent confusions: true → predicted", xlabel=f"images{more}")
    axes.spines[["top", "right"]].set_visible(False)


def _entries(confusion: Tensor) -> list[tuple[tuple[int, int], int]]:
    """The places (true, predicted) that are not 0, and what is there."""
    places = confusion.nonzero()
    return [((i, j), n) for (i, j), n in zip(places.tolist(), confusion[tuple(places.T)].tolist())]
