"""Images and data sets: read, preprocessed, augmented, in batches. Nothing here knows a network."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import DataError, ImageError, WorkerError
from .images import read_image, to_image
from .preprocessing import Preprocessing
from .samples import Data, Sample

if TYPE_CHECKING:
    from .augmentation import Augmentation
    from .folders import folder
    from .in_memory import arrays
    from .loading import Batches, Images, loader
    from .policy_file import read_policy
    from .scanned_digits import digits
    from .tar_shards import shards

__all__ = [
    "Augmentation", "Batches", "Data", "DataError", "ImageError", "Images", "Preprocessing", "Sample", "WorkerError", "arrays",
    "digits", "folder", "loader", "read_image", "read_policy", "shards", "to_image",
]  # fmt: skip

_FILES = {  # that need packages which `import warmnet` does not import
    "Augmentation": "augmentation",
    "Batches": "loading",
    "Images": "loading",
    "arrays": "in_memory",
    "digits": "scanned_digits",
    "folder": "folders",
    "loader": "loading",
    "read_policy": "policy_file",
    "shards": "tar_shards",
}


def __getattr__(name: str) -> Any:
    """One of the names in `_FILES`, imported when it is first used."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_FILES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
