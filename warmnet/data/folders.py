"""Data sets in folders of class folders, or in parts of them: train and val."""

from __future__ import annotations

import os
from pathlib import Path

from .assembly import Found, Labelled, assemble, check_same_classes, normalize
from .errors import DataError
from .label_files import read_labels
from .parts import find_parts
from .samples import Data
from .splits import part_of, parts_in_folders
from .walk import Files, find_images, list_folder


def folder(
    root: str | os.PathLike[str], *,
    val: str | os.PathLike[str] | None = None, val_share: float | None = None, labels: str | os.PathLike[str] | None = None,
    strict: bool = False, workers: int = 0, run: Path | None = None,
) -> Data:  # fmt: skip
    """The images of a folder with a folder for each class; or with train and val, each of which has a folder for each class.

    The parts may be spelled like training, validation, test or val2017. Without val, test is held out, or else the first of
    every five of a class, in the order of their names. Every image is decoded once, so that training does not end on an
    unreadable one: those are left out and named in `skipped`; with `strict` they raise ImageError. Raises DataError for a
    folder that has no classes, or that can be read in two ways.

    - `val`: another folder of the same class folders, to hold out.
    - `val_share`: the share of each class to hold out, below 1. Default: 0.2. With 0 all is in `train`, to be evaluated.
    - `labels`: a CSV file with the columns file and label; then the folders in `root` say nothing of classes.
    - `workers`: processes that read images; 0 is this one.
    - `run`: a run folder to go on with. Images that its split.csv has, and that did not change, are not decoded again.

    >>> import os, tempfile
    >>> from PIL import Image
    >>> from warmnet import training
    >>> root = tempfile.mkdtemp()
    >>> for name in 'cat/1.png', 'cat/2.png', 'dog/3.png', 'dog/4.png':
    ...     os.makedirs(os.path.dirname(f'{root}/{name}'), exist_ok=True)
    ...     Image.new('RGB', (32, 32), (80 * len(name), len(os.listdir(f'{root}/{name[:3]}')), 0)).save(f'{root}/{name}')
    >>> data = training.folder(root)
    >>> data.classes, len(data.train), len(data.held_out)
    (('cat', 'dog'), 2, 2)
    """
    root = _existing(root, run)
    if labels is None:
        found = _read_class_folders(root, None if val is None else _existing(val))
    elif val is None:
        found = read_labels(root, _find_labels(root, Path(labels).expanduser()))
    else:
        raise DataError(f"{labels} says the classes, and {val} is a folder of classes. Say what is held out in a column split.")
    return assemble(root, found, val_share, strict, workers, run)


def _existing(root: str | os.PathLike[str], run: Path | None = None) -> Path:
    path = Path(root).expanduser()
    if not os.fspath(root):
        raise DataError("The name of a folder is empty. If it was a shell's variable, it is not set.")
    if path.is_dir():
        return path
    if path.exists():
        raise DataError(f"{path} is not a folder. Unpack it, if it is an archive, or name the folder that it is in.")
    moved = f" If it was moved, name where it is now: warmnet train FOLDER --resume --out {run}." if run else ""
    raise DataError(f"{path} does not exist.{moved}")


def _find_labels(root: Path, labels: Path) -> Path:
    """The CSV file, which may lie in the folder that it is of, too."""
    return root / labels if not labels.exists() and (root / labels).exists() else labels


def _read_class_folders(root: Path, val: Path | None) -> Found:
    """The images of the class folders in a folder, or in its parts, with their classes."""
    parts = find_parts(root, val)
    train, held_out = parts.train, parts.held_out
    if val is not None:
        if find_parts(val).train != val:
            raise DataError(f"{val} holds parts of a data set. Name the one to hold out: a folder of class folders.")
        if val.samefile(train):
            raise DataError(f"{val} is to be held out, and trained on. Hold out another folder, or leave out --val.")
    class_folders = _class_folders(train)
    found = Found(tuple(class_folders), [], parts=(str(train), str(held_out)), notes=[*parts.notes, *_similar(class_folders)])
    owners: dict[str, Path] = {}
    if root != train:
        beside = list_folder(root)
        _add_others(found, beside)
        if beside.images:
            found.left_out["images beside the parts"] += len(beside.images)
    found.train += _label_images(train, class_folders, found, owners)
    if held_out is not None:
        held_out_folders = _class_folders(held_out)
        check_same_classes(found.parts, class_folders, held_out_folders)
        found.held_out = _label_images(held_out, held_out_folders, found, owners)
    return found


