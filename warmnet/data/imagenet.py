"""The names of ImageNet's 1,000 classes."""

from __future__ import annotations

from pathlib import Path


def imagenet_classes() -> tuple[str, ...]:
    """The 1,000 names, all distinct, in the order of the outputs: those of torchvision 0.28.0, models/_meta.py."""
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())
