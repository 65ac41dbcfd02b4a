"""Weights: from every library's checkpoints, into every edited network, and back out."""

from .moving import for_channels, resized
from .origin import LINEAGES
from .own import FILE, WeightsError, replacing, save
from .pretrained import WeightsWarning, convert, from_pretrained, load, transplant
from .report import Report, Row

__all__ = [
    "FILE", "LINEAGES", "Report", "Row", "WeightsError", "WeightsWarning", "convert", "for_channels", "from_pretrained", "load",
    "replacing", "resized", "save", "transplant",
]  # fmt: skip
