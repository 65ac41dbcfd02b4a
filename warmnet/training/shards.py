"""Data sets in tar shards, laid out as webdataset's: key.jpg and key.cls side by side.

Shards are indexed once and read by offset, not streamed through webdataset, whose order depends on buffers and workers: so
every epoch is an exact shuffle of all images, and a run that was killed resumes with the very next one.
"""

from __future__ import annotations

import glob
import io
import json
import os
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..errors import extra
from .data import SUFFIXES, Data, DataError, Sample, first_of, hold_out, unreadable

with extra("train"):
    from rich.progress import track

IMAGES = {suffix[1:] for suffix in SUFFIXES}
LABELS = {"cls", "json"}


class Member(NamedTuple):
    """A file inside a tar: `size` bytes from `offset`. It holds nothing open: any thread or worker process may read it."""

    tar: str
    offset: int
    size: int
    name: str

    def __str__(self) -> str:
        return f"{self.tar}: {self.name}"

    def read(self) -> bytes:
        """Its bytes. DataError if the tar is shorter than when it was indexed, OSError if it cannot be opened."""
        with open(self.tar, "rb", buffering=0) as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise DataError(f"{self}: {len(data)} of {self.size} bytes are left. The shard has changed since it was indexed.")
        return data

    def open(self) -> OpenMember:
        """A file in memory of its bytes, as Pillow opens it."""
        file = OpenMember(self.read())
        file.name = str(self)
        return file


class OpenMember(io.BytesIO):
    """A member's bytes, to be read like a file; as text it is 'shard.tar: member.jpg', for messages."""

    name: str

    def __str__(self) -> str:
        return self.name


class ShardError(DataError):
    """A shard or a sample in it that is left out, unless `strict` refuses it."""


def shards(pattern: str | Sequence[str], strict: bool = False, workers: int = 0, run: Path | None = None) -> Data:
    """The images of tar shards such as 'data/train-{000..009}.tar' or 'data/*.tar', or of a list of such patterns.

    A sample is the files of one shard whose names agree up to the first dot: an image and its class, a number or a name, in
    `.cls` or as 'label' in `.json`; without either the class is the folder of the image's name. Classes are sorted, as numbers
    if all of them are. Shards named val-* are held out beside those named train-*: 'data/{train,val}-*.tar'. Without any, the
    first of every five of a class is.

    Every image is decoded once, as by `folder`. Damaged shards, samples without an image or a class, and unreadable images are
    left out and named in `skipped`, or with `strict` an error. `workers` and `run` are `folder`'s.
    """
    paths = find([pattern] if isinstance(pattern, str) else pattern)
    _check_not_mixed(paths)
    found: list[tuple[Member, str]] = []
    skipped: list[str] = []
    ignored = 0
    for path in track(paths, "reading shards", transient=True, disable=not sys.stdout.isatty()):
        try:
            samples, others = group(index(path))
        except ShardError as error:
            skipped.append(str(error))
            continue
        ignored += others
        for key, files in samples.items():
            try:
                found.append(_sample(f"{path}: {key}", files))
            except ShardError as error:
                skipped.append(str(error))
    broken = unreadable([image for image, _ in found], workers, run)
    found = [(image, name) for image, name in found if image not in broken]
    skipped += broken.values()
    if skipped and strict:
        raise DataError(f"--strict refuses: {first_of(skipped)}")
    classes, train, held_out = _split(found, paths)
    return Data(Path(paths[0]).resolve().parent.name, classes, train, held_out, tuple(skipped), ignored)


def find(patterns: Sequence[str]) -> list[str]:
    """The files that the patterns name, in their order, each once; what * and ? match is sorted."""
    found: list[str] = []
    for path in (path for pattern in patterns for path in expand(pattern)):
        matches = [path] if os.path.isfile(path) else sorted(filter(os.path.isfile, glob.glob(path)))
        if not matches:
            raise DataError(
                f"No file matches {path}. Shards are tar files on this machine, such as data/train-000.tar, and are named "
                "with braces and *: 'data/train-{000..009}.tar', 'data/{train,val}-*.tar'."
            )
        found += matches
    if not found:
        raise DataError("No shards are given. Name some: 'data/train-{000..009}.tar'.")
    return list(dict.fromkeys(found))


def expand(pattern: str) -> list[str]:
    """A pattern without its braces, as shells expand it: {08..10} is 08, 09 and 10, {a,b} is a and b."""
    match = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    first, last, names = match.groups()
    choices = names.split(",") if names else [f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1)]
    return [path for choice in choices for path in expand(pattern[: match.start()] + choice + pattern[match.end() :])]


