"""The search for augmentations. It needs `warmnet[search]`."""

from .running import Outcome, read_search, search

__all__ = ["Outcome", "read_search", "search"]
