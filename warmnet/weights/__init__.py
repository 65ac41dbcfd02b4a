"""Weights: from every library's checkpoints, into every edited network, and back out."""

from .conversion import LIBRARIES, convert
from .errors import WeightsError, WeightsWarning
from .lineages import LINEAGES
from .loading import load
from .pretrained import from_pretrained
from .report import Report, Row
from .saving import FILE, save
from .transplanting import transplant

__all__ = [
    "FILE", "LIBRARIES", "LINEAGES", "Report", "Row", "WeightsError", "WeightsWarning", "convert", "from_pretrained", "load",
    "save", "transplant",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
