"""Which columns of a CSV file hold files, classes and parts: by their names, and where several may be, by what they hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import DataError
from .named_files import NamedFiles

WORDS = {  # what a header may call them, without case, blanks and punctuation
    "file": (
        "file", "filename", "filenames", "filepath", "filepaths", "fname", "id", "idcode", "image", "imagefile", "imageid",
        "imagename", "imagepath", "img", "name", "path",
    ),
    "label": ("label", "labels", "breed", "category", "class", "classid", "classname", "species", "target"),
    "split": ("split", "dataset", "isval", "isvalid", "part", "set", "subset"),
}  # fmt: skip
ENOUGH = 1000  # rows, to see what a column holds


class Columns(NamedTuple):
    """The numbers of the columns; `split` is None if there is none. `header` has their names, without a header it is ()."""

    file: int
    label: int
    split: int | None = None
    header: tuple[str, ...] = ()


def find_columns(labels: Path, rows: Sequence[Sequence[str]], files: NamedFiles) -> Columns:
    """Which columns are which; DataError if there are none, or several may be."""
    first, *others = rows
    named = _named(first)
    if not _is_header(first, named, files):
        if len(first) not in (2, 3):
            raise _no_column(labels, first, "file")
        return Columns(*range(len(first)))
    unnamed = [number for number in range(len(first)) if number not in sum(named.values(), [])]
    file = _choose_file(labels, first, named["file"], unnamed, others, files)
    if file is None:
        if not named["file"] and len(unnamed) > 1:
            raise _no_column(labels, first, "file")
        file = (named["file"] or unnamed or [0])[0]
    if len(first) == 2:  # the other column may be called anything
        named["label"] = [1 - file]
    if not named["label"]:
        raise _no_column(labels, first, "label")
    label = _choose_label(labels, first, named["label"], others)
    return Columns(file, label, named["split"][0] if named["split"] else None, tuple(first))


def _named(first: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the columns that a header calls so; of those that may be, one that is called file, label or split."""
    words = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in first]
    named = {}
    for kind, spellings in WORDS.items():
        numbers = [number for number, word in enumerate(words) if word in spellings]
        named[kind] = [words.index(kind)] if kind in words else numbers
    return named


def _is_header(first: Sequence[str], named: Mapping[str, Sequence[int]], files: NamedFiles) -> bool:
    """Whether the first row has the words of a header: one, and does not begin with a file, or those for file and class."""
    if named["file"] and named["label"]:
        return True
    return bool(named["file"] or named["label"]) and not files.find(first[0].strip())


def _choose_file(
    labels: Path, first: Sequence[str], named: Sequence[int], unnamed: Sequence[int], rows: Sequence[Sequence[str]],
    files: NamedFiles,
) -> int | None:  # fmt: skip
    """The column whose values are files, of those that are named so, if theirs are files in full; None if there is none.

    DataError if it may be several, whose files differ.
    """
    found: dict[int, list[Path | None]] = {}
    for number in [*named, *unnamed]:
        found[number] = [files.find_in_full(value) for value in _values(rows[:ENOUGH], number)]
    best = _with_most_files(found, named)
    if not best:
        for number in named:
            found[number] = [next(iter(files.find(value)), None) for value in _values(rows[:ENOUGH], number)]
        best = _with_most_files(found, named) + _with_most_files(found, unnamed)
    if any(found[number] != found[best[0]] for number in best):
        raise _several(labels, first, best, "file")
    return best[0] if best else None


def _with_most_files(files: Mapping[int, Sequence[Path | None]], numbers: Sequence[int]) -> list[int]:
    """Those of the columns that have most files; [] if none have any."""
    counts = {number: sum(path is not None for path in files[number]) for number in numbers}
    return [number for number, count in counts.items() if count == max(counts.values()) > 0]


def _choose_label(labels: Path, first: Sequence[str], numbers: Sequence[int], rows: Sequence[Sequence[str]]) -> int:
    """Of these columns the one of the classes: with more than one, and names rather than numbers for the same classes."""
    values = {number: _values(rows, number) for number in numbers}
    several = [number for number in numbers if len({*values[number]} - {""}) > 1] or [*numbers]
    for number in several[1:]:
        pairs = {*zip(values[several[0]], values[number])}
        if not len(pairs) == len({*values[number]}) == len({*values[several[0]]}):
            raise _several(labels, first, several, "label")
    names = [number for number in several if not all(re.fullmatch(r"[\d.]*", value) for value in values[number])]
    return (names or several)[0]


def _values(rows: Sequence[Sequence[str]], number: int) -> list[str]:
    return [row[number].strip() if number < len(row) else "" for row in rows]


def _several(labels: Path, first: Sequence[str], numbers: Sequence[int], kind: str) -> DataError:
    names = " and ".join(first[number] for number in numbers)
    return DataError(f"{labels}: the columns {names} may each be the {kind}, and differ. Call the one that is meant {kind}.")


def _no_column(labels: Path, first: Sequence[str], kind: str) -> DataError:
    return DataError(
        f"{labels}: the columns are {', '.join(first)}, and there is no {kind}. Call the columns file and label, and split, if "
        f"they say what is held out."
    )
