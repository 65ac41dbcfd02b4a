"""search.json: what a search was given; whether one that goes on is the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...authoring.source_code import find_source_code
from ...checks import positive, whole
from ...data.files import replacing
from ...data.split_csv import SPLIT, digest_of, write_split
from ...errors import InputError
from ..initial_network import digest
from ..resumption import check_same_images
from ..run_folder import check_free
from ..run_record import differences, new_record, plain, read_record, run_settings, to_json
from .process import END, TRIALS, Length, Search

SEARCH = "search.json"


def begin(search: Search, length: Length, options: Mapping[str, Any]) -> None:
    """Begin the search in its folder. Raises InputError if there is anything."""
    check_free(search.files.path)
    search.length = length if length.minutes or length.trials else length._replace(trials=TRIALS)
    _write(search, record_of(search, options) | search.length._asdict())


def go_on(search: Search, length: Length) -> None:
    """Go on with the search in its folder, perhaps with another length. Raises InputError if it is not this one."""
    folder, now = search.files.path, record_of(search, {})
    before = read_search(folder)
    check_same_images(folder, before, now, search.split)
    check_same(folder, before, plain(now))
    if length.trials is None and length.minutes is None:
        length = length._replace(trials=before["trials"], minutes=before["minutes"])
    search.length = length
    if (length.trials, length.minutes) != (before["trials"], before["minutes"]):
        (folder / END).unlink(missing_ok=True)
        _write(search, before | {"trials": length.trials, "minutes": length.minutes})


def record_of(search: Search, options: Mapping[str, Any]) -> dict[str, Any]:
    """The content of search.json, but for how long it is."""
    code, weights = find_source_code(search.network), digest(search.source) if search.source else None
    settings = run_settings(search.recipe, search.variant_name, search.seed, code, weights)
    return {**new_record(settings, search.data, search.execution, options), "split": digest_of(search.split)}


def _write(search: Search, record: Mapping[str, Any]) -> None:
    """Write search.json, and which images are test pictures."""
    with replacing(search.files.path / SEARCH) as path:
        path.write_text(to_json(record), encoding="utf-8")
    if not (search.files.path / SPLIT).exists():
        write_split(search.files.path, search.split)


def read_search(folder: Path) -> dict[str, Any]:
    """The settings of the search in a folder. Raises InputError if there is none."""
    if not (folder / SEARCH).exists():
        raise InputError(f"{folder} holds no search to go on with: it has no {SEARCH}. Start it without --resume.")
    record = read_record(folder / SEARCH)
    try:
        if not isinstance(record["recipe"], dict) or not isinstance(record["split"], str):
            raise TypeError("recipe and split are not what they must be")
        check_length(Length(record["trials"], record["minutes"], 1))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder / SEARCH} is not as it was written: {str(error).rstrip('.')}. Put that right, or start a new search in "
            f"another --out."
        ) from error
    return record


def check_length(length: Length) -> None:
    """Raise TypeError or ValueError for what is no number of trials, minutes or jobs."""
    if length.trials is not None:
        whole("trials", length.trials)
    if length.minutes is not None:
        positive("minutes", length.minutes)
    whole("jobs", length.jobs)


def check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise InputError if the search in a folder is another than this one."""
    changes = list[str]()
    for name, value in {**now, **now["recipe"]}.items():
        if name in ("variant", "seed", "source_code", "weights_sha256", *now["recipe"]) and name != "found":
            changes += differences(name, {**before, **before["recipe"]}.get(name), value)
    if changes:
        raise InputError(
            f"The search in {folder} was started otherwise: {'; '.join(changes)}. Go on with what it was started with, or "
            f"start a new one in another --out."
        )
