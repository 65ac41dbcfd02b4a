"""Errors that a user can act on: the command line shows them as one line, and no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What the user gave cannot be used; the message says what it was and what to do."""


class MissingExtra(ImportError):
    """A package that only an extra of warmnet needs is not installed."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Imports inside it may fail, with an error that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(f"This needs {error.name}. Install it with: pip install 'warmnet[{name}]'") from error


class WarmError(RuntimeError):
    """Any error of the layer system."""


class NotWarmError(WarmError):
    """A layer was asked for where no warmed-up WarmModule is being called."""


class SealedError(WarmError):
    """A built module was asked for a layer that its dry run did not make, or given a child that nothing would call."""


class MismatchError(WarmError):
    """A built layer was reached with other settings, or another input size, than it was built with."""


class NameTakenError(WarmError):
    """A name was given to two layers of one module, or cannot name a layer."""
