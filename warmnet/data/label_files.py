"""Data sets in a CSV file of file names and classes, and perhaps of parts."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .assembly import Found, Labelled, check_same_classes, normalize, sort_classes
from .errors import DataError
from .splits import choose_held_out, part_of
from .walk import find_images

COLUMNS = {  # what a header may call them, without case, blanks and punctuation
    "file": {
        "file", "filename", "filepath", "id", "image", "imagefile", "imageid", "imagename", "imagepath", "img", "name", "path",
    },
    "label": {"breed", "category", "class", "classid", "classname", "label", "labels", "species", "target"},
    "split": {"isval", "isvalid", "part", "set", "split", "subset"},
}  # fmt: skip
_IS_HELD_OUT = {"true": "val", "false": "train"}  # in fastai's is_valid


class Columns(NamedTuple):
    """The numbers of the columns; `split` is None if there is none."""

    file: int
    label: int
    split: int | None = None


class Row(NamedTuple):
    """What a row says of an image; `split` is as it is written, and '' without such a column."""

    line: int
    file: str
    label: str
    split: str


def read_labels(root: Path, labels: Path) -> Found:
    """The images that a CSV file names, with their classes, and a count of those in `root` that it does not name.

    File names are relative to `root` or to the folder of the CSV file, and may lack their suffix. A column `split` says what is
    held out: train, val or test, as folders spell them, or fastai's true and false.
    """
    rows, notes = _read_rows(labels)
    in_root = find_images(root)
    rows_of_files = _find_files(rows, root, labels, [*in_root.images])
    found = _split(rows_of_files, labels)
    found.classes = sort_classes(name for _, name in found.train)
    found.notes += notes
    found.skipped, found.left_out = in_root.broken, in_root.left_out
    unnamed = {*in_root.images.values()} - {os.path.realpath(path) for path in rows_of_files}
    if unnamed:
        found.left_out[f"that {labels.name} does not name"] = len(unnamed)
    return found


def _read_rows(labels: Path) -> tuple[list[Row], list[str]]:
    """The rows of the file without its header, and a note on columns that are not used."""
    lines = _read_csv(labels)
    if not lines:
        raise DataError(f"{labels} is empty. It has a row for each image, such as cat/1.jpg,cat")
    _, header = lines[0]
    columns, has_header = _find_columns(labels, header)
    rows = []
    for line, fields in lines[1:] if has_header else lines:
        if len(fields) <= max(number or 0 for number in columns):
            raise DataError(f"{labels}, line {line}: {len(fields)} fields, {fields}, and {len(header)} are expected.")
        file, label = fields[columns.file].strip(), normalize(fields[columns.label].strip())
        if not file or not label:
            raise DataError(f"{labels}, line {line}: no {'label' if file else 'file'}. Each row names an image and its class.")
        rows.append(Row(line, file, label, fields[columns.split].strip() if columns.split is not None else ""))
    unused = [name for number, name in enumerate(header) if name and number not in columns]
    notes = [f"Columns of {labels.name} that are not used: {', '.join(unused)}."] if has_header and unused else []
    return rows, notes


def _read_csv(labels: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers, in fields.

    What divides them is the one of comma, semicolon and tab that the first line has most of.
    """
    try:
        data = labels.read_bytes()
        encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        text = data.decode(encoding)
    except OSError as error:
        raise DataError(f"{labels} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{labels} is not a text in UTF-8. Save it as CSV (in Excel: CSV UTF-8).") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, fields) for fields in reader if any(fields)]
    except csv.Error as error:
        raise DataError(f"{labels}, line {reader.line_num}: {error}.") from error


