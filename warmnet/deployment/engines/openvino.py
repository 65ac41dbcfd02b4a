"""OpenVINO: an .xml and a .bin file, with the metadata in the .xml's rt_info."""

from __future__ import annotations

import queue
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ...data.files import replacing
from ...errors import extra
from .. import checksum
from ..errors import DeployError
from ..metadata import Metadata
from .engine import Engine, Runner, ToOnnx

METADATA, CHECKSUM = "warmnet", "warmnet_checksum"  # keys in the file
MOST_FIXED = 2  # shapes that a network is compiled for, each with its weights; one for any shape is up to a third slower


class OpenVino(Engine):
    """A network in OpenVINO's form."""

    suffix, companions = ".xml", (".bin",)
    requires, precisions = ("onnx", "onnxscript", "openvino"), ("fp32", "bf16", "int8")
    has_streams, builds_quickly, is_machine_code = True, True, False

    def __init__(self, model: Any):
        self.model = model

    @classmethod
    def build(cls, model: nn.Module, metadata: Metadata, to_onnx: ToOnnx) -> OpenVino:
        return cls(openvino_core().read_model(to_onnx(results_in_int8=False).SerializeToString(), b""))

    @classmethod
    def read(cls, path: Path) -> tuple[OpenVino, Metadata]:
        weights_path = path.with_suffix(".bin")
        if not weights_path.exists():
            raise DeployError(f"{weights_path} is missing: an OpenVINO model is the two files. Copy both.")
        xml, weights = path.read_bytes(), weights_path.read_bytes()
        checksum.check(path, weights, xml)
        model = openvino_core().read_model(xml, weights)
        return cls(model), Metadata.from_json(model.get_rt_info(METADATA).astype(str), path)

    def write(self, path: Path, metadata: Metadata) -> None:
        """Both files; the .xml last, whose checksum is of both, so that an old one never goes with a new .bin unnoticed."""
        import openvino

        model = self.model.clone()
        model.set_rt_info(metadata.to_json(), METADATA)
        model.set_rt_info(checksum.PLACEHOLDER.decode(), CHECKSUM)
        with tempfile.TemporaryDirectory() as folder:
            openvino.save_model(model, f"{folder}/m.xml", compress_to_fp16=False)
            weights, xml = checksum.fill_in(Path(folder, "m.bin").read_bytes(), Path(folder, "m.xml").read_bytes())
        for file, content in (path.with_suffix(".bin"), weights), (path, xml):
            with replacing(file) as temporary:
                temporary.write_bytes(content)

    def runner(self, metadata: Metadata, threads: int, streams: int) -> Runner:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # or the streams of two compiled networks share a core
            "INFERENCE_PRECISION_HINT": "bf16" if metadata.precision == "bf16" else "f32",
        }
        return CompiledForShapes(self.model, settings, streams)


class CompiledForShapes:
    """A function from inputs to logits, compiled for the first shapes that come, and once for any other."""

    def __init__(self, model: Any, settings: dict[str, Any], streams: int):
        self.model, self.settings, self.streams = model, settings, streams
        self.idle: dict[Any, queue.SimpleQueue[Any]] = {}  # requests of compiled networks, by shape; None for any
        self.compiling = threading.Lock()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        requests = self._requests(x.shape)
        request = requests.get()
        try:
            return np.array(request.infer(x, share_inputs=True)[0])
        finally:
            requests.put(request)

    def _requests(self, shape: tuple[int, ...]) -> queue.SimpleQueue[Any]:
        """The requests of the network that was compiled for that shape, as many as there are streams."""
        if shape in self.idle or None in self.idle:
            return self.idle.get(shape) or self.idle[None]
        with self.compiling:
            key = shape if shape in self.idle or len(self.idle) < MOST_FIXED else None
            if key not in self.idle:
                self.idle[key] = self._compile(key)
            return self.idle[key]

    def _compile(self, shape: tuple[int, ...] | None) -> queue.SimpleQueue[Any]:
        network = self.model.clone()
        if shape is not None:
            network.reshape(shape)
        compiled = openvino_core().compile_model(network, "CPU", self.settings)
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.streams):
            requests.put(compiled.create_infer_request())
        return requests


def openvino_core() -> Any:
    """This process's one OpenVINO core: one with several crashes when it starts workers later (2026.4.1)."""
    with extra("deploy"):
        import openvino
    return _core_of(openvino)


@cache
def _core_of(openvino: Any) -> Any:
    return openvino.Core()
