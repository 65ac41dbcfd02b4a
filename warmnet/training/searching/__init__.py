"""The search for augmentations. It needs `warmnet[search]`."""

from .opening import SEARCH, read_search
from .running import Outcome, search

__all__ = ["SEARCH", "Outcome", "read_search", "search"]
