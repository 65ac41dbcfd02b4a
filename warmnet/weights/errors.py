"""What a user hears about weights: that they cannot be used, or what was done to them."""

from __future__ import annotations

from ..errors import InputError


class WeightsError(InputError):
    """Weights that cannot be read, or do not fit; the model is as it was."""


class WeightsWarning(UserWarning):
    """What was done to weights so that they fit, or had to be assumed about them."""
