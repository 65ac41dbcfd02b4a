"""Data sets in tar shards, laid out as webdataset's: key.jpg and key.cls side by side.

Shards are indexed once and read by offset, not streamed through webdataset, whose order depends on buffers and workers: so
every epoch is an exact shuffle of all images, and a run that was killed resumes with the very next one.
"""

from __future__ import annotations

import glob
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..errors import extra
from .decoding import decode
from .errors import DataError, ShardError, first_of
from .samples import SUFFIXES, Data, Sample, hold_out
from .tar_members import Member, list_members

with extra("train"):
    from rich.progress import track

IMAGES = {suffix[1:] for suffix in SUFFIXES}
LABELS = {"cls", "json"}


def shards(pattern: str | Sequence[str], strict: bool = False, workers: int = 0, run: Path | None = None) -> Data:
    """The images of tar shards such as 'data/train-{000..009}.tar' or 'data/*.tar', or of a list of such patterns.

    A sample is the files of one shard whose names agree up to the first dot: an image and its class, a number or a name, in
    `.cls` or as 'label' in `.json`; without either the class is the folder of the image's name. Classes are sorted, as numbers
    if all of them are. Shards named val-* are held out beside those named train-*: 'data/{train,val}-*.tar'. Without any, the
    first of every five of a class is.

    Every image is decoded once, as by `folder`. Damaged shards, samples without an image or a class, and unreadable images are
    left out and named in `skipped`, or with `strict` an error. `workers` and `run` are `folder`'s.
    """
    paths = find_shards([pattern] if isinstance(pattern, str) else pattern)
    _check_not_mixed(paths)
    labelled: list[tuple[Member, str]] = []
    skipped: list[str] = []
    ignored = 0
    for path in track(paths, "reading shards", transient=True, disable=not sys.stdout.isatty()):
        ignored += _read_shard(path, labelled, skipped)
    root = Path(os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths]))
    facts, unreadable = decode([image for image, _ in labelled], root, workers, run)
    labelled = [(image, name) for image, name in labelled if image not in unreadable]
    skipped += unreadable.values()
    if skipped and strict:
        raise DataError(f"--strict refuses: {first_of(skipped)}")
    classes, train, held_out = _split(labelled, paths)
    return Data(Path(paths[0]).resolve().parent.name, classes, train, held_out, tuple(skipped), ignored, facts)


def find_shards(patterns: Sequence[str]) -> list[str]:
    """The files that the patterns name, in their order, each once; what * and ? match is sorted."""
    files: list[str] = []
    for path in (path for pattern in patterns for path in expand_braces(pattern)):
        matches = [path] if os.path.isfile(path) else sorted(filter(os.path.isfile, glob.glob(path)))
        if not matches:
            raise DataError(
                f"No file matches {path}. Shards are tar files on this machine, such as data/train-000.tar, and are named "
                "with braces and *: 'data/train-{000..009}.tar', 'data/{train,val}-*.tar'."
            )
        files += matches
    if not files:
        raise DataError("No shards are given. Name some: 'data/train-{000..009}.tar'.")
    return list(dict.fromkeys(files))


def expand_braces(pattern: str) -> list[str]:
    """A pattern without its braces, as shells expand it: {08..10} is 08, 09 and 10, {a,b} is a and b."""
    match = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    first, last, names = match.groups()
    choices = names.split(",") if names else [f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1)]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [path for choice in choices for path in expand_braces(before + choice + after)]


def _read_shard(path: str, labelled: list[tuple[Member, str]], skipped: list[str]) -> int:
    """Add a shard's images with their classes, and a message on each sample that has none; the number of its other files."""
    try:
        samples, ignored = _group(list_members(path))
    except ShardError as error:
        skipped.append(str(error))
        return 0
    for key, files in samples.items():
        try:
            labelled.append(_image_and_class(f"{path}: {key}", files))
        except ShardError as error:
            skipped.append(str(error))
    return ignored


