"""Print versions, devices, extras and caches: what to tell with a question or a bug report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ..deployment.engine_choice import cache_file
from ..version import __version__

PACKAGES = (
    "pywarm", "numpy", "safetensors", "Pillow", "lightning-fabric", "scikit-learn", "matplotlib", "rich", "optuna",
    "huggingface_hub", "h5py", "onnx", "onnxruntime", "openvino", "triton", "ipython",
)  # fmt: skip
DEVELOPERS = "test", "docs", "dev"  # extras of those who work on warmnet itself
MISSING = "not installed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs. Default: for people")
    parser.epilog = "example: warmnet info --json"


def run(arguments: argparse.Namespace) -> None:
    parts = {"versions": versions(), "devices": devices(), "extras": extras(), "caches": caches()}
    if arguments.json:
        print(json.dumps(parts, indent=2))
        return
    for title, part in parts.items():
        print(f"{title}:")
        width = max(map(len, part), default=0)
        for name, value in part.items():
            print(f"  {name:{width}}  {value}")


def versions() -> dict[str, str]:
    """What is installed, by name: its version, of torch its build, too."""
    build = [f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build", torch.backends.cpu.get_cpu_capability()]
    return {
        "warmnet": f"{__version__} in {Path(__file__).parents[1]}",
        "python": f"{platform.python_version()} on {platform.platform()}",
        "torch": f"{torch.__version__} ({', '.join(build)})",
        **{name: _version(name) or MISSING for name in PACKAGES},
    }


def devices() -> dict[str, str]:
    """The devices that --device takes, and the threads that torch computes with."""
    found = {"cpu": f"threads: {torch.get_num_threads()}, cores: {os.cpu_count()}"}
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        found[f"cuda:{number}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple's"
    return found


def extras() -> dict[str, str]:
    """By extra whether all that it brings is installed, or what to do."""
    try:
        requirements = metadata.requires("warmnet") or []
    except metadata.PackageNotFoundError:
        return {"unknown": "warmnet itself is not installed by pip"}
    packages: dict[str, list[str]] = {}
    for requirement in requirements:
        found = re.fullmatch(r"([\w.-]+).*extra == ['\"](\w+)['\"]", requirement)
        if found and found[2] not in DEVELOPERS:
            packages.setdefault(found[2], []).append(found[1])
    return {extra: _extra_state(extra, names) for extra, names in packages.items()}


def _extra_state(extra: str, names: list[str]) -> str:
    missing = [name for name in names if _version(name) is None]
    return f"without {', '.join(missing)}: pip install 'warmnet[{extra}]'" if missing else "installed"


def caches() -> dict[str, Any]:
    """What is kept between runs, by what it is: its path and size."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    paths = {"engine times": cache_file(), "Hugging Face Hub": Path(os.environ.get("HF_HUB_CACHE") or home / "hub")}
    return {name: f"{path}, {_size(path)}" for name, path in paths.items()}


def _size(path: Path) -> str:
    """The size of a file, or of all files in a folder, links aside."""
    files = path.rglob("*") if path.is_dir() else [path]
    size = sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())
    return f"{size / 1e6:,.1f} MB" if path.exists() else "not there yet"


def _version(package: str) -> str | None:
    """The version of an installed package; the package is not imported for it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
