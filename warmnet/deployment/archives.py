"""torch's own engines, whose files are ZIP archives with the description as one more entry."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.files import replacing
from .frozen import freeze
from .metadata import About, DeployError, comparable, this_machine
from .onnx_graph import quiet

NOTE = "warmnet.json"


class Torch:
    """A torch.export archive, and torch to run it: needs nothing else, and is the same on every machine."""

    suffix, needs, precisions = ".pt2", (), ("fp32", "bf16")

    def __init__(self, program: torch.export.ExportedProgram):
        self.program = program

    @classmethod
    def of(cls, model: nn.Module, about: About, in_onnx: Callable[[], Any]) -> Torch:
        return cls(freeze(model, about.preprocessing, about.size, about.dynamic_size, precision=about.precision))

    @classmethod
    def read(cls, path: Path) -> tuple[Torch, About]:
        about = _note(path)
        return cls(torch.export.load(path)), about

    def write(self, path: Path, about: About) -> None:
        with replacing(path) as temporary:
            with open(temporary, "wb") as file, quiet():
                torch.export.save(self.program, file)
            _add_note(temporary, about)

    def runner(self, about: About, threads: int, streams: int) -> Callable[[np.ndarray], np.ndarray]:
        return _torch_runner(self.program.module(), threads)


class AotInductor:
    """An archive with the network as machine code, of this machine's processor and version of torch. It takes a C++ compiler.

    Opening one runs code that it brings along: open only what you trust.
    """

    suffix, needs, precisions = ".aoti.pt2", (), ("fp32", "bf16")

    def __init__(self, content: bytes):
        self.content = content

    @classmethod
    def of(cls, model: nn.Module, about: About, in_onnx: Callable[[], Any]) -> AotInductor:
        from torch._inductor import aoti_compile_and_package

        program = freeze(model, about.preprocessing, about.size, about.dynamic_size, precision=about.precision)
        with tempfile.TemporaryDirectory() as folder, torch.no_grad(), quiet():
            path = f"{folder}/{NOTE}.pt2"
            aoti_compile_and_package(program, package_path=path, inductor_configs={"freezing": True})
            return cls(Path(path).read_bytes())

    @classmethod
    def read(cls, path: Path) -> tuple[AotInductor, About]:
        about = _note(path)
        if comparable(about.made) != comparable(this_machine()):
            made = " and torch ".join(filter(None, reversed(comparable(about.made))))
            raise DeployError(f"{path} holds machine code for {made}, and this is another machine. Export it here again.")
        return cls(path.read_bytes()), about

    def write(self, path: Path, about: About) -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(self.content)
            _add_note(temporary, about)

    def runner(self, about: About, threads: int, streams: int) -> Callable[[np.ndarray], np.ndarray]:
        from torch._inductor import aoti_load_package

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "network.pt2")
            path.write_bytes(self.content)
            return _torch_runner(aoti_load_package(str(path), run_single_threaded=False), threads)


def _torch_runner(network: Any, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    def run(x: np.ndarray) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with torch.inference_mode():
                return network(torch.from_numpy(x)).numpy()
        finally:
            torch.set_num_threads(before)

    return run


def _add_note(path: Path, about: About) -> None:
    """Add a description to a torch archive, which is a ZIP file whose entries are all in one folder."""
    with zipfile.ZipFile(path, "a") as archive:
        top = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{top}/extra/{NOTE}", about.to_json())


def _note(path: Path) -> About:
    """The description in a torch archive, whose every entry is whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            notes = [name for name in archive.namelist() if name.endswith(f"/extra/{NOTE}")]
            if any(b'"use_pickle": true' in archive.read(name) for name in archive.namelist() if name.endswith("_config.json")):
                raise DeployError(f"{path} holds pickles, which may be any code; `warmnet export` writes none. Do not open it.")
            text = archive.read(notes[0]).decode() if notes and not damaged else ""
    except (zipfile.BadZipFile, EOFError) as error:
        raise DeployError(f"{path} is damaged, or no torch archive: {error}. Export it again, or copy it again.") from error
    if damaged:
        raise DeployError(f"{path} is damaged: {damaged} in it is not what was written. Export it again, or copy it again.")
    if not text:
        raise DeployError(f"{path} was not written by `warmnet export`. Export it again from its model.")
    return About.from_json(text, path)
