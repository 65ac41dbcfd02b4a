"""AOTInductor: an .aoti.pt2 archive with the network as machine code."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from ...data.files import replacing
from ..errors import DeployError
from ..frozen import freeze
from ..logs import quiet
from ..machine import code_target, this_machine
from ..metadata import Metadata
from .engine import Engine, Runner, ToOnnx
from .torch_archives import add_metadata, metadata_of, read_entries, torch_runner


class AotInductor(Engine):
    """A network as code of this machine's processor and version of torch. Building it takes a C++ compiler, and a minute.

    Opening one runs code that it brings along, so that `open_exported` asks for trust=True.
    """

    suffix, companions = ".aoti.pt2", ()
    requires, precisions = (), ("fp32", "bf16")
    has_streams, builds_quickly, is_machine_code = False, False, True

    def __init__(self, content: bytes):
        self.content = content

    @classmethod
    def build(cls, model: nn.Module, metadata: Metadata, to_onnx: ToOnnx) -> AotInductor:
        from torch._inductor import aoti_compile_and_package

        program = freeze(model, metadata.preprocessing, metadata.size, metadata.dynamic_size, precision=metadata.precision)
        with tempfile.TemporaryDirectory() as folder, torch.no_grad(), quiet():
            path = f"{folder}/network.pt2"
            aoti_compile_and_package(program, package_path=path, inductor_configs={"freezing": True})
            return cls(Path(path).read_bytes())

    @classmethod
    def read(cls, path: Path) -> tuple[AotInductor, Metadata]:
        metadata = metadata_of(read_entries(path), path)
        if code_target(metadata.machine) != code_target(this_machine()):
            target = " and torch ".join(filter(None, code_target(metadata.machine)))
            raise DeployError(f"{path} holds machine code for {target}, and this is another machine. Export it here again.")
        return cls(path.read_bytes()), metadata

    def write(self, path: Path, metadata: Metadata) -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(self.content)
            add_metadata(temporary, metadata)

    def runner(self, metadata: Metadata, threads: int, streams: int) -> Runner:
        from torch._inductor import aoti_load_package

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "network.pt2")
            path.write_bytes(self.content)
            return torch_runner(aoti_load_package(str(path), run_single_threaded=False), threads)
