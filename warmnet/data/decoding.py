"""Which images cannot be decoded: found once, before training, so that no run ends on one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import distributed
from torch.utils.data import Dataset

from ..errors import extra
from .errors import ImageError
from .images import to_image
from .loading import loader
from .samples import file_of, read_split
from .tar_members import Member

with extra("train"):
    from rich.progress import track


def find_unreadable(images: Sequence[Path | Member], workers: int = 0, run: Path | None = None) -> dict[Path | Member, str]:
    """The images that cannot be decoded to their end, and why. All processes of a run call it and share the work.

    - `workers`: processes that decode; 0 is this one.
    - `run`: a run folder to go on with. Images that its split.csv has are not decoded again.
    """
    images = _without_known(images, run)
    rank, world = 0, 1
    if distributed.is_initialized():
        rank, world = distributed.get_rank(), distributed.get_world_size()
    messages = _decode(images[rank::world], workers, show_progress=rank == 0 and sys.stdout.isatty())
    if world > 1:
        messages = _gathered(messages, world)
    return {image: messages[image] for image in images if image in messages}


def _without_known(images: Sequence[Path | Member], run: Path | None) -> Sequence[Path | Member]:
    """The images without those that a run has decoded before."""
    known = {(file, size) for _, _, file, size in read_split(run)} if run else set()
    if not known:
        return images
    unknown = []
    for image in images:
        file, size = file_of(image)
        if (file, str(size)) not in known:
            unknown.append(image)
    return unknown


def _decode(images: Sequence[Path | Member], workers: int, show_progress: bool) -> dict[Path | Member, str]:
    """The images that cannot be decoded, and why."""
    batches = loader(_Messages(images), workers, batch_size=64, collate_fn=list)
    messages: list[str] = []
    for batch in track(batches, "reading images", transient=True, disable=not show_progress):
        messages += batch
    return {image: message for image, message in zip(images, messages) if message}


def _gathered(messages: dict[Path | Member, str], world: int) -> dict[Path | Member, str]:
    """The messages of all processes."""
    parts: list[Any] = [None] * world
    distributed.all_gather_object(parts, messages)
    return {image: message for part in parts for image, message in part.items()}


class _Messages(Dataset[str]):
    """Images as messages on why they cannot be decoded, '' if they can."""

    def __init__(self, images: Sequence[Path | Member]):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> str:
        try:
            to_image(self.images[index])
        except ImageError as error:
            return str(error)
        return ""
