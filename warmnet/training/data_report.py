"""What there is to know of a data set before training on it."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from ..data.copies import AllCopies, Copies, find_copies
from ..data.image_facts import ImageFacts
from ..data.samples import Data, check_is_data
from ..data.split_csv import HELD_OUT, TRAIN, split_of
from ..data.walk import left_out_text
from ..terminal import Column, table
from ..text import bar, one_line

MOST_CLASSES = 20  # in the table
NAMED = 3  # of many files or classes
IMBALANCE = 5  # the largest class has so many times the images of the smallest
FEW = 10  # images of a class to train on
BAR = 12  # characters
CLASS_COLUMNS = Column("class", least=12), Column("train", right=True), Column("held out", right=True), Column("")
SIZE_COLUMNS = Column("pixels"), *(Column(title, right=True) for title in ("least", "median", "most"))
KINDS = {"RGBA": "RGB", "LA": "L", "PA": "P", "RGBa": "RGB", "La": "L"}  # modes without their transparency
WORDS = {"L": "grey", "1": "black and white", "P": "palette", "I": "grey of more than 8 bits", "F": "floating point"}


class ClassCount(NamedTuple):
    """How many images of a class there are."""

    name: str
    train: int
    held_out: int


class Spread(NamedTuple):
    """The least, the median and the largest of numbers."""

    least: int
    median: float
    most: int


@dataclass(frozen=True)
class DataReport:
    """What there is to know of a data set before training on it; as text by `text`.

    - `classes`: how many images each has, in their order.
    - `sizes`: 'width', 'height' and 'short side' of all images, in pixels; `smallest`: the images of the least short sides.
    - `kinds`: how many images are RGB, grey, of a palette, with transparency, ...
    - `copies`: images of the same content.
    - `notes`: how the folder was read. `skipped`: messages on images that are left out; `left_out`: other files, by kind.
    """

    name: str
    classes: tuple[ClassCount, ...]
    sizes: dict[str, Spread]
    smallest: tuple[ImageFacts, ...]
    kinds: dict[str, int]
    copies: AllCopies
    skipped: tuple[str, ...]
    left_out: dict[str, int]
    notes: tuple[str, ...]

    @property
    def train(self) -> int:
        """The number of images to train on."""
        return sum(row.train for row in self.classes)

    @property
    def held_out(self) -> int:
        """The number of images that are held out."""
        return sum(row.held_out for row in self.classes)

    @property
    def advice(self) -> list[str]:
        """What stands out, a sentence or two each."""
        return [*_copies_advice(self.copies), *_classes_advice(self.classes)]

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON can hold, with the names of all copies."""
        copies = {kind: [_names(group) for group in groups] for kind, groups in self.copies._asdict().items()}
        return {
            "name": self.name, "train": self.train, "held_out": self.held_out,
            "classes": [row._asdict() for row in self.classes],
            "sizes": {side: spread._asdict() for side, spread in self.sizes.items()},
            "smallest": [{"file": image.file, "width": image.width, "height": image.height} for image in self.smallest],
            "kinds": self.kinds, "copies": copies, "skipped": list(self.skipped), "left_out": self.left_out,
            "notes": list(self.notes), "advice": self.advice,
        }  # fmt: skip

    def text(self, width: int | None = None) -> str:
        """The report as lines that fit `width`, 60 or more; None for any."""
        return "\n".join(_lines(self, width))


def report_data(data: Data) -> DataReport:
    """The report of a data set.

    >>> from warmnet import training
    >>> report = training.report_data(training.digits())
    >>> report.train, report.sizes['short side'].median, report.kinds, report.advice
    (1433, 8, {'grey': 1797}, [])
    """
    check_is_data(data)
    rows = split_of(data)
    counts = {part: Counter(row.class_name for row in rows if row.part == part) for part in (TRAIN, HELD_OUT)}
    facts = [row.facts for row in rows]
    short_sides = [min(image.width, image.height) for image in facts]
    return DataReport(
        name=data.name,
        classes=tuple(ClassCount(name, counts[TRAIN][name], counts[HELD_OUT][name]) for name in data.classes),
        sizes={
            "width": _spread([image.width for image in facts]),
            "height": _spread([image.height for image in facts]),
            "short side": _spread(short_sides),
        },
        smallest=tuple(sorted(facts, key=lambda image: min(image.width, image.height))[:NAMED]),
        kinds=dict(Counter(map(_kind, facts)).most_common()),
        copies=find_copies(rows),
        skipped=data.skipped,
        left_out=dict(data.left_out),
        notes=data.notes,
    )


def _spread(numbers: Sequence[int]) -> Spread:
    return Spread(min(numbers), median(numbers), max(numbers))


