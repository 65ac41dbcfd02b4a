"""The engines that a network is deployed on, one a file, and the table of them: a new one is a file and a row.

A package whose version decides how fast it is has its place in `PACKAGES` of machine.py.
"""

from __future__ import annotations

from importlib.util import find_spec

from .aot_inductor import AotInductor
from .engine import Engine
from .onnx_runtime import OnnxRuntime
from .openvino import OpenVino
from .torch_export import TorchExport

ENGINES: dict[str, type[Engine]] = {
    "onnx": OnnxRuntime,
    "openvino": OpenVino,
    "torch": TorchExport,
    "aoti": AotInductor,
}


def is_installed(name: str) -> bool:
    """Whether everything that building a network for this engine requires is there."""
    return all(find_spec(package) for package in ENGINES[name].requires)
