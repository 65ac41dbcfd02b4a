"""The picture of an explanation: the image, where the network sees signs of two classes, and its classes as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ..errors import extra
from ..plotting.fonts import LEFT_TO_RIGHT, class_labels, families, isolated
from ..text import shortened

with extra("train"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from PIL.Image import Image

BARS = 5  # classes
LONGEST = 36  # cells of a name
SIDE, TITLE, ROW, PAD = 3.4, 0.6, 0.3, 0.1  # inches: of an image, its title, a bar, and around them
SIZE = 10  # points of text
WITH_MAP, WITHOUT = "#d1495b", "#7a8ba3"  # the bars of classes


def explanation_figure(
    image: Image, classes: Sequence[str], probabilities: Mapping[str, float], block: str, maps: Mapping[str, Tensor]
) -> Figure:
    """A row of images, the first as the network sees it, and bars below them. The arguments are the fields of `Explanation`."""
    labels = class_labels(classes, LONGEST)
    most = {labels[name]: share for name, share in [*probabilities.items()][:BARS]}
    heights = SIDE + TITLE, ROW * (1 + len(most))
    with matplotlib.rc_context({"font.family": families(most), "font.size": SIZE, "axes.titlesize": SIZE}):
        layout = ConstrainedLayoutEngine(w_pad=PAD, h_pad=PAD)
        figure = Figure(figsize=(SIDE * (1 + len(maps)), sum(heights)), layout=layout)
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
        plain, *others = above.subplots(1, 1 + len(maps), squeeze=False)[0]
        _show(plain, image, f"as the network sees it, {image.width}×{image.height}")
        for axes, (name, cam) in zip(others, maps.items()):
            label = f"{LEFT_TO_RIGHT}{isolated(labels[name])}"
            _show(axes, image, f"Grad-CAM of {shortened(block, LONGEST - 12)}\n{label}")
            _lay_over(axes, cam)
        _draw_bars(below.subplots(), most, len(maps))
    return figure


def _show(axes: Axes, image: Image, title: str) -> None:
    axes.imshow(image)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, parse_math=False)


def _lay_over(axes: Axes, cam: Tensor) -> None:
    """Grad-CAM over its image, which shows through where there is little; words where there is nothing."""
    if not cam.any():
        axes.text(0.5, 0.5, "no signs of it", transform=axes.transAxes, ha="center", va="center", backgroundcolor="white")
        return
    strength = (cam / cam.max()).numpy()
    axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.8 * strength)


def _draw_bars(axes: Axes, probabilities: Mapping[str, float], with_map: int) -> None:
    """Probabilities from above to below, the first ones in the colour of those that have a map."""
    places = range(len(probabilities))
    colors = [WITH_MAP if place < with_map else WITHOUT for place in places]
    bars = axes.barh(places, [*probabilities.values()], color=colors)
    axes.bar_label(bars, [f"{share:.1%}" for share in probabilities.values()], padding=4)
    axes.set_yticks(places, [*probabilities], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
