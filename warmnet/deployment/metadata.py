"""What a deployed file says of itself, and the seal that tells whether it is whole."""

from __future__ import annotations

import functools
import json
import platform
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data.preprocessing import Preprocessing
from ..errors import InputError
from ..version import __version__

FORMAT = 1
BLANK = b"crc32=00000000;"


class DeployError(InputError):
    """A network that cannot be deployed as it was asked for, or a deployed file that cannot be used."""


@dataclass(frozen=True)
class About:
    """A deployed network's description, which its file holds as JSON.

    - `size`: (C, H, W) of the images that it was made for; with `dynamic_size` it takes others too.
    - `preprocessing`: that of its pixels, whose normalization is inside; None for a network of float images (B, C, H, W).
    - `network`: variant, options and so on, as text; `facts`: those of the weights; `checked`: how it compared with the model.
    - `made`: with which versions, on which machine.
    """

    engine: str
    precision: str
    size: tuple[int, int, int]
    dynamic_size: bool = False
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    network: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    checked: dict[str, Any] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        preprocessing = self.preprocessing and self.preprocessing.to_dict()
        return json.dumps({"format": FORMAT, **asdict(self), "preprocessing": preprocessing})

    @classmethod
    def from_json(cls, text: str, where: Path) -> About:
        """What `to_json` gave, as it was."""
        try:
            said = json.loads(text)
            if said.pop("format") > FORMAT:
                raise DeployError(f"{where} was written by a newer warmnet. Update it: pip install -U warmnet")
            said |= {"size": tuple(said["size"]), "classes": tuple(said["classes"])}
            said["preprocessing"] = said["preprocessing"] and Preprocessing.from_dict(said["preprocessing"])
            return cls(**said)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, DeployError):
                raise
            raise DeployError(f"{where} holds a description that is damaged: {error!r}. Export it again.") from error


def describe(
    model: nn.Module, engine: str, precision: str, dynamic_size: bool = False, size: tuple[int, int, int] | None = None
) -> About:
    """The description of `model`, which tells the size of its images itself if it is a `WarmEfficientNet`."""
    preprocessing = getattr(model, "preprocessing", None)
    side = preprocessing.resolution if preprocessing else getattr(model, "resolution", None)
    channels = getattr(model, "in_channels", 3)
    if size is None and side is None:
        raise DeployError(
            f"A {type(model).__name__} does not tell the size of its images. Pass size=(channels, height, width)."
        )
    if preprocessing is not None and channels != 3:
        raise DeployError(
            f"The model's preprocessing gives 3 channels and the network takes {channels}. Set model.preprocessing = None and "
            f"deploy it for float images (B, {channels}, H, W)."
        )
    own: Any = channels, side, side
    if preprocessing is not None and size not in (None, own):
        raise DeployError(f"size={size} is not that of the model's preprocessing, {own}. Leave it out.")
    said = {key: repr(getattr(model, key)) for key in ("variant", "num_classes", "options") if hasattr(model, key)}
    network = {key: re.sub(" at 0x[0-9a-f]+", "", text) for key, text in said.items()}  # another in each process
    network |= {"kind": type(model).__name__, "parameters": f"{sum(p.numel() for p in model.parameters()):,}"}
    facts = json.loads(json.dumps(getattr(model, "metadata", {}), default=str))
    classes = tuple(getattr(model, "classes", ()))
    return About(engine, precision, size or own, dynamic_size, classes, preprocessing, network, facts, made=this_machine())


def this_machine() -> dict[str, str]:
    """What decides whether compiled code runs, and which engine is the fastest: the processor and the versions."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"warmnet": __version__, "torch": torch.__version__, "processor": _processor()}
    for name in ("onnxruntime", "openvino"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Its name, and the instructions that torch uses on it."""
    names = [platform.machine(), platform.processor(), torch.backends.cpu.get_cpu_capability()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith(("model", "cpu family"))][:3]
    return " ".join(dict.fromkeys(filter(None, names)))


def sealed(*parts: bytes) -> tuple[bytes, ...]:
    """`parts`, the last of which holds `BLANK`, with the CRC-32 of all of them in its place."""
    *before, last = parts
    head, _, tail = last.rpartition(BLANK)
    return *before, head + _seal(parts) + tail


def check_seal(where: Path, *parts: bytes) -> None:
    """Raise DeployError unless `sealed` gave these parts."""
    *before, last = parts
    start = last.rfind(BLANK[:6])
    if start < 0:
        raise DeployError(f"{where} was not written by `warmnet export`, or is cut off. Export it again from its model.")
    end = start + len(BLANK)
    if last[start:end] != _seal((*before, last[:start] + BLANK + last[end:])):
        raise DeployError(f"{where} is damaged: its checksum is not that of its content. Export it again, or copy it again.")


def _seal(parts: tuple[bytes, ...]) -> bytes:
    return f"crc32={functools.reduce(lambda crc, part: zlib.crc32(part, crc), parts, 0):08x};".encode()


def comparable(about: Mapping[str, str]) -> tuple[str | None, ...]:
    """What must be equal for compiled code to run."""
    return about.get("torch"), about.get("processor")
