"""The result of an evaluation: its figures, and as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ..data.samples import Sample
from ..errors import extra
from ..terminal import Column, table, terminal_width, wrapped
from ..text import one_line, percent

with extra("train"):
    from PIL.Image import Image

BINS = 15  # as Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599
MOST_ROWS = 20  # of classes in the text
COLUMNS = (
    Column("class", least=len("macro average")), Column("images", right=True, drop=3), Column("right", right=True, drop=1),
    Column("recall", right=True), Column("precision", right=True, drop=4), Column("F1", right=True),
    Column("taken for", least=12, drop=5, called="most often taken for"), Column("times", right=True, drop=2),
)  # fmt: skip


class ClassRow(NamedTuple):
    """A class: its images, how many were right, the shares of its images and of what was taken for it that are, F1, the
    harmonic mean of both, and whom else it was taken for most often, how many times. A share of nothing is None.
    """

    name: str
    images: int
    right: int
    recall: float | None
    precision: float | None
    f1: float | None
    most_often_taken_for: str
    times: int


class Macro(NamedTuple):
    """The means over the classes that have images, whatever the number of these; what is None of a class counts as 0."""

    recall: float
    precision: float
    f1: float


class Bin(NamedTuple):
    """The images whose most probable class has a probability in one of `BINS` equal ranges, the upper bound included."""

    confidence: float | None
    accuracy: float | None
    images: int


class Mistake(NamedTuple):
    """An image, the `place`th of the samples, that was taken for another class with this probability."""

    sample: Sample
    true: str
    predicted: str
    probability: float
    place: int


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation:
    """How a network did on labelled images. It prints as text, and `to_dict` gives all of it.

    - `classes`: the names of the network's outputs; `confusion[i, j]` counts the images of class i that were taken for class j.
    - `top5`: the share of images, in 0..1, whose class is among the five most probable, or among all if there are fewer.
    - `nll`: the mean negative log likelihood of the true classes, in nats.
    - `bins`: the reliability curve, from probability 0 to 1.
    - `mistakes`: all of them, the most confident first.
    - `skipped`: a message on each image that could not be read; it counts nowhere else.
    - `images_per_second`: decoding and workers' start included; `network_images_per_second`: from tensor to logits alone.
    """

    classes: tuple[str, ...]
    confusion: Tensor
    top5: float
    nll: float
    bins: tuple[Bin, ...]
    mistakes: tuple[Mistake, ...]
    skipped: tuple[str, ...]
    images_per_second: float
    network_images_per_second: float

    @property
    def images(self) -> int:
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        return int(self.confusion.trace())

    @property
    def top1(self) -> float:
        return self.right / self.images

    @property
    def calibration_error(self) -> float:
        """The expected one: the mean distance, over images, of their bin's confidence from its accuracy."""
        total = 0.0
        for confidence, accuracy, images in self.bins:
            if confidence is not None and accuracy is not None:
                total += images * abs(confidence - accuracy)
        return total / self.images

    @property
    def per_class(self) -> tuple[ClassRow, ...]:
        """A row for each of `classes`, in their order."""
        wrong = self.confusion.clone().fill_diagonal_(0)
        images, predicted = self.confusion.sum(1).tolist(), self.confusion.sum(0).tolist()
        right = self.confusion.diagonal().tolist()
        others, times = wrong.argmax(1).tolist(), wrong.amax(1).tolist()
        rows = []
        for i, name in enumerate(self.classes):
            recall, precision = ratio(right[i], images[i]), ratio(right[i], predicted[i])
            f1 = ratio(2 * right[i], images[i] + predicted[i])
            other = self.classes[others[i]] if times[i] else ""
            rows.append(ClassRow(name, images[i], right[i], recall, precision, f1, other, times[i]))
        return tuple(rows)

    @property
    def macro(self) -> Macro:
        """Recall, precision and F1, each the mean of the classes."""
        rows = [row for row in self.per_class if row.images]
        return Macro(*(sum(getattr(row, name) or 0 for row in rows) / len(rows) for name in Macro._fields))

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON can hold. An image that is no file has no name, but its `place`."""
        names = "images", "right", "top1", "top5", "nll", "calibration_error", "images_per_second", "network_images_per_second"
        return {
            **{name: getattr(self, name) for name in names},
            "macro": self.macro._asdict(),
            "skipped": list(self.skipped),
            "per_class": [row._asdict() for row in self.per_class],
            "bins": [row._asdict() for row in self.bins],
            "mistakes": [_mistake_to_dict(mistake) for mistake in self.mistakes],
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
        }

    def __repr__(self) -> str:
        return "\n".join([*_summary(self), "", *_table(self)])


def ratio(part: float, whole: int) -> float | None:
    """part / whole, None of nothing."""
    return part / whole if whole else None


def _mistake_to_dict(mistake: Mistake) -> dict[str, Any]:
    image = mistake.sample.image
    return mistake._asdict() | {"sample": None if isinstance(image, Image) else str(image)}


def _summary(evaluation: Evaluation) -> Iterator[str]:
    """Lines of the figures of all images."""
    yield f"{evaluation.right:,} of {evaluation.images:,} images right."
    if evaluation.skipped:
        yield f"Unreadable images, skipped: {len(evaluation.skipped):,}."
    yield ""
    rows = [("top-1", f"{evaluation.top1:.1%}", "have their class as the most probable")]
    if len(evaluation.classes) > 5:
        rows.append(("top-5", f"{evaluation.top5:.1%}", "have it among the five most probable"))
    rows += [
        ("macro F1", f"{evaluation.macro.f1:.1%}", "the mean F1 of classes with images"),
        ("NLL", f"{evaluation.nll:.3f}", "mean negative log likelihood, in nats"),
        ("calibration", f"{evaluation.calibration_error:.1%}", f"expected calibration error, {BINS} bins"),
        ("images/s", f"{evaluation.images_per_second:,.0f}", "with decoding"),
        ("network alone", f"{evaluation.network_images_per_second:,.0f}", "images/s"),
    ]
    yield from table([Column(""), Column("", right=True), Column("", drop=1)], rows, terminal_width())


def _table(evaluation: Evaluation) -> Iterator[str]:
    """A line for each class that has images, in their order, of many the worst alone; and one of the means of all."""
    width = terminal_width()
    rows = [row for row in evaluation.per_class if row.images]
    count, without = len(rows), len(evaluation.classes) - len(rows)
    if count > MOST_ROWS:
        rows.sort(key=lambda row: row.recall or 0)
    macro = evaluation.macro
    totals = "macro average", f"{evaluation.images:,}", f"{evaluation.right:,}", *map(percent, macro), "", ""
    yield from table(COLUMNS, [_cells(row) for row in rows[:MOST_ROWS]], width, [totals])
    if count > MOST_ROWS:
        recall = percent(rows[MOST_ROWS].recall)
        yield from wrapped(f"... and {count - MOST_ROWS:,} more classes, with a recall of {recall} or above", width)
    if without:
        yield from wrapped(f"Classes of the network without images here: {without:,}.", width)


def _cells(row: ClassRow) -> tuple[str, ...]:
    return (
        one_line(row.name), f"{row.images:,}", f"{row.right:,}", percent(row.recall), percent(row.precision),
        percent(row.f1), one_line(row.most_often_taken_for), str(row.times or ""),
    )  # fmt: skip
