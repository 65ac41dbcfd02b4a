"""The name that was meant, where somebody wrote another: a slip, another spelling, or another library's word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

LEAST_LIKENESS = 0.6
OTHER_WORDS = {  # torch's, timm's, Keras', fastai's and ultralytics' -> ours, all in small letters and digits alone
    "swish": "silu", "hswish": "hardswish", "hsigmoid": "hardsigmoid", "xavier": "xavieruniform", "kaiming": "kaimingnormal",
    "outchannels": "size", "outfeatures": "size", "hiddensize": "size", "embeddingdim": "size", "numembeddings": "vocabulary",
    "p": "rate", "act": "activation", "nonlinearity": "activation", "normalizedshape": "dim", "normeps": "eps",
    "actlayer": "act", "activation": "act", "droprate": "dropout", "droppathrate": "dropconnect", "droppath": "dropconnect",
    "stochasticdepthprob": "dropconnect", "survivalprob": "dropconnect", "inchans": "inchannels",
    "learningrate": "lr", "lr0": "lr", "bs": "batchsize", "imgsz": "resolution", "imgsize": "resolution",
    "imagesize": "resolution", "inputsize": "resolution", "checkpoint": "weights", "pretrained": "weights",
    "arch": "variant network", "variant": "network", "format": "to", "k": "top", "topk": "top", "output": "out csv",
    "out": "csv", "numworkers": "workers", "wd": "weightdecay", "adam": "adamw", "smoothing": "labelsmoothing",
    "randomerasing": "erase", "reprob": "erase", "fp16": "bf16", "fit": "train", "val": "evaluate",
    "validate": "evaluate", "test": "evaluate", "infer": "predict", "inference": "predict", "env": "info", "doctor": "info",
    "gradcam": "explain", "interpret": "explain",
}  # fmt: skip


def nearest(
    name: str, names: Iterable[str], plain: Callable[[str], str] | None = None, likeness: float = LEAST_LIKENESS
) -> str | None:
    """The one of `names` that `name` means or is most like; None if it is like none.

    - `plain`: gives what counts of a name. Default: its letters, small, and its digits.
    - `likeness`: that of difflib, from 0 to 1, which is the least.
    """
    plain = plain or letters_and_digits
    by_plain = {plain(each): each for each in reversed([*names])}  # of two that are alike, the first
    word = plain(name)
    if word not in by_plain:
        word = next((ours for ours in OTHER_WORDS.get(word, "").split() if ours in by_plain), word)
    near = get_close_matches(word, by_plain, 1, likeness)
    return by_plain[near[0]] if near else None


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """A sentence that offers the one of `names` that is nearest to `name`; '' if it is like none."""
    near = nearest(str(name), map(str, names))
    return f"Did you mean {near!r}?" if near else ""


def choose_one(name: object, names: Iterable[object]) -> str:
    """What to write instead of `name`: the nearest of `names`, if there is one, and all that there are. No full stop."""
    names = list(names)
    return with_choices(did_you_mean(name, names), names)


def with_choices(offer: str, names: Iterable[object]) -> str:
    """An offer, which may be '', and all names that there are. No full stop."""
    choices = f"Choose one of {', '.join(map(str, names))}"
    return f"{offer} {choices}" if offer else choices


def letters_and_digits(name: str) -> str:
    """A name without what spellings differ in: 'Batch-Size' and 'batch_size' are 'batchsize'."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
