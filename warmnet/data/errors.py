"""What can be wrong with images and data sets."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InputError


class ImageError(InputError):
    """A file that is not a readable image."""


class WorkerError(InputError):
    """A process that reads images has ended, which only less of it, or more memory, can mend."""


class DataError(InputError):
    """A folder, or shards, that cannot be trained on."""


class ShardError(DataError):
    """A shard or a sample in it that is left out, unless `strict` refuses it."""


def first_of(messages: Iterable[str]) -> str:
    """The first of messages, and how many more there are."""
    first, *others = messages
    return f"{first} and {len(others)} more" if others else first
