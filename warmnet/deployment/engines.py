"""The engines: a frozen network in the form of each, as a file and as a function from an array to an array.

An engine is made of a model or read from a file, writes that file, and gives a `runner`. What it needs is imported where it
is used, so that an exported file asks for its own engine alone.
"""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import nn

from ..data.files import replacing
from ..errors import extra
from .archives import AotInductor, Torch
from .metadata import BLANK, About, DeployError, check_seal, sealed

Runner = Callable[[np.ndarray], np.ndarray]
KEY, SEAL = "warmnet", "warmnet_seal"
FIXED = 2  # shapes that OpenVINO compiles a network for, each with its weights; one for any shape is up to a third slower


class Engine(Protocol):
    """What each of the classes below is."""

    suffix: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    precisions: ClassVar[tuple[str, ...]]

    @classmethod
    def of(cls, model: nn.Module, about: About, in_onnx: Callable[[], Any]) -> Engine:
        """`model` for this engine; `in_onnx` gives it as an ONNX ModelProto."""

    @classmethod
    def read(cls, path: Path) -> tuple[Engine, About]: ...

    def write(self, path: Path, about: About) -> None: ...

    def runner(self, about: About, threads: int, streams: int) -> Runner:
        """A function that `streams` threads may call at once, on `threads` cores in all."""


class OnnxRuntime:
    """An ONNX file, its description in metadata_props, and ONNX Runtime to run it."""

    suffix, needs, precisions = ".onnx", ("onnx", "onnxscript", "onnxruntime"), ("fp32", "int8")

    def __init__(self, content: bytes):
        self.content = content

    @classmethod
    def of(cls, model: nn.Module, about: About, in_onnx: Callable[[], Any]) -> OnnxRuntime:
        return cls(in_onnx().SerializeToString())

    @classmethod
    def read(cls, path: Path) -> tuple[OnnxRuntime, About]:
        with extra("deploy"):
            import onnxruntime
        content = path.read_bytes()
        check_seal(path, content)
        found = cls(content)
        session = onnxruntime.InferenceSession(content, found._options(1), ["CPUExecutionProvider"])
        return found, About.from_json(session.get_modelmeta().custom_metadata_map[KEY], path)

    def write(self, path: Path, about: About) -> None:
        import onnx

        proto = onnx.load_from_string(self.content)
        onnx.helper.set_model_props(proto, {KEY: about.to_json(), SEAL: BLANK.decode()})
        with replacing(path) as temporary:
            temporary.write_bytes(*sealed(proto.SerializeToString()))

    def runner(self, about: About, threads: int, streams: int) -> Runner:
        with extra("deploy"):
            import onnxruntime
        session = onnxruntime.InferenceSession(self.content, self._options(threads // streams), ["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]

    @staticmethod
    def _options(threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        return options


def openvino_core() -> Any:
    """This process's one OpenVINO core: one with several crashes when it starts workers later (2026.4.1)."""
    with extra("deploy"):
        import openvino
    return _core_of(openvino)


@cache
def _core_of(openvino: Any) -> Any:
    return openvino.Core()


class OpenVino:
    """An OpenVINO model, an .xml and a .bin, its description in the .xml's rt_info."""

    suffix, needs, precisions = ".xml", ("onnx", "onnxscript", "openvino"), ("fp32", "bf16", "int8")

    def __init__(self, model: Any):
        self.model = model

    @classmethod
    def of(cls, model: nn.Module, about: About, in_onnx: Callable[[], Any]) -> OpenVino:
        return cls(openvino_core().read_model(in_onnx().SerializeToString(), b""))

    @classmethod
    def read(cls, path: Path) -> tuple[OpenVino, About]:
        if not path.with_suffix(".bin").exists():
            raise DeployError(f"{path.with_suffix('.bin')} is missing: an OpenVINO model is the two files. Copy both.")
        xml, weights = path.read_bytes(), path.with_suffix(".bin").read_bytes()
        check_seal(path, weights, xml)
        model = openvino_core().read_model(xml, weights)
        return cls(model), About.from_json(model.get_rt_info(KEY).astype(str), path)

    def write(self, path: Path, about: About) -> None:
        """Both files; the .xml last, whose seal is of both, so that an old one never goes with a new .bin unnoticed."""
        import openvino

        model = self.model.clone()
        model.set_rt_info(about.to_json(), KEY)
        model.set_rt_info(BLANK.decode(), SEAL)
        with tempfile.TemporaryDirectory() as folder:
            openvino.save_model(model, f"{folder}/m.xml", compress_to_fp16=False)
            weights, xml = sealed(Path(folder, "m.bin").read_bytes(), Path(folder, "m.xml").read_bytes())
        for file, content in (path.with_suffix(".bin"), weights), (path, xml):
            with replacing(file) as temporary:
                temporary.write_bytes(content)

    def runner(self, about: About, threads: int, streams: int) -> Runner:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # or the streams of two compiled networks share a core
            "INFERENCE_PRECISION_HINT": "bf16" if about.precision == "bf16" else "f32",
        }
        idle: dict[Any, queue.SimpleQueue[Any]] = {}  # requests, of compiled networks by the shape that they are for
        compiling = threading.Lock()

        def requests(shape: Any) -> queue.SimpleQueue[Any]:
            if shape in idle or None in idle:
                return idle.get(shape) or idle[None]
            with compiling:
                if shape not in idle and len(idle) >= FIXED:
                    shape = None  # any
                if shape not in idle:
                    network = self.model.clone()
                    if shape:
                        network.reshape(shape)
                    compiled = openvino_core().compile_model(network, "CPU", settings)
                    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
                    for _ in range(streams):
                        free.put(compiled.create_infer_request())
                    idle[shape] = free
                return idle[shape]

        def run(x: np.ndarray) -> np.ndarray:
            free = requests(x.shape)
            request = free.get()
            try:
                return np.array(request.infer(x, share_inputs=True)[0])
            finally:
                free.put(request)

        return run


ENGINES: dict[str, type[Any]] = {"onnx": OnnxRuntime, "openvino": OpenVino, "torch": Torch, "aoti": AotInductor}


def installed(engine: str) -> bool:
    """Whether everything that making a network for this engine needs is there."""
    return all(find_spec(name) for name in ENGINES[engine].needs)
