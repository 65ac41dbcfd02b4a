"""Where a network of the user's own is written: its name, the text of its file or cell, and what weights record of them.

Weights hold no code. They say which class they are of, and their user names the file to run.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
from pathlib import Path
from types import FunctionType
from typing import NamedTuple

from ..engine.frames import is_users
from ..networks.classifier import Classifier
from ..weights.reading import Source, read


class SourceCode(NamedTuple):
    """The name of a network's class, such as 'mymodel.py:Net', and the text of that file.

    One of a notebook is 'Net', with the text of its cell. Where that cannot be had, `text` is empty, and there is no checksum.
    """

    name: str
    text: bytes = b""

    @property
    def file(self) -> str:
        """The file's name; '' for a notebook's class."""
        return self.name.rpartition(":")[0]

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text).hexdigest()[:8] if self.text else ""

    def __str__(self) -> str:
        return f"{self.name}, checksum {self.checksum}" if self.text else self.name


def is_warmnets(network: type[Classifier]) -> bool:
    """Whether a network's class is warmnet's own."""
    return network.__module__.partition(".")[0] == __name__.partition(".")[0]


def find_source_code(network: type[Classifier]) -> SourceCode | None:
    """Where a network's class is written; None for warmnet's own."""
    if is_warmnets(network):
        return None
    module = sys.modules[network.__module__]
    file = getattr(module, "__file__", None)
    if file is None:
        return SourceCode(network.__qualname__, _cell(network).encode())
    text = getattr(module, "__text__", None) or Path(file).read_bytes()
    return SourceCode(f"{Path(file).name}:{network.__qualname__}", text)


def _cell(network: type[Classifier]) -> str:
    """The text of the notebook's cell that defines a class, which Python keeps for tracebacks of its methods; or ''."""
    for value in vars(network).values():
        if isinstance(value, FunctionType) and is_users(value.__code__.co_filename):
            return "".join(linecache.getlines(value.__code__.co_filename))
    return ""


def recorded_source_code(source: Source, revision: str | None = None) -> str | None:
    """What weights record of the source code that they were trained with, as `str(SourceCode)`; None for warmnet's own."""
    description = read(source, revision).description
    return description.metadata.get("network") if description else None