def _kind(image: ImageFacts) -> str:
    """The mode of an image in words: 'grey', 'palette with transparency'."""
    mode, _, transparent = image.mode.partition(", ")
    base = KINDS.get(mode, mode)
    words = WORDS.get(base.partition(";")[0], base)
    return f"{words} with transparency" if transparent or base != mode else words


def _names(copies: Copies) -> list[str]:
    return [row.facts.file for row in copies]


def _copies_advice(copies: AllCopies) -> Iterator[str]:
    """A sentence for each kind of copies that there is, with a few by name."""
    leaked = sum(row.part == HELD_OUT for group in copies.across_parts for row in group)
    if leaked:
        subject = "1 held-out image is" if leaked == 1 else f"{leaked:,} held-out images are"
        yield f"{subject} trained on, too, so that accuracy looks better than it is: {_examples(copies.across_parts)}."
    if copies.across_classes:
        yield f"{_images_are(len(copies.across_classes))} in more than one class: {_examples(copies.across_classes)}."
    more = sum(len(group) - 1 for group in copies.within_class)
    if more:
        yield f"{_images_are(more)} there twice, in the same class: {_examples(copies.within_class)}."


def _classes_advice(classes: Sequence[ClassCount]) -> Iterator[str]:
    """What is to be said of how many images the classes have to train on."""
    by_size = sorted(classes, key=lambda row: row.train)
    smallest, largest = by_size[0], by_size[-1]
    if largest.train >= IMBALANCE * smallest.train:
        yield (
            f"The classes are out of balance: {one_line(largest.name)} has {largest.train:,} images to train on, "
            f"{one_line(smallest.name)} {smallest.train:,}. Rare classes count more by the recipe finetune, and by others with "
            f"--set class_weights=True."
        )
    few = [row.name for row in by_size if row.train < FEW]
    if few:
        yield f"Fewer than {FEW} images to train on: {_some(few)}. Add some: of so few a network learns little."


def _images_are(count: int) -> str:
    return "1 image is" if count == 1 else f"{count:,} images are"


def _examples(groups: Sequence[Copies]) -> str:
    """The first groups of copies by name."""
    return _some([" = ".join(_names(group)[:NAMED]) for group in groups])


def _some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    text = ", ".join(one_line(name) for name in names[:NAMED])
    return f"{text} and {len(names) - NAMED:,} more" if len(names) > NAMED else text


def _lines(report: DataReport, width: int | None) -> Iterator[str]:
    counts = f"{report.train:,} images to train on, {report.held_out:,} held out, {len(report.classes):,} classes"
    yield from _wrapped(f"{report.name}: {counts}", width)
    yield ""
    yield from _class_table(report.classes, width)
    yield ""
    yield from _sizes(report, width)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.kinds.items())
    yield from _wrapped(f"modes: {kinds}", width)
    remarks = [*report.notes, *report.advice, *_left_out(report)]
    if remarks:
        yield ""
    for remark in remarks:
        yield from _wrapped(f"- {remark}", width)


def _wrapped(text: str, width: int | None) -> list[str]:
    """A paragraph in lines, or in one for any width."""
    return [text] if width is None else textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _class_table(classes: Sequence[ClassCount], width: int | None) -> list[str]:
    """A line with a bar for each class; of many classes the largest and the smallest, in this order."""
    rows, half = list(classes), MOST_CLASSES // 2
    if len(classes) > MOST_CLASSES:
        rows.sort(key=lambda row: -row.train)
        rows[half:-half] = []
    most = max(row.train for row in rows)
    cells = [(one_line(row.name), f"{row.train:,}", f"{row.held_out:,}", bar(row.train / most, BAR)) for row in rows]
    if len(classes) > MOST_CLASSES:
        cells.insert(half, (f"... {len(classes) - MOST_CLASSES:,} more", "", "", ""))
    return table(CLASS_COLUMNS, cells, width)


def _sizes(report: DataReport, width: int | None) -> Iterator[str]:
    """The spread of the sizes, and the smallest images; one line if all images are of one size."""
    sizes = report.sizes
    if all(spread.least == spread.most for spread in sizes.values()):
        yield f"all are {sizes['width'].most}x{sizes['height'].most} pixels"
        return
    rows = [(side, f"{spread.least:,}", f"{spread.median:,g}", f"{spread.most:,}") for side, spread in sizes.items()]
    yield from table(SIZE_COLUMNS, rows, width)
    smallest = ", ".join(f"{one_line(image.file)} ({image.width}x{image.height})" for image in report.smallest)
    yield from _wrapped(f"the smallest: {smallest}", width)


def _left_out(report: DataReport) -> Iterator[str]:
    """What was left out, and why."""
    if report.skipped:
        yield f"{_images_are(len(report.skipped))} left out: {_some(report.skipped)}"
    if report.left_out:
        yield f"Other files, left out: {left_out_text(report.left_out)}."
