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
from .label_columns import Columns, find_columns
from .named_files import NamedFiles
from .splits import choose_held_out, part_of
from .walk import find_images

_IS_HELD_OUT = {"true": "val", "false": "train"}  # in fastai's is_valid
_TRUTH = {"0": "false", "1": "true", "0.0": "false", "1.0": "true"}  # in a column that is called so


class Row(NamedTuple):
    """What a row says of an image; `split` is as it is written, and '' without such a column."""

    line: int
    file: str
    label: str
    split: str


def read_labels(root: Path, labels: Path) -> Found:
    """The images that a CSV file names, with their classes, and a count of those in `root` that it does not name.

    File names are relative to `root`, to the folder of the CSV file, or to the current one, and may lack their suffix. A column
    `split` says what is held out: train, val or test, as folders spell them, or fastai's true and false. Images whose class is
    empty are left out.
    """
    lines = _read_csv(labels)
    if not lines:
        raise DataError(f"{labels} is empty. It has a row for each image, such as cat/1.jpg,cat")
    in_root = find_images(root)
    files = NamedFiles((root, labels.parent, Path()), in_root.images)
    columns = find_columns(labels, [fields for _, fields in lines], files)
    rows = _read_rows(labels, lines, columns)
    rows_of_files = _find_files([row for row in rows if row.label], files, labels)
    labelled = {os.path.realpath(path) for path in rows_of_files}
    unlabelled = {os.path.realpath(path) for row in rows if not row.label for path in files.find(row.file)} - labelled
    column = f", column {columns.header[columns.label]}" if columns.header else ""
    found = _split(rows_of_files, labels, f"{labels}{column}")
    found.classes = sort_classes(name for _, name in found.train)
    unused = [name for number, name in enumerate(columns.header) if name and number not in columns[:3]]
    if unused:
        found.notes.append(f"Columns of {labels.name} that are not used: {', '.join(unused)}.")
    found.skipped, found.left_out = in_root.broken, in_root.left_out
    unnamed = {*in_root.images.values()} - labelled - unlabelled
    for what, images in ("does not name", unnamed), ("gives no class", unlabelled):
        if images:
            found.left_out[f"that {labels.name} {what}"] = len(images)
    return found


def _read_rows(labels: Path, lines: Sequence[tuple[int, list[str]]], columns: Columns) -> list[Row]:
    """The rows of the file without its header."""
    width = len(lines[0][1])
    is_truth = bool(columns.header and columns.split is not None and columns.header[columns.split].lower().startswith("is"))
    rows = []
    for line, fields in lines[1:] if columns.header else lines:
        if len(fields) <= max(columns.file, columns.label, columns.split or 0):
            raise DataError(f"{labels}, line {line}: {len(fields)} fields, {fields}, and {width} are expected.")
        file, label = fields[columns.file].strip(), normalize(fields[columns.label].strip())
        if not file:
            raise DataError(f"{labels}, line {line}: no file. Each row names an image and its class.")
        split = "" if columns.split is None else fields[columns.split].strip()
        rows.append(Row(line, file, label, _TRUTH.get(split, split) if is_truth else split))
    if all(re.fullmatch(r"\d+\.0|", row.label) for row in rows):  # whole numbers, as pandas writes them beside missing ones
        rows = [row._replace(label=row.label.removesuffix(".0")) for row in rows]
    return rows


def _read_csv(labels: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers, in fields.

    What divides them is the one of comma, semicolon and tab that the first line with text has most of, or what Excel's line
    `sep=;` says.
    """
    try:
        data = labels.read_bytes()
        encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        text = data.decode(encoding)
    except OSError as error:
        raise DataError(f"{labels} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{labels} is not a text in UTF-8. Save it as CSV (in Excel: CSV UTF-8).") from error
    first = text.lstrip("\r\n").partition("\n")[0].strip("\r")
    says = re.fullmatch("sep=(.)", first, re.IGNORECASE)
    delimiter = says[1] if says else max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, fields) for fields in reader if any(fields)]
        return lines[1:] if says else lines
    except csv.Error as error:
        raise DataError(f"{labels}, line {reader.line_num}: {error}.") from error


def _find_files(rows: Sequence[Row], files: NamedFiles, labels: Path) -> dict[Path, Row]:
    """The images that the rows name, each once."""
    found: dict[str, tuple[Path, Row]] = {}
    missing: list[Row] = []
    for row in rows:
        paths = files.find(row.file)
        if len(paths) > 1:
            raise DataError(f"{labels}, line {row.line}: {row.file} may be {paths[0].name} or {paths[1].name}. Name one.")
        if not paths:
            missing.append(row)
            continue
        _, before = found.setdefault(os.path.realpath(paths[0]), (paths[0], row))
        if (before.label, before.split) != (row.label, row.split):
            said = [f"{' '.join(filter(None, (of.label, of.split)))} on line {of.line}" for of in (before, row)]
            raise DataError(f"{labels}: {row.file} is {said[0]} and {said[1]}. Leave one of them.")
    if missing:
        raise _missing(missing, len(rows), files, labels)
    return dict(found.values())


def _missing(missing: Sequence[Row], rows: int, files: NamedFiles, labels: Path) -> DataError:
    first = missing[0]
    elsewhere = files.find_elsewhere(first.file)
    if elsewhere:
        cure = f"One of that name is {elsewhere}: name the folder that the names are relative to"
    else:
        cure = "Remove rows of files that are gone; call the columns of a header file and label"
    return DataError(
        f"{labels} names {len(missing)} files of {rows} that are not there, such as {first.file} on line {first.line}. File "
        f"names are relative to {' or to '.join(map(str, files.folders))}. {cure}."
    )


def _split(rows_of_files: Mapping[Path, Row], labels: Path, called: str) -> Found:
    """The images to train on and to hold out, with their classes.

    - `called`: the file and its column of classes, for messages.
    """
    labelled: dict[str, list[Labelled]] = {}
    has_splits = any(row.split for row in rows_of_files.values())
    for path, row in rows_of_files.items():
        part = _IS_HELD_OUT.get(row.split.lower()) or part_of(row.split)
        if has_splits and not part:
            raise DataError(f"{labels}, line {row.line}: the split {row.split!r} is not train, val or test, nor true or false.")
        labelled.setdefault(part, []).append((path, row.label))
    if not has_splits:
        return Found((), labelled.get("", []), parts=(called, ""))
    held_out, notes = choose_held_out({part: [f"the split {part}"] for part in labelled}, str(labels))
    parts = f"{called}, train", f"{called}, {held_out}"
    if not held_out:
        return Found((), labelled["train"], parts=parts, notes=notes)
    check_same_classes(parts, (name for _, name in labelled["train"]), (name for _, name in labelled[held_out]))
    return Found((), labelled["train"], labelled[held_out], parts, notes=notes)
