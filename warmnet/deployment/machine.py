"""This machine: its processor, and the versions of what runs on it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from ..version import __version__

PACKAGES = "onnxruntime", "openvino"  # of engines, whose versions decide how fast they are


def this_machine() -> dict[str, str]:
    """What decides whether compiled code runs, and which engine is the fastest: the processor and the versions."""
    machine = {"warmnet": __version__, "torch": torch.__version__, "processor": _processor()}
    for name in PACKAGES:
        try:
            machine[name] = version(name)
        except PackageNotFoundError:
            continue
    return machine


def code_target(machine: Mapping[str, str]) -> tuple[str, str]:
    """What must be equal for compiled code to run: the processor and torch's version; '' for what is not known."""
    return machine.get("processor", ""), machine.get("torch", "")


def _processor() -> str:
    """Its name, and the instructions that torch uses on it."""
    names = [platform.machine(), platform.processor(), torch.backends.cpu.get_cpu_capability()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith(("model", "cpu family"))][:3]
    return " ".join(dict.fromkeys(filter(None, names)))
