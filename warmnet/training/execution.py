"""How a run is computed: on which device, by how many processes, how precisely, in how much memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import InputError, extra

with extra("train"):
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy


def found(device: str) -> str:
    """That device, or for 'auto' the best there is; an InputError if it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    have = [name for name in there if there[name]]
    if device not in ("auto", *have):
        raise InputError(f"device {device!r} is not there. Choose one of auto, {', '.join(have)}.")
    return have[0] if device == "auto" else device


@dataclass(frozen=True)
class Engine:
    """How a run is computed, which is not what is computed: devices, precision, memory.

    - `device`: 'auto', 'cpu', 'cuda' or 'mps'. `workers`: processes that read images.
    - `precision`: 'fp32', or 'bf16' for all that autocast takes in bfloat16; weights stay float32.
    - `accumulate`: parts that a step is computed in, one after the other, for less memory.
    - `recompute`: blocks keep no activations but their input, and compute them again going back, for less memory.
    - `compile`: by torch.compile; the first steps take minutes.
    """

    device: str = "auto"
    workers: int = 0
    precision: str = "fp32"
    accumulate: int = 1
    recompute: bool = False
    compile: bool = False

    def fabric(self) -> Fabric:
        """Lightning's Fabric, launched; under torchrun, one of its processes."""
        found(self.device)
        if self.precision not in ("fp32", "bf16"):
            raise InputError(f"precision is {self.precision!r}. Choose fp32 or bf16.")
        if self.accumulate < 1:
            raise InputError(f"accumulate is {self.accumulate}; 1 is the least.")
        world, local = (int(os.environ.get(key, 1)) for key in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        processes = {"devices": local, "num_nodes": world // local, "strategy": DDPStrategy(broadcast_buffers=False)}
        precision: Any = {"fp32": "32-true", "bf16": "bf16-mixed"}[self.precision]
        fabric = Fabric(accelerator=self.device, precision=precision, **(processes if world > 1 else {"devices": 1}))
        fabric.launch()
        return fabric
