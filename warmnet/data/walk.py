"""What is an image below a folder, and what is left out and why: every file counts once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from .errors import DataError
from .formats import cure_of, image_suffixes

SYSTEM = {  # names that systems, archives, cameras and network drives leave behind, in lower case; others begin with a dot
    "#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "__macosx", "__pycache__",
    "lost+found", "lost.dir", "network trash folder", "recycler", "system volume information", "temporary items", "thmbnl",
    "desktop.ini", "ehthumbs.db", "icon\r", "thumbs.db",
}  # fmt: skip
REACHED = "links to what is there already"
MOST = 8  # kinds of files that a line names


@dataclass
class Files:
    """The files of a folder: images with their real paths, by name; links that lead nowhere; a count of the others by kind."""

    images: dict[Path, str] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def list_folder(folder: Path) -> Files:
    """What is in a folder itself, in the order of the names.

    Its folders are without those of the system, and without links to a folder that holds it.
    """
    files = Files()
    real = os.path.realpath(folder)
    for entry in sorted(_entries(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.is_symlink() and not os.path.exists(path):
            files.broken.append(f"{path} is a link to {os.readlink(path)}, which cannot be reached.")
        elif entry.is_dir():
            if is_hidden(entry.name):
                files.left_out[f"in {entry.name}"] += sum(len(names) for _, _, names in os.walk(path))
            elif _holds(os.path.realpath(path), real):
                files.left_out[REACHED] += 1
            else:
                files.folders.append(path)
        elif not entry.is_file():
            files.left_out["pipes or devices"] += 1
        elif reason := why_left_out(path):
            files.left_out[reason] += 1
        else:
            files.images[path] = os.path.realpath(path) if entry.is_symlink() else os.path.join(real, entry.name)
    return files


def find_images(folder: Path) -> Files:
    """All images and folders below a folder, in the order of their paths.

    Links are followed; what is reached twice counts once.
    """
    found = Files()
    _add_images(folder, found, {os.path.realpath(folder)})
    return found


def _add_images(folder: Path, found: Files, seen: set[str]) -> None:
    """Add what is below a folder; `seen` are the real paths of all files and folders that were found before."""
    files = list_folder(folder)
    found.broken += files.broken
    found.left_out += files.left_out
    for path in sorted([*files.images, *files.folders]):
        target = files.images.get(path) or os.path.realpath(path)
        if target in seen:
            found.left_out[REACHED] += 1
            continue
        seen.add(target)
        if path in files.images:
            found.images[path] = target
        else:
            found.folders.append(path)
            _add_images(path, found, seen)


def is_hidden(name: str) -> bool:
    """Whether a file or a folder is no part of a data set, by its name: hidden, or left behind by a system."""
    return name.startswith(".") or name.lower() in SYSTEM


def why_left_out(file: PurePath) -> str:
    """Why a file is no image, by its name: 'hidden', or its suffix; '' if it is one."""
    if is_hidden(file.name):
        return "hidden"
    suffix = file.suffix.lower()
    return "" if suffix in image_suffixes() else suffix or "without a suffix"


def left_out_text(left_out: Mapping[str, int]) -> str:
    """Counts of what was left out as words: '12 .txt, 3 .heic (convert them to JPEG)'; the most frequent first."""
    words = []
    for what, count in sorted(left_out.items(), key=lambda item: -item[1])[:MOST]:
        cure = cure_of(what)
        words.append(f"{count:,} {what}" + (f" ({cure})" if cure else ""))
    if len(left_out) > MOST:
        words.append(f"and {len(left_out) - MOST} other kinds")
    return ", ".join(words)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error


def _holds(folder: str, path: str) -> bool:
    """Whether a folder is `path` or holds it, at any depth; both are real paths."""
    return os.path.join(path, "").startswith(os.path.join(folder, ""))
