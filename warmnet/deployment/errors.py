"""What a user hears about deployment when something cannot be."""

from __future__ import annotations

from ..errors import InputError


class DeployError(InputError):
    """A network that cannot be deployed as it was asked for, or a deployed file that cannot be used."""
