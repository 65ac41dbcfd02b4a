"""Which folders of a folder are trained on and held out: its train and val, or all of them as classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from .assembly import some
from .errors import DataError
from .splits import choose_held_out, parts_of, words_in
from .walk import find_images, list_folder


class Parts(NamedTuple):
    """Folders of class folders: to train on, to hold out (None: a share of the first), and what there is to say of them."""

    train: Path
    held_out: Path | None
    notes: list[str]


def find_parts(root: Path, val: Path | None = None) -> Parts:
    """The parts of a folder: those that are spelled like train and val, or else itself.

    What is spelled like one part alone, and holds images itself, is a class.

    - `val`: the folder to hold out, if it is chosen.
    """
    folders = [path.name for path in list_folder(root).folders]
    spelled = parts_of(folders)
    content = {name: list_folder(root / name) for name in spelled}
    if len({*spelled.values()}) < 2 and not any(files.folders and not files.images for files in content.values()):
        return Parts(root, val, _class_notes(root, folders, spelled))
    names = defaultdict(list)
    for name, part in spelled.items():
        if content[name].folders:
            names[part].append(name)
    if not names:
        raise _without_class_folders(root, folders, spelled)
    notes = _check_others(root, folders, spelled, names)
    part, choice = choose_held_out(_with_counts(root, names), str(root))
    if val is not None:
        others = [name for name in names["val"] + names["test"] if not (root / name).samefile(val)]
        part, choice = "", [f"Left alone, since {val} is held out: {_with_count(root / name)}." for name in others]
    for one_of in filter(None, ("train", part)):
        if len(names[one_of]) > 1:
            raise DataError(
                f"{root} holds {' and '.join(names[one_of])}, which both are spelled like {one_of}. Leave one there."
            )
    held_out = root / names[part][0] if part else val
    return Parts(root / names["train"][0], held_out, choice + notes)


def _with_counts(root: Path, names: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The names of the parts, of a test that is left alone with how many images it holds."""
    shown = {part: [*of_part] for part, of_part in names.items()}
    if {"train", "val", "test"} <= {*names}:
        shown["test"] = [_with_count(root / name) for name in names["test"]]
    return shown


def _with_count(folder: Path) -> str:
    return f"{folder.name}, {len(find_images(folder).images):,} images"


def _check_others(
    root: Path, folders: Collection[str], spelled: Mapping[str, str], names: Mapping[str, list[str]]
) -> list[str]:
    """What there is to say of folders beside the parts; DataError if they may be classes, or are to be trained on."""
    notes = []
    parts = {name: part for part, of_part in names.items() for name in of_part}
    for name in folders:
        if name in parts:
            continue
        images = len(find_images(root / name).images)
        if spelled.get(name) == "train":
            raise DataError(
                f"{root / name} holds {images:,} images, and no class folders. Sort what is to be trained on into class "
                f"folders: {root / name}/cat/1.jpg."
            )
        if not images:
            notes.append(f"Left alone, since it holds no images: {name}.")
        elif name in spelled or ("train" in names and len(names) > 1 and not list_folder(root / name).folders):
            notes.append(f"Left alone, since its {images:,} images are in no class folders: {name}.")
        else:
            readings = " and ".join(f"{part_name} as {part}" for part_name, part in parts.items())
            raise DataError(
                f"{root} is mixed, and can be read in two ways: {readings}, and then move {name} elsewhere; or "
                f"{some(folders)} as classes, and then {_rename(spelled)}."
            )
    return notes


def _class_notes(root: Path, folders: Collection[str], spelled: Collection[str]) -> list[str]:
    """What there is to say of classes that are spelled like parts; DataError if all may be parts."""
    words = [words_in(name) for name in folders]
    if spelled and len(spelled) == len(folders):
        raise _without_class_folders(root, folders, spelled)
    if all(words) and "train" in set().union(*words) and len(set().union(*words)) > 1:
        raise DataError(
            f"{root} holds {some(folders)}, which can be read in two ways: as parts, and then call them train and val; or as "
            f"classes, and then {_rename(folders)}."
        )
    return [f"Read as a class, since it holds images itself: {', '.join(spelled)}."] if spelled else []


def _without_class_folders(root: Path, folders: Collection[str], spelled: Collection[str]) -> DataError:
    expected = f"{root}/train/cat/1.jpg, {root}/val/cat/2.jpg; or a CSV file of the classes, with --labels"
    classes = f" If they are classes, {_rename(spelled)}." if len(folders) > 1 else ""
    return DataError(
        f"{root} holds {' and '.join(spelled)}, and no class folders in {'it' if len(spelled) == 1 else 'them'}. What is "
        f"expected: {expected}.{classes}"
    )


def _rename(names: Collection[str]) -> str:
    """What to do with names of classes that have the words of parts."""
    return f"rename {some(names)}, such as to class_1" + (" and class_2" if len(names) > 1 else "")
