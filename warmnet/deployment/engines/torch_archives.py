"""torch's archives, ZIP files, with the metadata as one more entry; and torch to run what is in them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import DeployError
from ..metadata import Metadata
from .engine import Runner
from .torch_threads import torch_threads

ENTRY = "extra/warmnet.json"


def add_metadata(path: Path, metadata: Metadata) -> None:
    """Add metadata to a torch archive, whose entries are all in one folder."""
    with zipfile.ZipFile(path, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/{ENTRY}", metadata.to_json())


def read_entries(path: Path) -> dict[str, bytes]:
    """The entries of a torch archive by name, without the folder that all are in; a DeployError if one is not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DeployError(f"{path} is damaged, or no torch archive: {error}. Export it again, or copy it again.") from error


def metadata_of(entries: Mapping[str, bytes], path: Path) -> Metadata:
    """The metadata among the entries of the archive at `path`; a DeployError if there is none."""
    if ENTRY not in entries:
        raise DeployError(f"{path} was not written by `warmnet export`. Export it again from its model.")
    return Metadata.from_json(entries[ENTRY], path)


def torch_runner(network: Any, threads: int) -> Runner:
    """A function from inputs to logits that runs `network`, which takes and gives tensors, on so many cores."""

    def run(x: np.ndarray) -> np.ndarray:
        try:
            with torch_threads(threads), torch.inference_mode():
                return network(torch.from_numpy(x)).numpy()
        except AssertionError as error:  # by which torch.export guards what a program was made for
            reason = str(error).strip().splitlines()[0] if str(error) else "torch gives no reason"
            raise DeployError(f"The network was not exported for inputs of {x.shape}: {reason}") from error

    return run