def index(path: str) -> list[Member]:
    """All files in a tar, in their order. ShardError if it is truncated or damaged, DataError if it is no tar."""
    members: list[Member] = []
    with open(path, "rb") as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for info in tar:
                    if info.isreg():
                        members.append(Member(path, info.offset_data, info.size, info.name))
                file.seek(tar.offset)  # tarfile stops without a word at the zeros that end a tar, and at damage
                whole = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
        except tarfile.TarError as error:
            if not members:
                raise _not_a_tar(path) from error
            whole = False
    if not whole:
        last = f"in or after {members[-1].name}, file {len(members):,} of it" if members else "at its start"
        raise ShardError(f"{path} is truncated or damaged, {last}. Nothing in it is used; write or copy it again.")
    return members


def _not_a_tar(path: str) -> DataError:
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return DataError(f"{path} is compressed with gzip, and has no offsets to read at. Decompress it: gunzip {path}")
    return DataError(f"{path} is not a tar file.")


def group(members: Sequence[Member]) -> tuple[dict[str, dict[str, Member]], int]:
    """Of each key its images and labels by their suffix in lower case, and how many files are neither."""
    samples: dict[str, dict[str, Member]] = {}
    ignored = 0
    for member in members:
        match = re.fullmatch(r"((?:.*/)?[^./]+)\.([^/]*)", member.name)
        if match and (suffix := match[2].lower()) in IMAGES | LABELS:
            samples.setdefault(match[1], {})[suffix] = member
        else:
            ignored += 1
    return samples, ignored


def _sample(where: str, files: dict[str, Member]) -> tuple[Member, str]:
    """The image and the name of its class."""
    images = [member for suffix, member in files.items() if suffix in IMAGES]
    if len(images) != 1:
        raise ShardError(f"{where} has {len(images)} images, and 1 is expected; there is {', '.join(files)}.")
    name = _class(where, files, PurePosixPath(images[0].name).parent.name)
    return images[0], name


def _class(where: str, files: dict[str, Member], folder: str) -> str:
    label: object = None
    try:
        if "cls" in files:
            label = files["cls"].read().decode().strip()
        elif "json" in files:
            fields = json.loads(files["json"].read())
            label = fields.get("label") if isinstance(fields, dict) else None
    except ValueError as error:
        raise ShardError(f"{where} has an unreadable label: {error}.") from error
    name = folder if label is None else label
    if not isinstance(name, (int, str)) or name == "":
        what = f"the label {name!r}" if name else "no label"
        raise ShardError(
            f"{where} has {what}. A class is a number or a name: in .cls, as 'label' in .json, or the folder of the image."
        )
    return str(name)


def _split(found: Sequence[tuple[Member, str]], paths: Sequence[str]) -> tuple[tuple[str, ...], list[Sample], list[Sample]]:
    """Classes, samples to train on, and samples to hold out."""
    counts = Counter(name for _, name in found)
    classes = sorted(counts, key=int if all(map(str.isdecimal, counts)) else None)
    if len(classes) < 2:
        raise DataError(f"{', '.join(paths)}: {len(classes)} classes, {classes}, and 2 is the least.")
    number = {name: label for label, name in enumerate(classes)}
    samples = [Sample(image, number[name]) for image, name in found]
    if not any(map(_is_val, paths)):
        if few := [name for name, count in counts.items() if count < 2]:
            raise DataError(
                f"Class {few[0]} has 1 readable image, and 2 is the least. Add some, or val-* shards, or remove it."
            )
        return tuple(classes), *hold_out(samples)
    train, val = ([s for s, (image, _) in zip(samples, found) if _is_val(image.tar) == part] for part in (False, True))
    if others := {s.label for s in train} ^ {s.label for s in val}:
        names = ", ".join(classes[label] for label in sorted(others))
        raise DataError(f"train-* and val-* shards hold different classes: {names}.")
    return tuple(classes), train, val


def _is_val(path: str) -> bool:
    return Path(path).name.startswith("val-")


def _check_not_mixed(paths: Sequence[str]) -> None:
    others = [path for path in paths if not Path(path).name.startswith(("train-", "val-"))]
    if others and any(map(_is_val, paths)):
        raise DataError(f"Beside val-* shards only train-* are expected, and there is {others[0]}. Name what to train on.")
