"""torch's archives, ZIP files, with the metadata as one more entry; and torch to run what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import DeployError
from ..metadata import Metadata
from .engine import Runner

ENTRY = "warmnet.json"


def add_metadata(path: Path, metadata: Metadata) -> None:
    """Add metadata to a torch archive, whose entries are all in one folder."""
    with zipfile.ZipFile(path, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/extra/{ENTRY}", metadata.to_json())


def read_metadata(path: Path) -> Metadata:
    """The metadata in a torch archive; a DeployError unless its every entry is whole, and none a pickle."""
    text = ""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            for name in archive.namelist():
                if name.endswith("_config.json") and b'"use_pickle": true' in archive.read(name):
                    raise DeployError(
                        f"{path} holds pickles, which may be any code; `warmnet export` writes none. Do not open it."
                    )
                if name.endswith(f"/extra/{ENTRY}") and not damaged and not text:
                    text = archive.read(name).decode()
    except (zipfile.BadZipFile, EOFError) as error:
        raise DeployError(f"{path} is damaged, or no torch archive: {error}. Export it again, or copy it again.") from error
    if damaged:
        raise DeployError(f"{path} is damaged: {damaged} in it is not what was written. Export it again, or copy it again.")
    if not text:
        raise DeployError(f"{path} was not written by `warmnet export`. Export it again from its model.")
    return Metadata.from_json(text, path)


def torch_runner(network: Any, threads: int) -> Runner:
    """A function from inputs to logits that runs `network`, which takes and gives tensors, on so many cores."""

    def run(x: np.ndarray) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with torch.inference_mode():
                return network(torch.from_numpy(x)).numpy()
        finally:
            torch.set_num_threads(before)

    return run
