"""A batch in parts, whose maps fit into a processor's caches and into memory, however large its images are."""

from __future__ import annotations

import math

import numpy as np

AT_ONCE = 4 * 3 * 224 * 224  # numbers in a part: with more, or fewer, B0 took longer


def in_parts(inputs: np.ndarray, streams: int = 1) -> list[np.ndarray]:
    """The inputs (N, ...) in parts of about `AT_ONCE` numbers, equally many for each stream where there are enough of them."""
    rounds = math.ceil(inputs.size / (AT_ONCE * streams))
    return np.array_split(inputs, min(rounds * streams, len(inputs)))
