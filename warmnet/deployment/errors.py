"""The error about deployment: what cannot be exported, or not be opened."""

from __future__ import annotations

from ..errors import InputError


class DeployError(InputError):
    """A network that cannot be deployed as it was asked for, or a deployed file that cannot be used."""
