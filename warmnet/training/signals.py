"""SIGTERM and Ctrl-C in the middle of a step."""

from __future__ import annotations

import signal
import threading
from typing import Any

import torch
from lightning_fabric import Fabric


class Signals:
    """SIGTERM and Ctrl-C wait for the end of a step; a second one does not."""

    def __init__(self, fabric: Fabric):
        self.fabric, self.signal, self.agreed = fabric, 0, 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def _note(self, number: int, _: Any) -> None:
        if self.signal:
            self.__exit__()
            signal.raise_signal(number)
        self.signal = number

    def arrived(self, step: int = 0, due: bool = False) -> bool:
        """Whether one came to any of the processes, or `due` holds for any: on a GPU they ask at every tenth step."""
        self.agreed = self.signal
        if self.fabric.world_size > 1:
            if step % 10 and self.fabric.device.type != "cpu":
                return False
            answers: Any = self.fabric.all_reduce(torch.tensor([self.signal, due]), reduce_op="max")
            self.agreed, due = answers.tolist()
        return bool(self.agreed or due)

    def raise_arrived(self) -> None:
        """Do what the signal would have done, if all know of one."""
        if self.agreed:
            self.__exit__()
            signal.raise_signal(self.agreed)
