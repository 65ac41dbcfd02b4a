"""The words by which folders and files say that they are a part of a data set: train, val, test."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath

from .errors import DataError

WORDS = {
    "train": ("train", "training", "trainval"),
    "val": (
        "val",
        "valid",
        "validate",
        "validation",
        "dev",
        "holdout",
        "hold_out",
        "hold-out",
        "heldout",
        "held_out",
        "held-out",
    ),
    "test": ("test", "testing", "eval", "evaluation"),
}
_PARTS = {word: part for part, words in WORDS.items() for word in words}
_WORD = re.compile("|".join(_PARTS))
_KINDS = "set|split|dataset|data|images"  # what a word may be followed by
_ENDING = rf"[ _.-]*({_KINDS})?[ _.-]*\d*"  # training_set, test-split, val2017
_SPELLED = re.compile(f"({'|'.join(_PARTS)}){_ENDING}", re.IGNORECASE)


def part_of(name: str) -> str:
    """'train', 'val' or 'test' if a name is spelled like one of them, such as 'Training_set' or 'val2017'; else ''."""
    match = _SPELLED.fullmatch(name)
    return _PARTS[match[1].lower()] if match else ""


def parts_of(names: Collection[str]) -> dict[str, str]:
    """Of those names that say a part the part: 'val2017', or 'val_pets' beside 'train_pets'. DataError if one may be two parts.

    A name says a part if it is spelled like one, or if the word is all that it differs in from others, train among them,
    wherever the word stands. Case, numbers and what is between the words do not count.
    """
    parts = {name: {part} for name in names if (part := part_of(name))}
    frames: dict[str, dict[str, str]] = defaultdict(dict)  # 'pets' and the word's place: 'train_pets', 'val_pets'
    for name in names:
        for frame, part in _frames(name):
            frames[frame][name] = part
    for spelled in frames.values():
        if "train" in spelled.values() and len({*spelled.values()}) > 1:
            for name, part in spelled.items():
                parts.setdefault(name, set()).add(part)
    for name, several in parts.items():
        if len(several) > 1:
            raise DataError(
                f"{name} may be {' or '.join(sorted(several))}, by the names beside it. Rename it by one of the words."
            )
    return {name: part for name, (part,) in parts.items()}


def words_in(name: str) -> set[str]:
    """The parts whose words are in a name, as words of their own: {'train'} for 'imagenet1k-train-0001' or 'imagenetTrain'."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+", name)
    return {part for word in words if (part := part_of(word))}


def parts_in_folders(folders: Iterable[PurePath]) -> list[PurePath]:
    """The first folders that lie beside each other and are of different parts, such as cat/train and cat/val; or none."""
    beside: dict[PurePath, list[str]] = defaultdict(list)
    for folder in folders:
        beside[folder.parent].append(folder.name)
    for parent, names in beside.items():
        parts = parts_of(names)
        if len({*parts.values()}) > 1:
            return [parent / name for name in sorted(parts)]
    return []


def choose_held_out(names: Mapping[str, Sequence[str]], of: str) -> tuple[str, list[str]]:
    """Which of the parts is held out, 'val', 'test' or '', and what there is to say of it; DataError if there is no train.

    - `names`: what is spelled like each of the parts that there are.
    - `of`: what they are parts of, for messages.
    """
    spelled = {part: " and ".join(names_of_part) for part, names_of_part in names.items()}
    if "train" not in names:
        raise DataError(
            f"{of}: {' and '.join(spelled.values())} can be held out, and nothing is spelled like train. Name what to train on."
        )
    if "val" in names:
        return "val", [f"Left alone, beside {spelled['val']}: {spelled['test']}."] if "test" in names else []
    if "test" in names:
        return "test", [f"Held out, since there is no val: {spelled['test']}."]
    return "", [f"There is no val: a share of {spelled['train']} is held out."]


def _frames(name: str) -> list[tuple[str, str]]:
    """A name without each word of a part that is in it, in turn, with the word's place as a *; and the part.

    A word ends where no small letter follows: there is one in trainA and mytrain, but none in trainer.
    """
    frames: list[tuple[str, str]] = []
    if not _WORD.search(name.lower()):  # as most names, of which there may be millions
        return frames
    for word, part in _PARTS.items():
        for match in re.finditer(f"(?i:{word}({_KINDS})?)(?![a-z])", name):
            before, after = (re.sub(r"[\d\W_]+", "", text.lower()) for text in (name[: match.start()], name[match.end() :]))
            frames.append((f"{before}*{re.sub(f'^({_KINDS})', '', after)}", part))
    return frames
