"""Exact copies: images of the same content in several places of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .samples import Data, Sample
from .split_csv import HELD_OUT, TRAIN, SplitRow

Copies = list[SplitRow]  # two or more images of the same content


class AllCopies(NamedTuple):
    """The copies in a data set: those held out and trained on, those in several classes (both may hold), and the others."""

    across_parts: list[Copies]
    across_classes: list[Copies]
    within_class: list[Copies]


def find_copies(rows: Iterable[SplitRow]) -> AllCopies:
    """The images of the same content among those of a split."""
    by_digest: dict[str, Copies] = {}
    for row in rows:
        by_digest.setdefault(row.facts.digest, []).append(row)
    found = AllCopies([], [], [])
    for copies in by_digest.values():
        if len(copies) == 1:
            continue
        if {row.part for row in copies} == {TRAIN, HELD_OUT}:
            found.across_parts.append(copies)
        if len({row.class_name for row in copies}) > 1:
            found.across_classes.append(copies)
        elif len({row.part for row in copies}) == 1:
            found.within_class.append(copies)
    return found


def held_out_copies(data: Data) -> list[Sample]:
    """The held-out images that are exact copies of images to train on."""
    digests = {data.facts_of(sample.image).digest for sample in data.train}
    return [sample for sample in data.held_out if data.facts_of(sample.image).digest in digests]
