"""The plot of the losses of a search."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from ...errors import extra
from ...plotting.figures import write
from ...plotting.fonts import families
from ...text import one_line, shortened
from ..plots import HELD_OUT, KEPT, TRAINED, scale_losses
from .planning import Comparison, Plan, Results, losses, mean_loss
from .search_folder import AGAIN, FIRST

with extra("train"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

TOP = 0.97  # of the axes' height: where trials are marked that diverged
BESIDE = 0.2  # trials: the second round stands so far to the right of the first


def plot_trials(results: Results, plan: Plan, better: Comparison | None, name: str, path: Path) -> None:
    """A PNG of the held-out loss of each trial, and of those that were trained again.

    - `better`: the candidate that was taken, if one is better than the recipe.
    """
    write(trials_curve(results, plan, better, name), path)


def trials_curve(results: Results, plan: Plan, better: Comparison | None, name: str) -> Figure:
    """What `plot_trials` writes."""
    name, trials = shortened(one_line(name), 30), range(1 + len(plan.candidates))
    means = [mean_loss(results, trial) for trial in trials]
    with matplotlib.rc_context({"font.family": families([name])}):
        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.subplots()
        axes.axhline(means[0], linestyle="--", color="#999999", label="the recipe, trial 0", zorder=0)
        axes.plot(trials, list(accumulate(means, min)), color=KEPT, drawstyle="steps-post", label="best so far")
        _plot_round(axes, results, trials, FIRST, "o", TRAINED, "a trial: mean and spread of its folds")
        _plot_round(axes, results, sorted([0, *plan.best]), AGAIN, "D", HELD_OUT, "trained again, on other folds")
        if better:
            again = statistics.fmean(losses(results, better.trial, AGAIN))
            place, label = better.trial + BESIDE, f"trial {better.trial}, taken"
            axes.plot(place, again, "o", markersize=15, markerfacecolor="none", color=KEPT, label=label)
        axes.set(xlabel="trial", ylabel="held-out loss", xlim=(-0.7, len(trials) - 0.3))
        _scale(axes, means)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        figure.suptitle(f"{name}: {_found(better)}", parse_math=False)
    return figure


def _found(better: Comparison | None) -> str:
    if better is None:
        return "nothing better than the recipe was found"
    return f"trial {better.trial} has {-better.difference:.2g} ± {better.error:.1g} less loss than the recipe, trained again"


def _plot_round(axes: Axes, results: Results, trials: Sequence[int], round: str, marker: str, color: str, label: str) -> None:
    """A mark with a bar, the mean and the spread, for each trial that was trained in a round; a cross if it diverged."""
    shift = BESIDE if round == AGAIN else 0.0
    of_trial = {trial: losses(results, trial, round) for trial in trials}
    whole = {trial: values for trial, values in of_trial.items() if all(map(math.isfinite, values))}
    places = [trial + shift for trial in whole]
    means = [statistics.fmean(values) for values in whole.values()]
    spreads = [statistics.pstdev(values) for values in whole.values()]
    axes.errorbar(places, means, spreads, fmt=marker, color=color, elinewidth=1, markersize=5, label=label)
    diverged = [trial + shift for trial in of_trial if trial not in whole]
    if diverged:
        height = axes.get_xaxis_transform()  # a share of the axes' height
        label = "diverged, trained again" if round == AGAIN else "diverged"
        axes.plot(diverged, [TOP] * len(diverged), "x", color=color, label=label, transform=height)


def _scale(axes: Axes, means: Sequence[float]) -> None:
    """Room at the top, and a logarithmic scale where a loss is far above the others."""
    axes.margins(y=0.12)
    scale_losses(axes, means)
    if axes.get_yscale() == "log":
        axes.set_ylabel("held-out loss, on a logarithmic scale")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
