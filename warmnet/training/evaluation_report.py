"""The report of an evaluation: files and pictures in a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..data.files import replacing, write_csv
from ..data.images import to_image
from ..errors import extra
from ..plotting.fonts import LEFT_TO_RIGHT, class_labels, isolated
from ..text import one_line
from .confusion_plot import plot_confusion
from .evaluation_result import ClassRow, Evaluation, Mistake
from .image_grid import plot_grid
from .plots import plot_calibration

with extra("train"):
    from PIL.Image import Image

MOST_MISTAKES = 36  # in the picture


FILES = (
    "evaluation.json", "per-class.csv", "calibration.png", "confusion-matrix.png", "confusion-matrix-classes.csv",
    "worst-mistakes.png",
)  # fmt: skip


def report_files(folder: Path) -> list[Path]:
    """All files that `report` may write there."""
    return [folder / name for name in FILES]


def report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """The files written into `folder`: evaluation.json, per-class.csv, and pictures of calibration, confusion and mistakes.

    If the pictures have numbers for classes, a CSV has their names. Without mistakes there is no picture of them.

    >>> import pathlib, tempfile, warmnet
    >>> from warmnet import training
    >>> from warmnet.data import Preprocessing
    >>> model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), num_classes=10, seed=0)
    >>> model.preprocessing = Preprocessing(32)
    >>> evaluation = training.evaluate(model, training.digits().held_out[:20])
    >>> [path.name for path in training.report(evaluation, pathlib.Path(tempfile.mkdtemp()))][:2]
    ['evaluation.json', 'per-class.csv']
    """
    *paths, confusion_path, _, mistakes_path = report_files(folder)
    with replacing(paths[0]) as path:
        path.write_text(json.dumps(evaluation.to_dict(), allow_nan=False) + "\n")
    write_csv(paths[1], [ClassRow._fields, *evaluation.per_class, _macro_row(evaluation)])
    plot_calibration(evaluation.bins, paths[2])
    paths += plot_confusion(evaluation.confusion, evaluation.classes, confusion_path, of="images")
    if evaluation.mistakes:
        _plot_mistakes(evaluation, mistakes_path)
        paths.append(mistakes_path)
    else:
        mistakes_path.unlink(missing_ok=True)
    return paths


def _macro_row(evaluation: Evaluation) -> ClassRow:
    """The macro averages as the last row of the classes."""
    macro = evaluation.macro
    return ClassRow("macro average", evaluation.images, evaluation.right, macro.recall, macro.precision, macro.f1, "", 0)


def _plot_mistakes(evaluation: Evaluation, path: Path) -> None:
    """The most confident mistakes, with what they were taken for, and their files."""
    labels = class_labels(evaluation.classes, 24)
    mistakes = evaluation.mistakes
    worst = mistakes[:MOST_MISTAKES]
    tiles: list[tuple[Image, str]] = []
    for mistake in worst:
        lines = [
            f"true: {labels[mistake.true]}",
            f"taken for {labels[mistake.predicted]}",
            f"{mistake.probability:.0%} sure",
            _name(mistake),
        ]
        tiles.append((to_image(mistake.sample.image), "\n".join(lines)))
    title = "All mistakes, the most confident first"
    if len(worst) < len(mistakes):
        title = f"The {len(worst)} most confident of {len(mistakes):,} mistakes"
    plot_grid(tiles, path, title)


def _name(mistake: Mistake) -> str:
    """The file of an image and the folder that it is in, or its place among the samples."""
    image = mistake.sample.image
    if isinstance(image, Image):
        return f"image {mistake.place}"
    return LEFT_TO_RIGHT + os.sep.join(isolated(one_line(part)) for part in Path(str(image)).parts[-2:])
