"""The pictures that a search leaves in its folder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...data.samples import Data
from ..recipe import Recipe
from .number_plots import plot_numbers
from .planning import Comparison, Plan, mean_loss
from .policy_samples import plot_policy
from .recall_plot import plot_recall
from .search_folder import SearchFolder
from .trial_plots import plot_trials


def draw_pictures(
    files: SearchFolder, data: Data, plan: Plan, better: Comparison | None, recipe: Recipe, seed: int,
    confusions: Sequence[Tensor],
) -> None:  # fmt: skip
    """Write samples.png, trials.png, numbers.png and recall.png.

    - `better`, `recipe`: what was taken, and the recipe with it; or None and the recipe as it is.
    - `confusions`: of the test pictures, by the recipe and by the policy, if there is one.
    """
    plot_policy(data, recipe, seed, files.path / "samples.png")
    plot_trials(files.result, plan, better, data.name, files.path / "trials.png")
    losses = [mean_loss(files.result, trial) for trial in range(1 + len(plan.candidates))]
    plot_numbers(plan.candidates, losses[1:], losses[0], seed, files.path / "numbers.png")
    plot_recall(confusions[0], confusions[1] if better else None, data.classes, files.path / "recall.png")