def _class_folders(part: Path) -> dict[str, Path]:
    """The class folders in a folder by the names of their classes, in the order of the names."""
    files = list_folder(part)
    _check_class_folders(part, files)
    folders: dict[str, Path] = {}
    for path in files.folders:
        name = normalize(path.name)
        if name in folders:
            raise DataError(f"{part} holds two folders called {name}, in two Unicode forms. Move their images into one.")
        folders[name] = path
    return dict(sorted(folders.items()))


def _check_class_folders(part: Path, files: Files) -> None:
    """Raise if there are not at least two class folders in a folder, or images beside them."""
    if files.images and files.folders:
        raise DataError(
            f"{part} is mixed: it holds images beside its class folders, such as {min(files.images).name}. Move them: each "
            f"image's folder says its class."
        )
    if len(files.folders) > 1:
        return
    content = f"{len(files.folders)} class folders, {[path.name for path in files.folders]}, and 2 is the least"
    if files.images:
        cure = f"It holds {len(files.images):,} images: sort them by class, or name their classes in a CSV file, with --labels"
    elif len(files.folders) == 1 and len(list_folder(files.folders[0]).folders) > 1:
        cure = f"If the folders in it are the classes, or train and val, name it: {files.folders[0]}"
    elif ".tar" in files.left_out:
        cure = f"Shards are named themselves: '{part}/*.tar'"
    else:
        cure = f"What is expected: {part}/cat/1.jpg, {part}/dog/1.jpg"
        cure += "" if part_of(part.name) else f", or the same below {part}/train and {part}/val"
    raise DataError(f"{part} holds {content}. {cure}.")


def _check_no_parts(part: Path, images_of: dict[Path, Files]) -> None:
    """Raise if classes hold train and val, instead of they the classes.

    - `images_of`: what is below each class folder.
    """
    for class_folder, files in images_of.items():
        folders = parts_in_folders(files.folders)
        if not folders:
            continue
        names = " and ".join(folder.name for folder in folders)
        if sum(bool(others.images) for others in images_of.values()) == 1:
            raise DataError(f"{folders[0].parent} holds {names}. If these are the parts, name the folder that they are in.")
        places = ", ".join(str(part / folder.name / class_folder.name) for folder in folders)
        raise DataError(f"{folders[0].parent} holds {names}. Put the classes into the parts: {places}.")


def _label_images(part: Path, class_folders: dict[str, Path], found: Found, owners: dict[str, Path]) -> list[Labelled]:
    """The images below each class folder with their classes; what is left out of them is added to `found`.

    - `owners`: the real paths of images that are taken, and where they were found; DataError if one is reached twice.
    """
    _add_others(found, list_folder(part))
    labelled: list[Labelled] = []
    images_of = {path: find_images(path) for path in class_folders.values()}
    _check_no_parts(part, images_of)
    for name, path in class_folders.items():
        _add_others(found, images_of[path])
        for image, real in images_of[path].images.items():
            if real in owners:
                raise DataError(
                    f"{image} and {owners[real]} are one file, reached by a link: it cannot be of two classes or parts. "
                    f"Remove the link."
                )
            owners[real] = image
            labelled.append((image, name))
    return labelled


def _add_others(found: Found, files: Files) -> None:
    """Add to `found` what there is beside images."""
    found.left_out += files.left_out
    found.skipped += files.broken


def _similar(classes: dict[str, Path]) -> list[str]:
    """A note if there are classes whose names differ in case only."""
    spellings: dict[str, list[str]] = {}
    for name in classes:
        spellings.setdefault(name.casefold(), []).append(name)
    pairs = [" and ".join(names) for names in spellings.values() if len(names) > 1]
    return [f"Classes that differ in case only: {', '.join(pairs[:3])}."] if pairs else []
