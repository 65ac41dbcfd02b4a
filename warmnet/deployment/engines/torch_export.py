"""torch.export: a .pt2 archive, which torch itself runs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ...data.files import replacing
from ..errors import DeployError
from ..frozen import freeze
from ..logs import quiet
from ..metadata import Metadata
from .engine import Engine, Runner, ToOnnx
from .program_archive import checked_archive
from .program_check import UncheckedError
from .torch_archives import add_metadata, metadata_of, read_entries, torch_runner


class TorchExport(Engine):
    """A network as torch.export has it: needs nothing else, and is the same on every machine."""

    suffix, companions = ".pt2", ()
    requires, precisions = (), ("fp32", "bf16")
    has_streams, builds_quickly, is_machine_code = False, True, False

    def __init__(self, program: torch.export.ExportedProgram):
        self.program = program

    @classmethod
    def build(cls, model: nn.Module, metadata: Metadata, to_onnx: ToOnnx) -> TorchExport:
        return cls(freeze(model, metadata.preprocessing, metadata.size, metadata.dynamic_size, precision=metadata.precision))

    @classmethod
    def read(cls, path: Path) -> tuple[TorchExport, Metadata]:
        entries = read_entries(path)
        metadata = metadata_of(entries, path)
        try:
            archive = checked_archive(entries)
        except (UncheckedError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DeployError(
                f"{path} is not opened, since code may run in it: {error}. `warmnet export` writes no such file: do not use it."
            ) from error
        try:
            with quiet():
                return cls(torch.export.load(archive)), metadata
        except Exception as error:  # whatever torch stumbles over
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise DeployError(f"{path} is damaged, or not of torch {torch.__version__}: {reason}. Export it again.") from error

    def write(self, path: Path, metadata: Metadata) -> None:
        with replacing(path) as temporary:
            with open(temporary, "wb") as file, quiet():
                torch.export.save(self.program, file)
            try:
                checked_archive(read_entries(temporary))
            except UncheckedError as error:
                raise DeployError(
                    f"As a program of torch this network could not be opened: {error}. Export it to onnx."
                ) from error
            add_metadata(temporary, metadata)

    def runner(self, metadata: Metadata, threads: int, streams: int) -> Runner:
        return torch_runner(self.program.module(), threads)
