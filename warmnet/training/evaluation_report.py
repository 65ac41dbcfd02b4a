"""The report of an evaluation: files and pictures in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..data.files import replacing, write_csv
from ..data.samples import open_image
from ..errors import extra
from ..text import one_line, shortened
from .evaluation_result import ClassRow, Evaluation, Mistake
from .image_grid import plot_grid
from .plots import plot_calibration, plot_confusion

with extra("train"):
    from PIL.Image import Image

MOST_MISTAKES = 36  # in the picture


FILES = "evaluation.json", "per-class.csv", "calibration.png", "confusion-matrix.png", "worst-mistakes.png"


def report_files(folder: Path) -> list[Path]:
    """All files that `report` writes there; the last only if there are mistakes."""
    return [folder / name for name in FILES]


def report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """The files written into `folder`: evaluation.json, per-class.csv, and pictures of calibration, confusion and mistakes."""
    *paths, mistakes_path = report_files(folder)
    with replacing(paths[0]) as path:
        path.write_text(json.dumps(evaluation.to_dict(), allow_nan=False) + "\n")
    write_csv(paths[1], [ClassRow._fields, *evaluation.per_class])
    plot_calibration(evaluation.bins, paths[2])
    _plot_confusion(evaluation, paths[3])
    if evaluation.mistakes:
        _plot_mistakes(evaluation.mistakes, mistakes_path)
        paths.append(mistakes_path)
    else:
        mistakes_path.unlink(missing_ok=True)
    return paths


def _plot_confusion(evaluation: Evaluation, path: Path) -> None:
    """The confusion of the classes that have images, or that images were taken for."""
    confusion = evaluation.confusion
    used = (confusion.sum(0) + confusion.sum(1)).nonzero().flatten()
    plot_confusion(confusion[used][:, used], [evaluation.classes[i] for i in used], path, of="images")


def _plot_mistakes(mistakes: Sequence[Mistake], path: Path) -> None:
    """The most confident mistakes, with what they were taken for."""
    worst = mistakes[:MOST_MISTAKES]
    tiles: list[tuple[Image, str]] = []
    for (image, _), true, predicted, probability, _ in worst:
        caption = f"{shortened(one_line(true), 24)}\ntaken for {shortened(one_line(predicted), 24)}\n{probability:.0%} sure"
        tiles.append((image if isinstance(image, Image) else open_image(image), caption))
    title = "All mistakes, the most confident first"
    if len(worst) < len(mistakes):
        title = f"The {len(worst)} most confident of {len(mistakes):,} mistakes"
    plot_grid(tiles, path, title)
