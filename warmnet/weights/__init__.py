"""Weights: from every library's checkpoints, into every edited network, and back out."""

from .origin import LINEAGES
from .own import FILE, WeightsError, replacing, save
from .pretrained import LIBRARIES, WeightsWarning, convert, from_pretrained, load, transplant
from .report import Report, Row

__all__ = [
    "FILE", "LIBRARIES", "LINEAGES", "Report", "Row", "WeightsError", "WeightsWarning", "convert", "from_pretrained", "load",
    "replacing", "save", "transplant",
]  # fmt: skip
