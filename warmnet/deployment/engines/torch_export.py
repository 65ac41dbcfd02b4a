"""torch.export: a .pt2 archive, which torch itself runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...data.files import replacing
from ..frozen import freeze
from ..logs import quiet
from ..metadata import Metadata
from .engine import Engine, Runner
from .torch_archives import add_metadata, read_metadata, torch_runner


class TorchExport(Engine):
    """A network as torch.export has it: needs nothing else, and is the same on every machine."""

    suffix, companions = ".pt2", ()
    requires, precisions = (), ("fp32", "bf16")
    has_streams, builds_quickly = False, True

    def __init__(self, program: torch.export.ExportedProgram):
        self.program = program

    @classmethod
    def build(cls, model: nn.Module, metadata: Metadata, to_onnx: Callable[[], Any]) -> TorchExport:
        return cls(freeze(model, metadata.preprocessing, metadata.size, metadata.dynamic_size, precision=metadata.precision))

    @classmethod
    def read(cls, path: Path) -> tuple[TorchExport, Metadata]:
        metadata = read_metadata(path)
        return cls(torch.export.load(path)), metadata

    def write(self, path: Path, metadata: Metadata) -> None:
        with replacing(path) as temporary:
            with open(temporary, "wb") as file, quiet():
                torch.export.save(self.program, file)
            add_metadata(temporary, metadata)

    def runner(self, metadata: Metadata, threads: int, streams: int) -> Runner:
        return torch_runner(self.program.module(), threads)
