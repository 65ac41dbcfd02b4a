"""How a run is computed: on which device, by how many processes, how precisely, in how much memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from ..deployment.devices import find_device
from ..errors import InputError, extra

with extra("train"):
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy


@dataclass(frozen=True)
class Execution:
    """How a run is computed, which is not what is computed: devices, precision, memory.

    - `device`: 'auto', 'cpu', 'cuda' or 'mps'. `workers`: processes that read images.
    - `precision`: 'fp32', or 'bf16' for all that autocast takes in bfloat16; weights stay float32.
    - `accumulate`: gradient accumulation: parts that a step is computed in, one after the other, for less memory.
    - `activation_checkpointing`: blocks keep their input alone, and compute the rest again going back, for less memory.
    - `compile`: by torch.compile; the first steps take minutes.
    """

    device: str = "auto"
    workers: int = 0
    precision: str = "fp32"
    accumulate: int = 1
    activation_checkpointing: bool = False
    compile: bool = False

    @property
    def processes(self) -> int:
        """How many compute the run together, under torchrun."""
        return int(os.environ.get("WORLD_SIZE", 1))

    def fabric(self) -> Fabric:
        """Lightning's Fabric, launched; under torchrun, one of its processes."""
        find_device(self.device)
        if self.precision not in ("fp32", "bf16"):
            raise InputError(f"precision is {self.precision!r}. Choose fp32 or bf16.")
        if self.accumulate < 1:
            raise InputError(f"accumulate is {self.accumulate}; 1 is the least.")
        precision: Any = {"fp32": "32-true", "bf16": "bf16-mixed"}[self.precision]
        processes: dict[str, Any] = {"devices": 1}
        world, local = self.processes, int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        if world > 1:
            strategy = DDPStrategy(broadcast_buffers=False)
            processes = {"devices": local, "num_nodes": world // local, "strategy": strategy}
        fabric = Fabric(accelerator=self.device, precision=precision, **processes)
        fabric.launch()
        return fabric


def count_processes_and_threads() -> dict[str, int]:
    """How many processes compute a run together, and how many threads each has: with other numbers, sums are rounded otherwise.

    Both are facts of run.json by these names.
    """
    return {"processes": Execution().processes, "threads": torch.get_num_threads()}