def _find_columns(labels: Path, first: Sequence[str]) -> tuple[Columns, bool]:
    """Which columns are which, and whether the first row is a header that says so."""
    names = [re.sub(r"[^a-z]", "", name.lower()) for name in first]
    numbers: dict[str, int] = {}
    for kind, spellings in COLUMNS.items():
        for number, name in enumerate(names):
            if name in spellings and number not in numbers.values():
                numbers.setdefault(kind, number)
    has_header = "file" in numbers or "label" in numbers
    if not has_header and len(first) in (2, 3):
        return Columns(*range(len(first))), False
    if has_header and len(first) == 2:  # the other column may be called anything
        numbers.setdefault("label", 1 - numbers.get("file", 0))
        numbers.setdefault("file", 1 - numbers["label"])
    if {"file", "label"} <= {*numbers}:
        return Columns(**numbers), True
    raise DataError(
        f"{labels}: the columns are {', '.join(first)}, and there is no {'label' if 'file' in numbers else 'file'}. Call the "
        f"columns file and label, and split, if they say what is held out."
    )


def _find_files(rows: Sequence[Row], root: Path, labels: Path, images: Sequence[Path]) -> dict[Path, Row]:
    """The images that the rows name, each once.

    - `images`: those in `root`, which may be named without their suffix, or in another Unicode form.
    """
    index: dict[str, list[Path]] = {}
    for image in images:
        path = Path(os.path.abspath(image))
        for name in path, path.with_suffix(""):
            index.setdefault(normalize(str(name)), []).append(image)
    found: dict[str, tuple[Path, Row]] = {}
    missing: list[Row] = []
    for row in rows:
        file = _find_file(row, (root, labels.parent), index, labels)
        if file is None:
            missing.append(row)
            continue
        _, before = found.setdefault(os.path.realpath(file), (file, row))
        if (before.label, before.split) != (row.label, row.split):
            said = [f"{' '.join(filter(None, (of.label, of.split)))} on line {of.line}" for of in (before, row)]
            raise DataError(f"{labels}: {row.file} is {said[0]} and {said[1]}. Leave one of them.")
    if missing:
        raise DataError(
            f"{labels} names {len(missing)} files of {len(rows)} that are not there, such as {missing[0].file} on line "
            f"{missing[0].line}. File names are relative to {root} or to {labels.parent}. Remove rows of files that are gone; "
            f"call the columns of a header file and label."
        )
    return dict(found.values())


def _find_file(row: Row, folders: Sequence[Path], index: Mapping[str, list[Path]], labels: Path) -> Path | None:
    """The file of a row; None if there is none, DataError if there are several."""
    for name in dict.fromkeys((row.file, row.file.replace("\\", "/"))):
        for folder in folders:
            path = folder / name
            if path.is_file():
                return path
            images = index.get(normalize(os.path.abspath(path)), [])
            if len(images) > 1:
                raise DataError(f"{labels}, line {row.line}: {row.file} may be {images[0].name} or {images[1].name}. Name one.")
            if images:
                return images[0]
    return None


def _split(rows_of_files: Mapping[Path, Row], labels: Path) -> Found:
    """The images to train on and to hold out, with their classes."""
    labelled: dict[str, list[Labelled]] = {}
    has_splits = any(row.split for row in rows_of_files.values())
    for path, row in rows_of_files.items():
        part = _IS_HELD_OUT.get(row.split.lower()) or part_of(row.split)
        if has_splits and not part:
            raise DataError(f"{labels}, line {row.line}: the split {row.split!r} is not train, val or test, nor true or false.")
        labelled.setdefault(part, []).append((path, row.label))
    if not has_splits:
        return Found((), labelled.get("", []), parts=(str(labels), ""))
    held_out, notes = choose_held_out({part: [f"the split {part}"] for part in labelled}, str(labels))
    parts = f"{labels}, train", f"{labels}, {held_out}"
    if not held_out:
        return Found((), labelled["train"], parts=parts, notes=notes)
    check_same_classes(parts, (name for _, name in labelled["train"]), (name for _, name in labelled[held_out]))
    return Found((), labelled["train"], labelled[held_out], parts, notes=notes)
