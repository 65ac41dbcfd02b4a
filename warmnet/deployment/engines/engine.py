"""What an engine is: a frozen network in its form, as a file and as a function from an array to an array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import nn

from ..metadata import Metadata

Runner = Callable[[np.ndarray], np.ndarray]


class ToOnnx(Protocol):
    """A function that gives a network as an ONNX ModelProto, made when it is first asked for."""

    def __call__(self, *, results_in_int8: bool = True) -> Any:
        """`results_in_int8`: in precision 'int8', whether convolutions round their results, too, not their inputs alone."""


class Engine(Protocol):
    """A network for one engine: built from a model or read from a file. Each of the files beside this one has such a class.

    What the engine needs is imported where it is used, so that an exported file asks for its own engine alone.

    - `suffix`: the ending of its file. `companions`: those of files that it writes beside it.
    - `requires`: the packages without which none is built.
    - `precisions`: those of 'fp32', 'bf16' and 'int8' that it computes in.
    - `has_streams`: whether several threads can compute at once, each an image.
    - `builds_quickly`: whether `deploy` tries it when it looks for the fastest.
    - `is_machine_code`: whether opening its file runs code that is in it.
    """

    suffix: ClassVar[str]
    companions: ClassVar[tuple[str, ...]]
    requires: ClassVar[tuple[str, ...]]
    precisions: ClassVar[tuple[str, ...]]
    has_streams: ClassVar[bool]
    builds_quickly: ClassVar[bool]
    is_machine_code: ClassVar[bool]

    @classmethod
    def build(cls, model: nn.Module, metadata: Metadata, to_onnx: ToOnnx) -> Engine:
        """`model` for this engine; `to_onnx` gives it as ONNX."""

    @classmethod
    def read(cls, path: Path) -> tuple[Engine, Metadata]:
        """What `write` wrote; a DeployError if the file is damaged or something else."""

    def write(self, path: Path, metadata: Metadata) -> None:
        """Write the file, whole or not at all."""

    def runner(self, metadata: Metadata, threads: int, streams: int) -> Runner:
        """A function from inputs to logits that `streams` threads may call at once, on `threads` cores in all."""
