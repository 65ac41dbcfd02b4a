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
from .assembly import Found, Labelled, assemble, check_same_classes, normalize, sort_classes
from .errors import DataError, ShardError
from .formats import image_suffixes
from .samples import Data
from .splits import choose_held_out, parts_in_folders, parts_of, words_in
from .tar_members import Member, list_members
from .walk import is_hidden, why_left_out

with extra("train"):
    from rich.progress import track

LABELS = ("cls", "label", "json", "txt")  # suffixes of files that say a class, the first of them that there is
AGAIN = "whose names come again later"
FIELDS = ("label", "cls", "class")  # of a .json that says a class


def shards(
    pattern: str | Sequence[str], *,
    val_share: float | None = None, strict: bool = False, workers: int = 0, run: Path | None = None,
) -> Data:  # fmt: skip
    """The images of tar shards such as 'data/train-{000..009}.tar' or 'data/*.tar', or of a list of such patterns.

    A sample is the files of one shard whose names agree up to the first dot: an image and its class, a number or a name, in
    `.cls`, `.label` or `.txt`, or as 'label', 'cls' or 'class' in `.json`; without one the class is the folder of the image's
    name. Classes are sorted, as numbers if all of them are.

    Shards whose names have the word val are held out beside those that have train: 'data/{train,val}-*.tar'. The words are
    those of folders, such as validation. Without them, the first of every five of a class is held out.

    Every image is decoded once, as by `folder`. Damaged shards, samples without an image or a class, and unreadable images are
    left out and named in `skipped`, or with `strict` an error. `val_share`, `workers` and `run` are `folder`'s.

    >>> import io, tarfile, tempfile
    >>> from PIL import Image
    >>> from warmnet import training
    >>> path = tempfile.mkdtemp() + '/pets-000.tar'
    >>> with tarfile.open(path, 'w') as tar:
    ...     for n, name in enumerate(['cat', 'cat', 'dog', 'dog']):
    ...         Image.new('RGB', (32, 32), (n, 0, 0)).save(png := io.BytesIO(), 'png')
    ...         for suffix, content in ('png', png.getvalue()), ('cls', name.encode()):
    ...             member = tarfile.TarInfo(f'{n}.{suffix}')
    ...             member.size = len(content)
    ...             tar.addfile(member, io.BytesIO(content))
    >>> data = training.shards(path)
    >>> data.classes, len(data.train), len(data.held_out)
    (('cat', 'dog'), 2, 2)
    """
    paths = find_shards([pattern] if isinstance(pattern, str) else pattern)
    parts, held_out, notes = _choose_parts(paths)
    found = Found((), [], parts=(", ".join(paths[:3]), ""), notes=notes)
    if held_out:
        found.parts = ("the train shards", f"the {held_out} shards")
    found.train = _read_shards([path for path in paths if not held_out or parts[path] == "train"], found)
    if held_out:
        found.held_out = _read_shards([path for path in paths if parts[path] == held_out], found)
    found.classes = sort_classes(name for _, name in found.train)
    if found.held_out is not None:
        check_same_classes(found.parts, found.classes, (name for _, name in found.held_out))
    root = Path(os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths]))
    return assemble(root, found, val_share, strict, workers, run)


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


def _choose_parts(paths: Sequence[str]) -> tuple[dict[str, str], str, list[str]]:
    """The part of each shard, by its name or its folder's; which of them is held out; and what there is to say of it."""
    names = {path: Path(path).name.removesuffix(".tar") for path in paths}
    folders = {path: Path(path).absolute().parent.name for path in paths}
    of_names, of_folders = parts_of(set(names.values())), parts_of(set(folders.values()))
    words = {path: words_in(name) for path, name in names.items()}
    parts = {}
    for path in paths:
        word = min(words[path]) if len(words[path]) == 1 else ""
        parts[path] = of_names.get(names[path]) or word or of_folders.get(folders[path], "")
    others = [path for path, part in parts.items() if not part]
    if others and (any(parts.values()) or len(set(map(frozenset, words.values()))) > 1):
        another = next(path for path in paths if parts[path] or words[path] != words[others[0]])
        raise DataError(
            f"Some shards may be parts, such as {another}, and of {others[0]} it is not clear whether it is train, val or "
            f"test: its name has none of these words, or several. Rename it, or name one part alone."
        )
    if len(set(parts.values())) < 2:  # no words, or one part by itself, which is divided
        return parts, "", []
    counts = Counter(parts.values())
    shown = {part: [f"the {part} shards"] for part in counts}
    if {"train", "val", "test"} <= {*counts}:
        shown["test"] = [f"the test shards, {counts['test']:,} of them"]
    held_out, notes = choose_held_out(shown, ", ".join(paths[:3]))
    return parts, held_out, notes


