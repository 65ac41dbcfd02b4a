"""The pass over all images before training: each is decoded once, so that no run ends on one, and what it is, is kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import distributed
from torch.utils.data import Dataset

from ..errors import extra
from .errors import ImageError
from .image_facts import ImageFacts, name_below, read_facts
from .loading import loader, worker_errors
from .split_csv import read_split
from .tar_members import Member

with extra("train"):
    from rich.progress import track


class Decoded(NamedTuple):
    """The facts of the images that can be decoded, and why each of the others cannot, in their order."""

    facts: dict[Path | Member, ImageFacts]
    unreadable: dict[Path | Member, str]


def decode(images: Sequence[Path | Member], root: Path, workers: int = 0, run: Path | None = None) -> Decoded:
    """What images are, and which cannot be decoded to their end. All processes of a run call it and share the work.

    - `root`: the folder of the data set, below which files are named.
    - `workers`: processes that decode; 0 is this one.
    - `run`: a run folder to go on with. What its split.csv says of a file of the same name below `root` is not found out again
      unless the file has changed, see `read_facts`.
    """
    known = {row.facts.file: row.facts for row in read_split(run)} if run else {}
    rank, world = 0, 1
    if distributed.is_initialized():
        rank, world = distributed.get_rank(), distributed.get_world_size()
    share = images[rank::world]
    batches = loader(_Facts(share, root, known), workers, batch_size=64, collate_fn=list)
    found: list[ImageFacts | str] = []
    with worker_errors():
        for batch in track(batches, "reading images", transient=True, disable=rank > 0 or not sys.stdout.isatty()):
            found += batch
    results = dict(zip(share, found))
    if world > 1:
        results = _gathered(results, world)
    return _sorted(images, results)


def _gathered(results: dict[Path | Member, ImageFacts | str], world: int) -> dict[Path | Member, ImageFacts | str]:
    """The results of all processes."""
    parts: list[Any] = [None] * world
    distributed.all_gather_object(parts, results)
    return {image: result for part in parts for image, result in part.items()}


def _sorted(images: Sequence[Path | Member], results: Mapping[Path | Member, ImageFacts | str]) -> Decoded:
    """The results, facts or messages, each in its place."""
    decoded = Decoded({}, {})
    for image in images:
        result = results[image]
        if isinstance(result, str):
            decoded.unreadable[image] = result
        else:
            decoded.facts[image] = result
    return decoded


class _Facts(Dataset[ImageFacts | str]):
    """Images as their facts, or as messages on why they cannot be decoded."""

    def __init__(self, images: Sequence[Path | Member], root: Path, known: Mapping[str, ImageFacts]):
        self.images, self.root, self.known = images, root, known

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> ImageFacts | str:
        image = self.images[index]
        before = self.known.get(name_below(image, self.root)) if self.known else None
        try:
            return read_facts(image, self.root, before)
        except ImageError as error:
            return str(error)
