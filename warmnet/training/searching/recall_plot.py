"""The plot of the recall by class, by the recipe and by the policy, readable for two classes as for a thousand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ...errors import extra
from ...plotting.figures import write
from ...plotting.fonts import class_labels, families
from ..plots import HELD_OUT, TRAINED

with extra("train"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

MOST_NAMES = 30  # classes that have bars
ROW = 0.42  # inches of a class


class Recall(NamedTuple):
    """Of a class, how many of its test pictures are right by the recipe, and by the policy, if there is one."""

    name: str
    images: int
    recipe: int
    policy: int | None

    @property
    def change(self) -> float:
        """How much recall the policy adds."""
        return ((self.policy or 0) - self.recipe) / self.images


def plot_recall(recipe: Tensor, policy: Tensor | None, classes: Sequence[str], path: Path) -> None:
    """A PNG of the recall of each class of the test pictures.

    - `recipe`, `policy`: the confusions, see `Run`, of the two networks; without a policy there is one bar a class.
    """
    write(recall_figure(recalls(recipe, policy, classes)), path)


def recalls(recipe: Tensor, policy: Tensor | None, classes: Sequence[str]) -> list[Recall]:
    """The recall of each class that has test pictures."""
    labels, found = class_labels(classes, 24), []
    for number, name in enumerate(classes):
        images = int(recipe[number].sum())
        if images:
            by_policy = None if policy is None else int(policy[number, number])
            found.append(Recall(labels[name], images, int(recipe[number, number]), by_policy))
    return found


def recall_figure(of_classes: Sequence[Recall]) -> Figure:
    """What `plot_recall` writes. Of many classes all are points, and bars have those that changed most, or are worst."""
    with_policy = of_classes[0].policy is not None
    is_many = len(of_classes) > MOST_NAMES
    named, title = of_classes, "Recall of the test pictures" if with_policy else "Recall of the test pictures, by the recipe"
    if is_many and with_policy:
        named = sorted(of_classes, key=lambda recall: -abs(recall.change))[:MOST_NAMES]
        title = f"The {MOST_NAMES} of {len(of_classes):,} classes whose recall changed most"
    elif is_many:
        named = sorted(of_classes, key=lambda recall: recall.recipe / recall.images)[:MOST_NAMES]
        title = f"The {MOST_NAMES} of {len(of_classes):,} classes with the lowest recall, by the recipe"
    columns = 2 if is_many and with_policy else 1
    with matplotlib.rc_context({"font.family": families(recall.name for recall in named)}):
        figure = Figure(figsize=(7.5 * columns, 1.8 + ROW * max(4, len(named))), layout="constrained")
        bars, *points = figure.subplots(1, columns, squeeze=False)[0]
        _plot_bars(bars, named, with_policy)
        bars.set_title(title)
        if points:
            _plot_points(points[0], of_classes)
        if with_policy:
            figure.legend(*bars.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _plot_bars(axes: Axes, recalls: Sequence[Recall], with_policy: bool) -> None:
    """A bar for each class and network, with its pictures."""
    _plot_network(axes, recalls, [recall.recipe for recall in recalls], "by the recipe", TRAINED, 0, with_policy)
    if with_policy:
        _plot_network(axes, recalls, [recall.policy or 0 for recall in recalls], "by the policy", HELD_OUT, 1, with_policy)
    axes.set_yticks(range(len(recalls)), [recall.name for recall in recalls], parse_math=False)
    axes.invert_yaxis()
    axes.margins(y=0.02)
    axes.set_xlim(0, 1.2)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("recall, and test pictures right")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _plot_network(
    axes: Axes, recalls: Sequence[Recall], right: Sequence[int], label: str, color: str, place: int, with_policy: bool
) -> None:
    """The bars of a network, the first or the second at each class."""
    height = 0.4 if with_policy else 0.8
    shift = height * (place - 0.5) if with_policy else 0.0
    shares = [count / recall.images for count, recall in zip(right, recalls)]
    bars = axes.barh([row + shift for row in range(len(recalls))], shares, height, color=color, label=label)
    axes.bar_label(bars, [f"{n:,} of {recall.images:,}" for n, recall in zip(right, recalls)], padding=3, fontsize=8)


def _plot_points(axes: Axes, recalls: Sequence[Recall]) -> None:
    """All classes by their recall before and after; the area of a point is the number of classes there."""
    counts = Counter((recall.recipe / recall.images, (recall.policy or 0) / recall.images) for recall in recalls)
    before, after = zip(*counts)
    most = max(counts.values())
    axes.plot([0, 1], [0, 1], "--", color="#bbbbbb", zorder=0)
    axes.scatter(before, after, [12 + 250 * count / most for count in counts.values()], color=HELD_OUT, alpha=0.5, linewidths=0)
    better, worse = (sum(sign * recall.change > 0 for recall in recalls) for sign in (1, -1))
    axes.set_title(f"All classes: {better:,} better by the policy, {worse:,} worse")
    axes.set(
        xlabel="recall by the recipe", ylabel="recall by the policy", xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), aspect="equal"
    )
    for axis in axes.xaxis, axes.yaxis:
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
