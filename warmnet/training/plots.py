"""The two pictures of a run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..errors import extra
from ..weights import replacing

with extra("train"):
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

if TYPE_CHECKING:
    from .fit import Epoch

TRAINED, HELD_OUT = "#7a8ba3", "#d1495b"


def plot_learning(history: Sequence[Epoch], name: str, path: Path) -> None:
    """A PNG of loss and accuracy over epochs, on the images trained on and on those held out."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    epochs = [epoch.epoch for epoch in history]
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for part, label, color in ("train", "trained on", TRAINED), ("held_out", "held out", HELD_OUT):
            axes.plot(epochs, [getattr(epoch, f"{part}_{what}") for epoch in history], ".-", color=color, label=label)
        axes.set(xlabel="epoch", title=what, xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylim(0, None if what == "loss" else 1.02)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper right" if what == "loss" else "lower right")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    result = f"{history[-1].held_out_accuracy:.1%} of the held-out images right after epoch {epochs[-1]}"
    figure.suptitle(f"{_shown(name)}: {result}", parse_math=False)
    _write(figure, path)


def plot_confusion(confusion: Tensor, classes: Sequence[str], path: Path) -> None:
    """A PNG of the confusion matrix: colour is the share of a row, numbers are images. With many classes it is larger."""
    count = len(classes)
    side = min(max(5.0, 1.5 + 0.3 * count), 24.0)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shares = (confusion / confusion.sum(1, keepdim=True).clamp(min=1)).numpy()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, shrink=0.7, format=PercentFormatter(1), label="share of the class")
    step = -(-count // 75)  # as many names as can be read
    names = [_shown(name) for name in classes][::step]
    axes.set_xticks(range(0, count, step), names, rotation=0 if max(map(len, names)) < 3 else 90, parse_math=False)
    axes.set_yticks(range(0, count, step), names, parse_math=False)
    right, total = int(confusion.trace()), int(confusion.sum())
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{right:,} of {total:,} held-out images right")
    if count <= 40:
        for i, j in confusion.nonzero().tolist():
            color = "white" if shares[i, j] > 0.6 else "black"
            axes.text(j, i, str(int(confusion[i, j])), ha="center", va="center", color=color, fontsize=8)
    _write(figure, path)


def _shown(name: str) -> str:
    """A folder's name, which may hold bytes that are no text, as text of a bearable length."""
    name = name.encode(errors="replace").decode()
    return name if len(name) <= 24 else name[:23] + "…"


def _write(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font has not is shown as a box
        figure.savefig(temporary, dpi=120)
