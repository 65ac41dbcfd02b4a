"""The modules that each thread is calling, the innermost last: its layers are those of the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn


class Call(NamedTuple):
    """A call that is under way.

    - `names`: those that the module's layers have been found by so far; and by kind how many were found by a number.
    - `function`: of a block that its function calls.
    - `is_plain`: whether its layers may be computed without `nn.Module.__call__`, see stand_ins.py.
    """

    module: Any  # Layered
    names: dict[Any, int]
    function: Callable[..., Any] | None
    is_plain: bool


class _Thread(threading.local):
    """What this thread is at."""

    build: Any = None  # the Build whose dry run this is
    observer: Callable[[nn.Module, Any], None] | None = None  # is shown what blocks output
    values: Mapping[str, torch.Tensor] = {}  # noqa: RUF012  the next build starts from these

    def __init__(self) -> None:
        self.calls: list[Call] = []


thread = _Thread()
