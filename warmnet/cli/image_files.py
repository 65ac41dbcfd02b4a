"""The image files that IMAGE... names: files, folders, patterns, and names on stdin."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from ..data.walk import Files, find_images, is_hidden, left_out_text, why_left_out
from ..errors import InputError
from .messages import warn

STDIN = "-"
BOM = b"\xef\xbb\xbf"  # at the start of texts that Windows wrote


def image_files(words: Iterable[str]) -> list[str]:
    """The files that the words name, in their order; an InputError for a folder, or a pattern, without images.

    A folder stands for the images anywhere below it, a pattern such as 'pets/**/*.jpg', which the shell has left as it is, for
    the images and folders that it matches, and - for the names on stdin, one a line or ended by NUL, as find -print0 gives
    them. Other files in folders are left out, which is said.
    """
    files: list[str] = []
    for word in words:
        files += _files_on_stdin() if word == STDIN else _files(word)
    return files


def _files(word: str) -> list[str]:
    """The files that one word names."""
    if not os.path.lexists(word):
        word = os.path.expanduser(word)
    if os.path.isdir(word):
        found, without = find_images(Path(word)), f"{word} holds no images"
    elif os.path.lexists(word) or not glob.has_magic(word):
        return [word]
    else:
        found, without = _matches(word), f"No image matches {word}"
    for message in found.broken:
        warn(message)
    if not found.images:
        others = f": {left_out_text(found.left_out)}" if found.left_out else ""
        raise InputError(f"{without}{others}.")
    if found.left_out:
        warn(f"{word}: left out: {left_out_text(found.left_out)}.")
    return [str(path) for path in found.images]


def _matches(pattern: str) -> Files:
    """The images that a pattern matches, and those anywhere below the folders that it matches."""
    found = Files()
    for name in _outermost(sorted(glob.glob(pattern, recursive=True))):
        path = Path(name)
        if path.is_dir():
            below = Files() if is_hidden(path.name) else find_images(path)
            found.images.update(below.images)
            found.broken += below.broken
            found.left_out += below.left_out
        elif reason := why_left_out(path):
            found.left_out[reason] += 1
        else:
            found.images[path] = os.path.realpath(path)
    return found


def _outermost(names: Collection[str]) -> list[str]:
    """The names without those of what is below a folder among them, which comes with it."""
    folders = {Path(name) for name in names if os.path.isdir(name)}
    return [name for name in names if folders.isdisjoint(Path(name).parents)]


def _files_on_stdin() -> list[str]:
    """The files that the names on stdin, which may be any bytes but those that end them, name; those in folders among them."""
    text = sys.stdin.buffer.read().removeprefix(BOM)
    end = b"\0" if b"\0" in text else b"\n"
    names = [_existing(os.fsdecode(name.rstrip(b"\r"))) for name in text.split(end) if name.strip()]
    if not names:
        raise InputError("No names of images came on stdin, one a line, as from: ls *.jpg | warmnet predict RUN -")
    files: list[str] = []
    for name in _outermost(names):
        files += _files(name) if os.path.isdir(name) else [name]
    return files


def _existing(name: str) -> str:
    """The name, or what it is without the blanks around it if only that is there."""
    return name.strip() if os.path.exists(name.strip()) and not os.path.lexists(name) else name
