"""Weights: from every library's checkpoints, into every edited network, and back out."""

from .identification import LINEAGES
from .pretrained import LIBRARIES, WeightsWarning, convert, from_pretrained, load, transplant
from .report import Report, Row
from .saving import FILE, WeightsError, save

__all__ = [
    "FILE", "LIBRARIES", "LINEAGES", "Report", "Row", "WeightsError", "WeightsWarning", "convert", "from_pretrained", "load",
    "save", "transplant",
]  # fmt: skip
