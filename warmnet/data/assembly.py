"""A data set of images whose classes are known: decoded once, counted, and a share of them held out."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .decoding import decode
from .errors import DataError, first_of
from .modes import darkness
from .samples import SHARE, Data, Sample, hold_out
from .tar_members import Member
from .walk import left_out_text

Labelled = tuple[Path | Member, str]  # an image and the name of its class


@dataclass
class Found:
    """Images with the names of their classes, before they are decoded.

    - `classes`: in the order of their labels.
    - `held_out`: None if a share of `train` is to be.
    - `parts`: what the two are called in messages.
    - `skipped`, `left_out`, `notes`: see `Data`.
    """

    classes: tuple[str, ...]
    train: list[Labelled]
    held_out: list[Labelled] | None = None
    parts: tuple[str, str] = ("train", "val")
    skipped: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def assemble(root: Path, found: Found, val_share: float | None, strict: bool, workers: int, run: Path | None) -> Data:
    """The data set of what was found; DataError if a class has too few images, or `strict` refuses some.

    - `root`: the folder that all is in, whose name is the data set's.
    - `val_share`, `strict`, `workers`, `run`: see `folder`.
    """
    _check_names(found)
    _check_share(found, val_share)
    labelled = [*found.train, *(found.held_out or [])]
    facts, unreadable = decode([image for image, _ in labelled], root, workers, run)
    skipped = [*found.skipped, *unreadable.values()]
    if skipped and strict:
        raise DataError(f"--strict refuses images that cannot be used: {first_of(skipped)}")
    label = {name: number for number, name in enumerate(found.classes)}
    train = [Sample(image, label[name]) for image, name in found.train if image not in unreadable]
    held_out: list[Sample] = []
    if found.held_out is None and val_share == 0:
        _check_counts(found, found.parts[0], train, least=1)
    elif found.held_out is None:
        _check_counts(found, found.parts[0], train, least=2)
        train, held_out = hold_out(train, SHARE if val_share is None else val_share)
    else:
        held_out = [Sample(image, label[name]) for image, name in found.held_out if image not in unreadable]
        for part, samples in zip(found.parts, (train, held_out)):
            _check_counts(found, part, samples, least=1)
    dark = darkness([image.brightest for image in facts.values() if image.brightest])
    notes = (*found.notes, *filter(None, [dark]))
    return Data(root.resolve().name, found.classes, train, held_out, tuple(skipped), dict(found.left_out), notes, facts)


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """The names once each, sorted; as numbers if all of them are."""
    unique = {*names}
    return tuple(sorted(unique, key=int if all(map(str.isdecimal, unique)) else None))


def check_same_classes(parts: tuple[str, str], train: Iterable[str], held_out: Iterable[str], cure: str = "") -> None:
    """Raise a DataError if the classes of one part are not those of the other.

    - `cure`: what else one can do. Default: to train on the first part.
    """
    train, held_out = {*train}, {*held_out}
    only_train, only_held_out = sorted(train - held_out), sorted(held_out - train)
    if not only_train and not only_held_out:
        return
    lower = {name.casefold(): name for name in only_train}
    pairs = [(lower[name.casefold()], name) for name in only_held_out if name.casefold() in lower]
    if pairs:
        one, other = pairs[0]
        raise DataError(f"The class {one} of {parts[0]} is spelled {other} in {parts[1]}. Spell classes alike in both.")
    alone = [f"{some(names)} in {part} alone" for part, names in zip(parts, (only_train, only_held_out)) if names]
    raise DataError(
        f"{parts[0]} and {parts[1]} hold different classes: {'; '.join(alone)}. Both need images of each class; or else "
        f"{cure or f'train on {parts[0]} by itself, of which a share is held out'}."
    )


def normalize(name: str) -> str:
    """A name in Unicode's composed form: macOS and Linux may write the same letters as different characters."""
    return unicodedata.normalize("NFC", name)


def _check_names(found: Found) -> None:
    """Raise if there are less than two classes, or one whose name no file can hold as a line of text."""
    if len(found.classes) < 2:
        unusable = f" What cannot be used: {first_of(found.skipped)}" if found.skipped else ""
        raise DataError(
            f"{found.parts[0]}: {len(found.classes)} classes, {list(found.classes)}, and 2 is the least."
            f"{_left_out(found)}{unusable}"
        )
    for name in found.classes:
        kinds = {unicodedata.category(character) for character in name}
        if "Cs" in kinds:
            raise DataError(f"{found.parts[0]}: the class {name!r} is not UTF-8. Rename it, in UTF-8.")
        if "Cc" in kinds:
            raise DataError(f"{found.parts[0]}: the class {name!r} has control characters. Rename it.")


def _check_share(found: Found, val_share: float | None) -> None:
    """Raise if there is no such share, or nothing to take it of."""
    if not val_share:
        return
    if found.held_out is not None:
        raise DataError(
            f"{found.parts[1]} is held out already, and not a share of {val_share:g}. Leave out the share, or "
            f"train on {found.parts[0]} alone, of which it is taken."
        )
    if not 0 < val_share < 1:
        raise DataError(f"The share to hold out is {val_share:g}. It is at least 0, none, and below 1, such as {SHARE}.")


def _check_counts(found: Found, part: str, samples: Collection[Sample], least: int) -> None:
    """Raise if a class has fewer images than `least`."""
    counts = Counter(sample.label for sample in samples)
    for number, name in enumerate(found.classes):
        if counts[number] < least:
            raise DataError(
                f"{part}: the class {name} has {counts[number]} readable images, and {least} is the least. Add some, or "
                f"remove it.{_left_out(found)}"
            )


def _left_out(found: Found) -> str:
    """A sentence on what was left out, which may be what is missing."""
    return f" Left out: {left_out_text(found.left_out)}." if found.left_out else ""


def some(names: Collection[str]) -> str:
    """The first few of names, and how many more there are."""
    first = ", ".join([*names][:5])
    return first if len(names) <= 5 else f"{first} and {len(names) - 5} more"
