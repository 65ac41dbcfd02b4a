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
        self.fabric = fabric
        self.signal = 0  # that came to this process
        self.agreed_signal = 0  # that came to any of them, as all know
        self.previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in signal.SIGINT, signal.SIGTERM:
                self.previous_handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)
        self.previous_handlers = {}

    def _receive(self, number: int, _: Any) -> None:
        """Keep the first signal for later; do what the second would have done."""
        if self.signal:
            self.__exit__()
            signal.raise_signal(number)
        self.signal = number

    def arrived(self, step: int = 0, due: bool = False) -> bool:
        """Whether one came to any of the processes, or `due` holds for any: on a GPU they ask at every tenth step."""
        self.agreed_signal = self.signal
        if self.fabric.world_size > 1:
            if step % 10 and self.fabric.device.type != "cpu":
                return False
            answers: Any = self.fabric.all_reduce(torch.tensor([self.signal, due]), reduce_op="max")
            self.agreed_signal, due = answers.tolist()
        return bool(self.agreed_signal or due)

    def raise_arrived(self) -> None:
        """Do what the signal would have done, if all know of one."""
        if self.agreed_signal:
            self.__exit__()
            signal.raise_signal(self.agreed_signal)
