"""Whether a run that goes on is the one that was started: the same images, network and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..authoring.source_code import SourceCode
from ..data.split_csv import SPLIT, SplitRow, read_split
from ..errors import InputError


def check_same_run(folder: Path, before: dict[str, Any], now: dict[str, Any], split: Sequence[SplitRow]) -> None:
    """Raise an InputError on what differs between the settings of a run as it was started and as it shall go on.

    - `split`: of the images as they are now, whose digest is in `now`.
    """
    if before["split"] != now["split"]:
        raise InputError(_images_differ(folder, split))
    if before.get("network") != now["network"]:
        raise InputError(_networks_differ(folder, before.get("network"), now["network"]))
    before, now = _flat(before), _flat(now)
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names:
        changes = "; ".join(f"{name} was {before.get(name)} and is {now.get(name)}" for name in names)
        raise InputError(f"The run in {folder} was started otherwise: {changes}. Go on with what it was started with.")


def _images_differ(folder: Path, split: Sequence[SplitRow]) -> str:
    """Which images of the run have gone, and which are new; an image is known by its class and its content."""
    rows = read_split(folder)
    before, now = (Counter((row.class_name, row.facts.digest) for row in part) for part in (rows, split))
    files = {(row.class_name, row.facts.digest): row.facts.file for row in (*rows, *split)}
    changes = []
    for images, change in (before - now, "gone or changed"), (now - before, "new"):
        if images:
            changes.append(f"{images.total():,} {change}, such as {min(files[image] for image in images)}")
    return (
        f"The images are not those that the run in {folder} was started with: "
        f"{'; '.join(changes) or 'in another order, or split otherwise'}. Put them back as {folder / SPLIT} has them, or start a new run."
    )


def _networks_differ(folder: Path, before: str | None, now: str | None) -> str:
    name = (before or "").partition(",")[0]
    if SourceCode(name).file:
        cure = f"with --model {folder / name}"
    elif name:
        cure = f"with {name} as it was then"
    else:
        cure = "without --model"
    standard = "warmnet's own network"
    return (
        f"The run in {folder} is of {before or standard}, not of {now or standard}. Go on {cure}, or start a new run with "
        f"--weights."
    )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """The recipe's settings beside the others."""
    return {**settings["recipe"], **settings, "recipe": None}