def _group(members: Sequence[Member]) -> tuple[dict[str, dict[str, Member]], int]:
    """Of each key its images and labels by their suffix in lower case, and how many files are neither."""
    samples: dict[str, dict[str, Member]] = {}
    ignored = 0
    for member in members:
        match = re.fullmatch(r"((?:.*/)?[^./]+)\.([^/]*)", member.name)
        suffix = match[2].lower() if match else ""
        if match and suffix in IMAGES | LABELS:
            samples.setdefault(match[1], {})[suffix] = member
        else:
            ignored += 1
    return samples, ignored


def _image_and_class(key: str, files: dict[str, Member]) -> tuple[Member, str]:
    """The image and the name of its class; ShardError if there is none, or there are several."""
    images = [member for suffix, member in files.items() if suffix in IMAGES]
    if len(images) != 1:
        raise ShardError(f"{key} has {len(images)} images, and 1 is expected; there is {', '.join(files)}.")
    name = _class(key, files, PurePosixPath(images[0].name).parent.name)
    return images[0], name


def _class(key: str, files: dict[str, Member], folder: str) -> str:
    """The name of a sample's class: of its .cls, its .json, or else its folder."""
    label: object = None
    try:
        if "cls" in files:
            label = files["cls"].read().decode().strip()
        elif "json" in files:
            fields = json.loads(files["json"].read())
            label = fields.get("label") if isinstance(fields, dict) else None
    except ValueError as error:
        raise ShardError(f"{key} has an unreadable label: {error}.") from error
    name = folder if label is None else label
    if not isinstance(name, (int, str)) or name == "":
        content = f"the label {name!r}" if name else "no label"
        raise ShardError(
            f"{key} has {content}. A class is a number or a name: in .cls, as 'label' in .json, or the folder of the image."
        )
    return str(name)


def _split(labelled: Sequence[tuple[Member, str]], paths: Sequence[str]) -> tuple[tuple[str, ...], list[Sample], list[Sample]]:
    """Classes, samples to train on, and samples to hold out."""
    counts = Counter(name for _, name in labelled)
    classes = sorted(counts, key=int if all(map(str.isdecimal, counts)) else None)
    if len(classes) < 2:
        raise DataError(f"{', '.join(paths)}: {len(classes)} classes, {classes}, and 2 is the least.")
    number = {name: label for label, name in enumerate(classes)}
    if any(map(_is_val, paths)):
        train = [Sample(image, number[name]) for image, name in labelled if not _is_val(image.tar)]
        held_out = [Sample(image, number[name]) for image, name in labelled if _is_val(image.tar)]
        _check_same_classes(classes, train, held_out)
    else:
        _check_counts(counts)
        train, held_out = hold_out([Sample(image, number[name]) for image, name in labelled])
    return tuple(classes), train, held_out


def _is_val(path: str) -> bool:
    return Path(path).name.startswith("val-")


def _check_not_mixed(paths: Sequence[str]) -> None:
    """Raise if beside val-* shards there are others than train-*."""
    others = [path for path in paths if not Path(path).name.startswith(("train-", "val-"))]
    if others and any(map(_is_val, paths)):
        raise DataError(f"Beside val-* shards only train-* are expected, and there is {others[0]}. Name what to train on.")


def _check_same_classes(classes: Sequence[str], train: Sequence[Sample], held_out: Sequence[Sample]) -> None:
    """Raise if a class has images in one of the two parts alone."""
    others = {label for _, label in train} ^ {label for _, label in held_out}
    if others:
        names = ", ".join(classes[label] for label in sorted(others))
        raise DataError(f"train-* and val-* shards hold different classes: {names}.")


def _check_counts(counts: Counter[str]) -> None:
    """Raise if a class has too few images to hold one out."""
    few = [name for name, count in counts.items() if count < 2]
    if few:
        raise DataError(f"Class {few[0]} has 1 readable image, and 2 is the least. Add some, or val-* shards, or remove it.")
