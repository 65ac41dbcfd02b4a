"""split.csv of a run folder: which images are in which part of a run, and how they are known again wherever they lie."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import DataError
from .files import write_csv
from .image_facts import ImageFacts
from .samples import Data, Sample

SPLIT = "split.csv"
TRAIN, HELD_OUT = "train", "held out"
COLUMNS = "part", "class", *ImageFacts._fields


class SplitRow(NamedTuple):
    """An image of a run: its part, 'train' or 'held out', the name of its class, and its facts."""

    part: str
    class_name: str
    facts: ImageFacts

    @property
    def identity(self) -> tuple[str, str, str]:
        """By which two runs have the same image in the same place: the content counts, and not the name of the file."""
        return self.part, self.class_name, self.facts.digest


def split_of(data: Data) -> list[SplitRow]:
    """Which image is in which part of `data`; images that are no files are called 'train 0', 'train 1', ..."""
    rows = []
    for part, samples in (TRAIN, data.train), (HELD_OUT, data.held_out):
        for number, sample in enumerate(samples):
            facts = data.facts_of(sample.image)
            rows.append(SplitRow(part, data.classes[sample.label], facts._replace(file=facts.file or f"{part} {number}")))
    return rows


def digest_of(rows: Iterable[SplitRow]) -> str:
    """One digest of which images are where, and in which order."""
    return hashlib.sha256(ascii([row.identity for row in rows]).encode()).hexdigest()


def write_split(run: Path, rows: Iterable[SplitRow]) -> None:
    """Write split.csv into a run folder."""
    write_csv(run / SPLIT, [COLUMNS, *((row.part, row.class_name, *row.facts) for row in rows)])


def read_split(run: Path) -> list[SplitRow]:
    """What split.csv of a run folder says; nothing if it is not there. DataError if it is damaged."""
    if not (run / SPLIT).is_file():
        return []
    with open(run / SPLIT, newline="", encoding="utf-8", errors="surrogateescape") as file:
        _, *lines = csv.reader(file)
    try:
        return [_row(line) for line in lines]
    except ValueError as error:
        raise DataError(
            f"{run / SPLIT} is damaged, or of an older warmnet: a row of it has other columns than {', '.join(COLUMNS)}. "
            f"Start a new run."
        ) from error


def _row(fields: Sequence[str]) -> SplitRow:
    part, class_name, file, size, modified, width, height, mode, brightest, digest = fields
    numbers = int(size), int(modified), int(width), int(height)
    return SplitRow(part, class_name, ImageFacts(file, *numbers, mode, int(brightest), digest))


def has_split(run: Path) -> bool:
    """Whether there is a split.csv in the folder of a run, or beside a file in it; not for a name of weights."""
    return run.exists() and ((run if run.is_dir() else run.parent) / SPLIT).is_file()


def trained_on(run: Path, data: Data, samples: Sequence[Sample]) -> list[Sample]:
    """Those of the samples of `data` whose content a run was trained on, wherever it lay then.

    - `run`: the folder of the run, or a file in it. Without a split.csv there, none are known.
    """
    if not has_split(run):
        return []
    rows = read_split(run if run.is_dir() else run.parent)
    digests = {row.facts.digest for row in rows if row.part == TRAIN}
    return [sample for sample in samples if digests and data.facts_of(sample.image).digest in digests]
