"""The error and the warning about weights: that they cannot be used, and what was done so that they can."""

from __future__ import annotations

from ..errors import InputError


class WeightsError(InputError):
    """Weights that cannot be read, or do not fit; the model is as it was."""


class WeightsWarning(UserWarning):
    """What was done to weights so that they fit, or had to be assumed about them."""
