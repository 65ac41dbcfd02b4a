"""The picture of an explanation: the image, where the network sees signs of two classes, and its classes as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import extra
from ..plotting.fonts import LEFT_TO_RIGHT, class_labels, families, isolated

with extra("train"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    from .explaining import Explanation

BARS = 5  # classes
LONGEST = 40  # cells of a class's name
SIDE = 3.4  # inches of an image
BAR, REST = "#d1495b", "#7a8ba3"  # of the classes that have a map, and of the others


def explanation_figure(explanation: Explanation) -> Figure:
    """A row of images, the first as the network sees it, and bars below them."""
    labels = class_labels(explanation.classes, LONGEST)
    columns = 1 + len(explanation.maps)
    most = [*explanation.probabilities.items()][:BARS]
    with matplotlib.rc_context({"font.family": families(labels[name] for name, _ in most)}):
        figure = Figure(figsize=(3 * SIDE, SIDE + 0.6 + 0.3 * len(most)), layout="constrained")
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(SIDE + 0.3, 0.3 + 0.3 * len(most)))[:, 0]
        axes = above.subplots(1, columns, squeeze=False)[0]
        for each in axes:
            each.imshow(explanation.image)
            each.set_axis_off()
        width, height = explanation.image.size
        axes[0].set_title(f"as the network sees it, {width}×{height}")
        for each, (name, cam) in zip(axes[1:], explanation.maps.items()):
            _lay_over(each, cam.numpy())
            each.set_title(f"{LEFT_TO_RIGHT}{isolated(labels[name])}", parse_math=False)
        _draw_bars(below.subplots(), [labels[name] for name, _ in most], [share for _, share in most], len(explanation.maps))
    return figure


def _lay_over(axes: Axes, cam: np.ndarray) -> None:
    """Grad-CAM over its image, which shows through where there is little; words where there is nothing."""
    if not cam.any():
        axes.text(0.5, 0.5, "no signs of it", transform=axes.transAxes, ha="center", va="center", backgroundcolor="white")
        return
    strength = cam / cam.max()
    axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.8 * strength)


def _draw_bars(axes: Axes, labels: list[str], shares: list[float], count: int) -> None:
    """Probabilities from above to below, the first `count` in the colour of those that have a map."""
    colors = [BAR if rank < count else REST for rank in range(len(labels))]
    bars = axes.barh(range(len(labels)), shares, color=colors)
    axes.bar_label(bars, [f"{share:.1%}" for share in shares], padding=4)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
