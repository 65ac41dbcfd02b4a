"""Which folders of a folder are trained on and held out: its train and val, or all of them as classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from .errors import DataError
from .splits import choose_held_out, parts_of
from .walk import find_images, list_folder


class Parts(NamedTuple):
    """Folders of class folders: to train on, to hold out (None: a share of the first), and what there is to say of them."""

    train: Path
    held_out: Path | None
    notes: list[str]


def find_parts(root: Path, val: Path | None = None) -> Parts:
    """The parts of a folder: those that are spelled like train and val and hold class folders, or else itself.

    - `val`: the folder to hold out, if it is chosen.
    """
    folders = {path.name: path for path in list_folder(root).folders}
    spelled = parts_of(folders)
    names = defaultdict(list)
    for name, part in spelled.items():
        if _holds_folders_alone(folders[name]):
            names[part].append(name)
    if not names:
        return Parts(root, val, _class_notes(root, folders, spelled))
    others = [name for name in folders if name not in sum(names.values(), [])]
    notes = _check_others(root, folders, spelled, others)
    part, choice = choose_held_out(names, str(root))
    if val is not None:
        part, choice = "", []
        for name in names["val"] + names["test"]:
            if not folders[name].samefile(val):
                choice.append(f"Left alone, since {val} is held out: {name}.")
    for one_of in filter(None, ("train", part)):
        if len(names[one_of]) > 1:
            raise DataError(
                f"{root} holds {' and '.join(names[one_of])}, which both are spelled like {one_of}. Leave one there."
            )
    held_out = folders[names[part][0]] if part else val
    return Parts(folders[names["train"][0]], held_out, choice + notes)


def _holds_folders_alone(folder: Path) -> bool:
    """Whether a folder holds folders, as a part does, and no images itself, as a class does."""
    files = list_folder(folder)
    return bool(files.folders) and not files.images


def _check_others(root: Path, folders: Mapping[str, Path], spelled: Mapping[str, str], others: Collection[str]) -> list[str]:
    """What there is to say of folders beside the parts; DataError if they may be classes, or hold images to train on."""
    notes = []
    for name in others:
        if spelled.get(name) == "train":
            raise DataError(
                f"{folders[name]} holds images that are in no class folder. Sort them into class folders, as beside it."
            )
        if name in spelled:
            notes.append(f"Left alone, since its images are in no class folders: {name}.")
        elif find_images(folders[name]).images:
            parts = [folder for folder in folders if folder not in others]
            raise DataError(
                f"{root} is mixed, and can be read in two ways: {' and '.join(parts)} as train or val, and then move {name} "
                f"elsewhere; or {', '.join(folders)} as classes, and then rename {parts[0]}, such as to {parts[0]}_."
            )
        else:
            notes.append(f"Left alone, since it holds no images: {name}.")
    return notes


def _class_notes(root: Path, folders: Collection[str], spelled: Collection[str]) -> list[str]:
    """What there is to say of classes that are spelled like parts; DataError if all are, since their classes are unknown."""
    if not spelled:
        return []
    if len(spelled) == len(folders):
        raise DataError(
            f"{root} holds {' and '.join(spelled)}, and no class folders in {'it' if len(spelled) == 1 else 'them'}. What is "
            f"expected: {root}/train/cat/1.jpg, {root}/val/cat/2.jpg; or a CSV file of the classes, with --labels."
        )
    return [f"Read as a class, since it holds images and no class folders: {', '.join(spelled)}."]