def _read_shards(paths: Sequence[str], found: Found) -> list[Labelled]:
    """The images of shards of one part, with their classes; what is to be said of the rest goes to `found`."""
    labelled: list[Labelled] = []
    folders: set[PurePosixPath] = set()
    for path in track(paths, "reading shards", transient=True, disable=not sys.stdout.isatty()):
        try:
            members = list_members(path, found.left_out)
        except ShardError as error:
            found.skipped.append(str(error))
            continue
        for folder in {member.name.rpartition("/")[0] for member in members}:
            folders |= {PurePosixPath(folder), *PurePosixPath(folder).parents}
        for key, files in _group(members, found.left_out).items():
            try:
                labelled.append(_image_and_class(f"{path}: {key}", files))
            except ShardError as error:
                found.skipped.append(str(error))
    mixed = parts_in_folders(folders)
    if mixed:
        raise DataError(
            f"{', '.join(paths[:3])}: inside are {' and '.join(map(str, mixed))}, which are parts of a data set. Write them "
            f"into shards of their own, train-000.tar and val-000.tar, or unpack them and name the folder."
        )
    return labelled


def _group(members: Sequence[Member], left_out: Counter[str]) -> dict[str, dict[str, Member]]:
    """Of each key its images and labels by their suffix in lower case; what is neither is counted.

    A key ends at the first dot of a name. Of an image that has other suffixes than these, and no sample, at the last one:
    of cat/10.30.jpg, but not of 7.mask.png beside 7.jpg.
    """
    samples: dict[str, dict[str, Member]] = {}
    dotted: list[tuple[str, PurePosixPath, Member]] = []
    for member in members:
        path = PurePosixPath(member.name)
        name, _, suffix = path.name.partition(".")
        key, suffix = str(path.with_name(name or path.name)), suffix.lower()
        hidden = [folder for folder in path.parts[:-1] if is_hidden(folder) and folder != ".."]
        if hidden:
            left_out[f"in {hidden[0]}"] += 1
        elif name and (suffix in LABELS or f".{suffix}" in image_suffixes()):
            files = samples.setdefault(key, {})
            if suffix in files:
                left_out[AGAIN] += 1
            files[suffix] = member
        elif reason := why_left_out(path):
            left_out[reason] += 1
        else:
            dotted.append((key, path, member))
    for key, path, member in dotted:
        if key in samples:
            left_out[f"{path.suffix} beside the image of a sample"] += 1
        else:
            whole = str(path.with_suffix(""))
            if whole in samples:
                left_out[AGAIN] += 1
            samples[whole] = {path.suffix[1:].lower(): member}
    for key in [key for key, files in samples.items() if [*files] == ["txt"]]:  # a README
        del samples[key]
        left_out[".txt"] += 1
    return samples


def _image_and_class(key: str, files: dict[str, Member]) -> tuple[Member, str]:
    """The image and the name of its class; ShardError if there is none, or there are several."""
    images = [member for suffix, member in files.items() if suffix not in LABELS]
    if len(images) != 1:
        raise ShardError(f"{key} has {len(images)} images, and 1 is expected; there is {', '.join(files)}.")
    folder = PurePosixPath(images[0].name).parent.name
    name = _label(key, files)
    if name is None:
        name = folder
    if isinstance(name, float) and name.is_integer():  # 3.0, as pandas writes whole numbers beside missing ones
        name = int(name)
    if not isinstance(name, (int, str)) or name == "":
        content = f"the label {name!r}" if name else "no label"
        raise ShardError(
            f"{key} has {content}; there is {', '.join(files)}. A class is a number or a name: in .cls, .label or .txt, as "
            f"'label', 'cls' or 'class' in .json, or the folder of the image."
        )
    return images[0], normalize(str(name))


def _label(key: str, files: dict[str, Member]) -> object:
    """What the first label file of a sample holds; None if there is none, or a .json without a label."""
    for suffix in LABELS:
        if suffix not in files:
            continue
        try:
            if suffix != "json":
                return files[suffix].read().decode("utf-8-sig").strip()
            fields = json.loads(files[suffix].read())
        except ValueError as error:
            raise ShardError(f"{key} has an unreadable label, {suffix}: {error}.") from error
        for field in FIELDS:
            if isinstance(fields, dict) and fields.get(field) is not None:
                return fields[field]
    return None
