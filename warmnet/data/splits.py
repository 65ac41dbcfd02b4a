"""The words by which folders and files say that they are a part of a data set: train, val, test."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence

from .errors import DataError

WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_ENDING = r"[ _.-]*(set|split|data|dataset|images)?[ _.-]*\d*"  # training_set, test-split, val2017


def part_of(name: str) -> str:
    """'train', 'val' or 'test' if a name is spelled like one of them, such as 'Training_set' or 'val2017'; else ''."""
    for part, words in WORDS.items():
        if re.fullmatch(f"({'|'.join(words)}){_ENDING}", name, re.IGNORECASE):
            return part
    return ""


def parts_of(names: Collection[str]) -> dict[str, str]:
    """Of those names that are spelled like parts the part; what all begin with does not count if it ends with _ - or a dot."""
    parts = {name: part_of(name) for name in names}
    if not any(parts.values()) and len(parts) > 1:
        beginning = re.sub(r"[^ _.-]*$", "", os.path.commonprefix(list(names)))
        without = {name: part_of(name.removeprefix(beginning)) for name in names}
        if "train" in without.values() and len(set(without.values()) - {""}) > 1:  # seg_train and seg_test
            parts = without
    return {name: part for name, part in parts.items() if part}


def part_in(name: str) -> str:
    """The part whose word is in a name, such as 'imagenet1k-train-0001'; '' if there is none, or several."""
    found = {part_of(word) for word in re.findall("[a-z]+", name.lower())} - {""}
    return found.pop() if len(found) == 1 else ""


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
