"""The image files that IMAGE... names: files, folders, patterns, and names on stdin."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..data.walk import find_images, left_out_text, why_left_out
from ..errors import InputError
from .messages import warn

STDIN = "-"


def image_files(words: Iterable[str]) -> list[str]:
    """The files that the words name, in their order; an InputError for a folder, or a pattern, without images.

    A folder stands for the images anywhere below it, a pattern such as 'pets/**/*.jpg', which the shell has left as it is, for
    those that it matches, and - for the names on stdin, one a line or ended by NUL, as find -print0 gives them.
    """
    files: list[str] = []
    for word in words:
        files += _names_on_stdin() if word == STDIN else _files(word)
    return files


def _files(word: str) -> list[str]:
    """The files that one word names."""
    if os.path.isdir(word):
        found = find_images(Path(word))
        for message in found.broken:
            warn(message)
        if not found.images:
            others = f": {left_out_text(found.left_out)}" if found.left_out else ""
            raise InputError(f"{word} holds no images{others}.")
        return [str(path) for path in found.images]
    if os.path.lexists(word) or not glob.has_magic(word):
        return [word]
    files = sorted(path for path in glob.glob(os.path.expanduser(word), recursive=True) if _is_image(path))
    if not files:
        raise InputError(f"No image matches {word}.")
    return files


def _is_image(path: str) -> bool:
    return os.path.isfile(path) and not why_left_out(Path(path))


def _names_on_stdin() -> Iterator[str]:
    """The names on stdin, which may be any bytes but those that end them."""
    text = sys.stdin.buffer.read()
    end = b"\0" if b"\0" in text else b"\n"
    names = [os.fsdecode(name.rstrip(b"\r")) for name in text.split(end) if name.strip()]
    if not names:
        raise InputError("No names of images came on stdin, one a line, as from: ls *.jpg | warmnet predict RUN -")
    return iter(names)
