"""The devices to compute on."""

from __future__ import annotations

import torch

from ..errors import InputError
from ..spelling import with_choices


def available_devices() -> list[str]:
    """The devices of this machine, the best first."""
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    return available


def find_device(device: str) -> str:
    """That device, or for 'auto' the best there is; an InputError if it is not there."""
    available = available_devices()
    if device not in ("auto", *available):
        raise InputError(f"device {device!r} is not there. {with_choices('', ('auto', *available))}.")
    return available[0] if device == "auto" else device
