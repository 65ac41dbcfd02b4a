"""The search for augmentations. It needs `warmnet[search]`."""

from .running import SEARCH, Outcome, read_search, search

__all__ = ["SEARCH", "Outcome", "read_search", "search"]
