"""The floor: how long this machine must take for a network, were there nothing but its multiply-adds and its numbers."""

import functools
import time
from typing import NamedTuple

import torch
from torch import nn

import warmnet
from warmnet.networks.families import NAMES

SIDES = 512, 768, 1024, 2048
BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}


class Work(NamedTuple):
    """Multiply-adds of a batch, numbers of the weights, numbers that the convolutions and linear layers give."""

    macs: int
    weights: int
    outputs: int
    largest: int

    @classmethod
    @functools.cache
    def of(cls, variant: str, batch: int) -> "Work":
        model = NAMES[variant](variant, device="meta")
        return cls.of_model(model, batch, model.resolution)

    @classmethod
    def of_model(cls, model: nn.Module, batch: int, size: int) -> "Work":
        table = warmnet.tabulate(model, (batch, 3, size, size))
        blocks = {row.path.rpartition(".")[0] for row in table.rows}
        outputs = [torch.Size(row.shape).numel() for row in table.rows if row.macs and row.path not in blocks and row.shape]
        return cls(table.macs, table.parameters, sum(outputs), max(outputs))


class Floors(NamedTuple):
    """This machine's most operations/s in matrix products, by precision, and bytes/s in a copy: both measured."""

    peaks: dict[str, float]
    bandwidth: float

    def seconds(self, work: Work, precision: str = "fp32", training: bool = False) -> float:
        """max(2 * multiply-adds / peak, bytes / bandwidth), three times that for a training step.

        Bytes are those of the weights, read once, and of the output of each convolution and linear layer, written once and
        read once: batch norm, activation and gate would be part of that. Going back, a layer computes two products where it
        computed one going forward; the optimizer's work comes on top and is not counted. int8 counts as if all of it were.
        It is a floor where bytes come from memory: a batch that stays in the caches can be below it.
        """
        operations = 2 * work.macs / self.peaks[precision]
        traffic = BYTES[precision] * (work.weights + 2 * work.outputs) / self.bandwidth
        return (3 if training else 1) * max(operations, traffic)


def measured(device: str) -> Floors:
    """The floors with torch's number of threads as it is."""
    return Floors({name: _peak(dtype, device) for name, dtype in DTYPES.items()}, _bandwidth(device))


def _peak(dtype: torch.dtype, device: str) -> float:
    """Operations/s of the fastest of several sizes of square matrices."""
    best = 0.0
    for side in SIDES:
        a = torch.ones(side, side, dtype=dtype, device=device)
        product = torch._int_mm if dtype == torch.int8 else torch.mm
        best = max(best, 2 * side**3 / _shortest(lambda product=product, a=a: product(a, a.t())))
    return best


def _bandwidth(device: str) -> float:
    """Bytes/s, read and written, of a copy that no cache holds."""
    a = torch.ones(2**26, device=device)
    b = torch.empty_like(a)
    return 2 * a.nbytes / _shortest(lambda: b.copy_(a))


def _shortest(call) -> float:
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        call()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best
