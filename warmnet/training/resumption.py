"""Whether a run that goes on is the one that was started: the same images, network, weights and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from struct import error as StructError
from typing import Any

import torch

from ..authoring.source_code import SourceCode
from ..data.split_csv import SPLIT, SplitRow, read_split
from ..errors import InputError
from .metrics import Epoch, is_over
from .run_record import RECORD, differences, plain, read_record

CHECKPOINT = "checkpoint.pt"  # the newest state of a run
# what torch.load raises for a damaged file
DAMAGED = OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, UnpicklingError, StructError
APART = "recipe", "split", "network", "weights", "extended"  # what is not compared as one of many settings
PARTS = "settings", "step", "history", "model", "optimizer"  # of a checkpoint
SETTINGS = "recipe", "variant", "seed", "network", "weights", "extended", "split"  # that a checkpoint has
MAY_GROW = "epochs", "patience"  # of a run that is finished


def read_checkpoint(folder: Path, lazily: bool = False) -> dict[str, Any]:
    """The newest state of the run in a folder; if `lazily`, its tensors are read when they are used.

    Raises InputError if there is none, it is damaged, or of another version.
    """
    if not (folder / CHECKPOINT).exists():
        raise InputError(f"{folder} holds no run to go on with: it has no {CHECKPOINT}. Start it without --resume.")
    path, cure = folder / CHECKPOINT, f"Start a new run in another --out; --weights {folder} starts it from the weights there."
    try:
        state: dict[str, Any] = torch.load(path, "cpu", weights_only=True, mmap=lazily)
    except DAMAGED as error:
        raise InputError(f"{path} is damaged, and cannot be gone on with. {cure}") from error
    missing = {*PARTS} - state.keys() if isinstance(state, dict) else {*PARTS}
    missing = missing or {*SETTINGS} - state["settings"].keys()
    if missing:
        raise InputError(f"{path} is of another version of warmnet: it has no {min(missing)}. {cure}")
    return state


def saved_step(folder: Path) -> int:
    """The step that the run in a folder was saved at last; 0 if it was not."""
    return int(read_checkpoint(folder, lazily=True)["step"]) if (folder / CHECKPOINT).exists() else 0


def check_resume(folder: Path, settings: Mapping[str, Any]) -> str:
    """What there is to say of the run in `folder` that shall go on, before an image is read; '' if it was interrupted.

    - `settings`: as of `RunFolder`, but for the split. What the recipe does not settle yet is None.

    Raises InputError if there is no such run, settings differ, or it is finished and shall not be longer.
    """
    state = read_checkpoint(folder, lazily=True)
    before = state["settings"]["recipe"]
    recipe = {name: before.get(name) if value is None else value for name, value in settings["recipe"].items()}
    check_settings(folder, state, {**settings, "recipe": recipe})
    if not _is_over(state, before) or _is_over(state, recipe):
        return ""
    done, epochs = len(state["history"]), recipe["epochs"]
    return (
        f"The run in {folder} was finished after {done} epochs and goes on to {epochs}. Its learning rate is from here on that "
        f"of a run of {epochs} epochs, so that it jumps; its weights will not be those of a run of {epochs} from the start."
    )


def check_settings(folder: Path, state: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise an InputError on what differs between the settings of a run as it was saved and as it shall go on.

    A run that is finished must be made longer, by more epochs or patience; one that ended after its last epoch, but before its
    results were written, needs not.
    """
    before = state["settings"]
    was_over = _is_over(state, before["recipe"])
    if before["network"] != now["network"]:
        raise InputError(_networks_differ(folder, before["network"], now["network"]))
    if before["weights"] != now["weights"]:
        raise InputError(
            f"The run in {folder} was started from {_start(before)}, not from {_start(now)}. Go on with the --weights that it "
            f"was started with, or start a new run."
        )
    old, new = plain(_flat(before)), plain(_flat(now))
    changes = list[str]()
    for name in {**old, **new}:
        is_longer = was_over and name in MAY_GROW and (new[name] or 0) > (old[name] or 0) > 0
        if not is_longer:
            changes += differences(name, old.get(name), new.get(name))
    if changes:
        advice = "Go on with what it was started with."
        if not was_over and old["epochs"] != new["epochs"]:
            advice += " Once it is finished, --resume and more --epochs make it longer."
        raise InputError(f"The run in {folder} was started otherwise: {'; '.join(changes)}. {advice}")
    if _is_over(state, now["recipe"]) and _has_results(folder, len(state["history"])):
        raise InputError(_finished(folder, len(state["history"]), before["recipe"]))


def extended(state: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[int]:
    """After how many epochs the run that a checkpoint is of was finished, and made longer, as it goes on by `recipe`."""
    before: list[int] = state["settings"]["extended"]
    is_longer = _is_over(state, state["settings"]["recipe"]) and not _is_over(state, recipe)
    return [*before, len(state["history"])] if is_longer else before


def check_same_images(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], split: Sequence[SplitRow]) -> None:
    """Raise an InputError if the images of a run are not those that it was started with.

    - `split`: of the images as they are now, whose digest is in the settings `now`.
    """
    if before["split"] != now["split"]:
        raise InputError(_images_differ(folder, split))


def _is_over(state: Mapping[str, Any], recipe: Mapping[str, Any]) -> bool:
    """Whether the epochs that a checkpoint has are all those of a recipe."""
    return is_over([Epoch(*row) for row in state["history"]], recipe["epochs"], recipe["patience"])


def _has_results(folder: Path, epochs: int) -> bool:
    """Whether run.json says what came of so many epochs."""
    results = read_record(folder / RECORD).get("results") if (folder / RECORD).exists() else None
    return isinstance(results, dict) and results.get("epochs") == epochs


def _finished(folder: Path, epochs: int, recipe: Mapping[str, Any]) -> str:
    if epochs < recipe["epochs"]:
        patience = recipe["patience"]
        reason = f"after {epochs} of {recipe['epochs']} epochs its patience of {patience} was over"
        cure = f"--patience {2 * patience}"
    else:
        reason, cure = f"all its {epochs} epochs are done", f"--epochs {2 * epochs}"
    return f"The run in {folder} is finished: {reason}. It goes on with more of them: --resume {cure}."


def _start(settings: Mapping[str, Any]) -> str:
    digest = settings["weights"]
    return f"weights whose SHA-256 begins with {digest[:8]}" if digest else "random weights"


def _images_differ(folder: Path, split: Sequence[SplitRow]) -> str:
    """Which images of the run have gone, and which are new; an image is known by its class and its content."""
    rows = read_split(folder)
    before, now = (Counter((row.class_name, row.facts.digest) for row in part) for part in (rows, split))
    files = {(row.class_name, row.facts.digest): row.facts.file for row in (*rows, *split)}
    changes = []
    for images, change in (before - now, "gone or changed"), (now - before, "new"):
        if images:
            changes.append(f"{images.total():,} {change}, such as {min(files[image] for image in images)}")
    difference = "; ".join(changes) or "in another order, or split otherwise"
    return (
        f"The images are not those that {folder} was started with: {difference}. "
        f"Put them back as {folder / SPLIT} has them, or start anew in another --out."
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


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's settings beside the others. Where they were found changes nothing."""
    recipe = {name: value for name, value in settings["recipe"].items() if name != "found"}
    return {**recipe, **{name: value for name, value in settings.items() if name not in APART}}
