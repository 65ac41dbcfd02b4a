"""Which files the names in a CSV file mean."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from .assembly import normalize


class NamedFiles:
    """The files that names mean, which are relative to some folders.

    - `folders`: where a file is looked for, the first before the others.
    - `images`: those that may be named without their suffix, or in another Unicode form.
    """

    def __init__(self, folders: Iterable[Path], images: Iterable[Path]):
        self.folders = [*{os.path.abspath(folder): folder for folder in folders}.values()]  # each once
        self._images: dict[str, list[Path]] = {}
        self._last_names: dict[str, Path] = {}
        for image in images:
            path = Path(os.path.abspath(image))
            for name in path, path.with_suffix(""):
                self._images.setdefault(normalize(str(name)), []).append(image)
                self._last_names.setdefault(normalize(name.name), image)

    def find_in_full(self, name: str) -> Path | None:
        """The file of this very name; None if there is none."""
        paths = (folder / spelled for spelled in _spellings(name) for folder in self.folders)
        return next((path for path in paths if os.path.isfile(path)), None)

    def find(self, name: str) -> list[Path]:
        """The file of this name, or else those of this name without their suffix, in the first folder that has some."""
        path = self.find_in_full(name)
        if path is not None:
            return [path]
        paths = (os.path.abspath(folder / spelled) for spelled in _spellings(name) for folder in self.folders)
        return next((self._images[path] for path in map(normalize, paths) if path in self._images), [])

    def find_elsewhere(self, name: str) -> Path | None:
        """An image of the same last name, in whatever folder; None if there is none."""
        return self._last_names.get(normalize(PurePosixPath(_spellings(name)[-1]).name))


def _spellings(name: str) -> list[str]:
    return [name, name.replace("\\", "/")] if "\\" in name else [name]
