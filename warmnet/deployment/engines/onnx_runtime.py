"""ONNX Runtime: an .onnx file with the metadata in its metadata_props."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ...data.files import replacing
from ...errors import extra
from .. import checksum
from ..metadata import Metadata
from .engine import Engine, Runner, ToOnnx

METADATA, CHECKSUM = "warmnet", "warmnet_checksum"  # keys in the file


class OnnxRuntime(Engine):
    """A network as ONNX, and ONNX Runtime to run it."""

    suffix, companions = ".onnx", ()
    requires, precisions = ("onnx", "onnxscript", "onnxruntime"), ("fp32", "int8")
    has_streams, builds_quickly, is_machine_code = True, True, False

    def __init__(self, content: bytes):
        self.content = content

    @classmethod
    def build(cls, model: nn.Module, metadata: Metadata, to_onnx: ToOnnx) -> OnnxRuntime:
        return cls(to_onnx().SerializeToString())

    @classmethod
    def read(cls, path: Path) -> tuple[OnnxRuntime, Metadata]:
        with extra("deploy"):
            import onnxruntime  # noqa: F401
        content = path.read_bytes()
        checksum.check(path, content)
        properties = _session(content, threads=1).get_modelmeta().custom_metadata_map
        return cls(content), Metadata.from_json(properties.get(METADATA, ""), path)

    def write(self, path: Path, metadata: Metadata) -> None:
        import onnx

        proto = onnx.load_from_string(self.content)
        onnx.helper.set_model_props(proto, {METADATA: metadata.to_json(), CHECKSUM: checksum.PLACEHOLDER.decode()})
        with replacing(path) as temporary:
            temporary.write_bytes(*checksum.fill_in(proto.SerializeToString()))

    def runner(self, metadata: Metadata, threads: int, streams: int) -> Runner:
        session = _session(self.content, threads // streams)
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]


def _session(content: bytes, threads: int) -> Any:
    with extra("deploy"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors alone
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
