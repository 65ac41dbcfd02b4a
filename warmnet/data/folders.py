"""Data sets in folders of class folders; what is held out is in a folder `val`, or else decided by `samples.hold_out`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .decoding import decode
from .errors import DataError, first_of
from .samples import SUFFIXES, Data, Sample, hold_out


def folder(root: str | os.PathLike[str], strict: bool = False, workers: int = 0, run: Path | None = None) -> Data:
    """The images of a folder of class folders, or of its train and val, each a folder of the same class folders.

    Without val, the first of every five of a class, in the order of their names, is held out. Every image is decoded once, so
    that training does not end on an unreadable one: those are left out and named in `skipped`, or with `strict` an error.

    - `workers`: processes that read them; 0 is this one.
    - `run`: a run folder to go on with. Images that its split.csv has, and that did not change, are not decoded again.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder." if root.exists() else f"{root} does not exist.")
    has_val = {"train", "val"} <= {path.name for path in _folders(root)}
    parts = [root / "train", root / "val"] if has_val else [root]
    classes = _classes(root, parts)
    _check_not_mixed(root, has_val)
    files = [_image_files(part, classes) for part in parts]
    paths = [path for files_of_part in files for path, _ in files_of_part]
    facts, unreadable = decode(paths, root, workers, run)
    if unreadable and strict:
        raise DataError(f"unreadable image, which --strict refuses: {first_of(unreadable.values())}")
    samples = [[Sample(path, label) for path, label in files_of_part if path not in unreadable] for files_of_part in files]
    for part, samples_of_part in zip(parts, samples):
        _check_counts(part, classes, samples_of_part, least=1 if has_val else 2)
    train, held_out = samples if has_val else hold_out(samples[0])
    ignored = sum(path.is_file() for part in parts for path in part.rglob("*")) - len(paths)
    return Data(root.resolve().name, classes, train, held_out, tuple(unreadable.values()), ignored, facts)


def _classes(root: Path, parts: Sequence[Path]) -> tuple[str, ...]:
    """The names of the class folders, the same in all parts."""
    classes, *others = [[path.name for path in _folders(part)] for part in parts]
    if others and classes != others[0]:
        raise DataError(f"{root}: train and val hold different classes: {', '.join(sorted({*classes} ^ {*others[0]}))}.")
    if "train" in classes and {*classes} <= {"train", "test", "val", "valid", "validation"}:
        raise DataError(
            f"{root} holds {', '.join(classes)}. What is held out is expected in {root / 'val'}, beside {root / 'train'}."
        )
    if len(classes) < 2:
        raise DataError(
            f"{root} holds {len(classes)} class folders, {classes}, and 2 is the least. What is expected: "
            f"{root}/cat/1.jpg, {root}/dog/1.jpg, or the same below {root}/train and {root}/val."
        )
    return tuple(classes)


def _image_files(part: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    """The image files below each class folder, in the order of their names, with the number of the class."""
    files = []
    for label, name in enumerate(classes):
        for path in sorted((part / name).rglob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                files.append((path, label))
    return files


def _folders(path: Path) -> list[Path]:
    """The folders in `path` by name, without hidden ones and what archives leave."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _check_not_mixed(root: Path, has_val: bool) -> None:
    """Raise if there are images beside class folders, or class folders beside train and val."""
    images = [path.name for path in root.iterdir() if path.suffix.lower() in SUFFIXES]
    others = [path.name for path in _folders(root) if path.name not in ("train", "val", "test")]
    if images:
        content = f"images beside its class folders, such as {min(images)}"
    elif has_val and others:
        content = f"train and val beside {', '.join(others)}"
    else:
        return
    raise DataError(f"{root} is mixed: it holds {content}. Move them: each image's folder says its class.")


def _check_counts(part: Path, classes: Sequence[str], samples: Sequence[Sample], least: int) -> None:
    """Raise if a class has fewer images than `least`."""
    counts = Counter(label for _, label in samples)
    for label, name in enumerate(classes):
        if counts[label] < least:
            raise DataError(
                f"{part / name} holds {counts[label]} readable images, and {least} is the least. Add some, or remove it."
            )
