"""Files written whole: at any moment there is the old one or the new one."""

from __future__ import annotations

import csv
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block has ended; whatever goes wrong before, `path` stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # writing, unlike opening, does not name the file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise InputError if `replacing` could not write that file, in a folder that is there or that it would make."""
    if path.is_dir():
        raise InputError(f"{path} is a folder. Name a file.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {folder}: {error.strerror}. Name a file elsewhere.") from error


def check_ending(path: Path, *endings: str) -> None:
    """Raise InputError if a file's name does not end as the format does that it is written in."""
    if not path.name.lower().endswith(endings):
        better = path.with_name(re.sub(r"\.[A-Za-z]\w*$", "", path.name) + endings[0])
        raise InputError(f"{path} does not end in {' or '.join(endings)}, the format that it is written in. Call it {better}.")


def write_pickle(content: Any, path: Path) -> None:
    """Write a file of torch.save; if that fails, the error is that of the disk, and not torch's of what followed from it."""
    with open(path, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write a table; names of files in it may hold bytes that are no text."""
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        csv.writer(file).writerows(rows)


def is_json(name: Any) -> bool:
    """Whether it is the name of a JSON file."""
    return isinstance(name, (str, Path)) and str(name).lower().endswith(".json")


def parse_json(text: str | bytes) -> Any:
    """What JSON text holds; a ValueError if it is not JSON, or is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_object(path: Path, what: str, example: str) -> dict[str, Any]:
    """The object that a JSON file of the user's holds. Raises InputError if it is none, or has a key twice.

    - `what`: it should hold, and an `example`, for messages.
    """
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=_once)
    except InputError as error:
        raise InputError(f"{path} {error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no {what}. Write an object, such as {example}.")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises InputError if a key is there twice."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"has {name!r} twice. Leave one of them out.")
    return dict(pairs)
