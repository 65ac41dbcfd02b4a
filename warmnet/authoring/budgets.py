"""Compound scaling the other way round: from what a network may cost to its width, depth and resolution."""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Callable
from functools import cache
from numbers import Real
from statistics import median
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from ..errors import InputError
from ..networks.classifier import Classifier
from ..networks.efficientnet import Variant, compound, find_variant
from ..networks.families import find_family
from ..spelling import choose_one
from ..summary import tabulate

__all__ = ["within", "cost"]

PHI = range(-800, 801)  # in hundredths: at -8 each stage is down to one block, 8 is about b8


def within(
    *, macs: float | None = None, parameters: float | None = None, memory: float | None = None,
    milliseconds: float | None = None, base: str | Variant = "b0", **options: Any,
) -> Variant:  # fmt: skip
    """The largest variant of compound scaling, with phi from -8 to 8 in hundredths, that keeps within every budget given.

    `cost` says what is counted: `macs`, `parameters`, `memory` in bytes, and `milliseconds`, which are measured. For these at
    most eleven networks are built, `base` first, and none that is more than 4 in phi too large.

    - `base`: what is scaled, such as 'lite0' or 'v2-s'.
    - `options`: those of `WarmEfficientNet` that the network will be built with, such as `num_classes` and `stages`.

    An InputError says if no budget is given, if one is no number above 0, and what phi = -8 takes if that is too much.

    >>> import warmnet
    >>> warmnet.within(parameters=1e6, num_classes=10)
    Variant(width=0.61, depth=0.39, resolution=110, dropout=0.0, options=())
    """
    # the quick ones first: a network that exceeds one of them is not measured
    arguments = {"parameters": parameters, "macs": macs, "memory": memory, "milliseconds": milliseconds}
    budgets = {what: budget for what, budget in arguments.items() if budget is not None}
    if not budgets:
        raise InputError(f"No budget. Pass one or more of {', '.join(arguments)}.")
    for what, budget in budgets.items():
        if not isinstance(budget, Real) or not budget > 0:
            raise InputError(f"{what}={budget!r} must be a number above 0.")

    @cache  # so that a time is measured once
    def excess(hundredths: int) -> str:
        """The first budget that is exceeded, and by what; '' if none is. All costs but time can only grow with phi."""
        for what, budget in budgets.items():
            amount = cost(what, variant_at(hundredths, base), **options)
            if amount > budget:
                return f"{what}={budget}: it takes {round(amount, 1):,}"
        return ""

    fitting = bisect(PHI, "", key=excess)  # how many steps of phi keep within: "" comes before any excess
    if not fitting:
        smallest = variant_at(PHI[0], base)._replace(options=())
        raise InputError(f"Even phi = {PHI[0] / 100:g}, {smallest}, exceeds {excess(PHI[0])}. Allow more.")
    return variant_at(PHI[fitting - 1], base)


def variant_at(hundredths: int, base: str | Variant = "b0") -> Variant:
    """`base` after compound scaling by phi = hundredths / 100, its width and depth rounded to hundredths."""
    base, b0, scaled = find_variant(base), compound(0), compound(hundredths / 100)
    return base._replace(
        width=round(base.width * scaled.width, 2),
        depth=round(base.depth * scaled.depth, 2),
        resolution=2 * round(base.resolution * scaled.resolution / b0.resolution / 2),
        dropout=round(min(max(base.dropout + scaled.dropout - b0.dropout, 0.0), 0.5), 2),
    )


def cost(what: str, variant: str | Variant, **options: Any) -> float:
    """What a network costs, for one image of its resolution; all but time is counted on 'meta', without allocating anything.

    - `variant`: its name, such as 'b0' or 'resnet50', or a `Variant`.
    - `what`: 'parameters', their number. 'macs', multiply-adds as `tabulate` counts them. 'memory', bytes for training with
      AdamW: weights, gradients and two moments, and what is kept for going back on a CPU. 'milliseconds', of a forward in
      eval mode, channels_last, on this CPU with torch's threads as they are: the median of five calls, warmed up.
    - `options`: those of its class.

    >>> from warmnet.authoring.budgets import cost
    >>> cost('macs', 'b0'), cost('parameters', 'b0', num_classes=10)
    (385814752, 4020358)
    """
    if what not in COSTS:
        raise InputError(f"Unknown cost {what!r}. {choose_one(what, COSTS)}.")
    return COSTS[what](find_family(variant)(variant, **options, device="meta"))


def _memory(model: Classifier) -> int:
    """Bytes for a training step with AdamW: four of each parameter, and what autograd saves for the backward pass."""
    saved = set[torch.UntypedStorage]()
    with torch.enable_grad(), saved_tensors_hooks(lambda x: saved.add(x.untyped_storage()), lambda nothing: nothing):
        model.train()(_image(model, "meta"))
    state = {tensor.untyped_storage() for tensor in (*model.parameters(), *model.buffers())}
    return 4 * sum(p.nbytes for p in model.parameters()) + sum(storage.nbytes() for storage in saved - state)


@torch.no_grad()
def _milliseconds(model: Classifier) -> float:
    """The median time of five calls of the same network on this CPU."""
    model = type(model)(model.variant, model.num_classes, model.in_channels, device="cpu", **model.options).eval()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = _image(model, "cpu").fill_(1)
    torch.empty(30_000_000, dtype=torch.uint8)  # once it was freed, glibc keeps what is freed, as in a process that ran a while
    times = list[float]()
    while len(times) < 5 or sum(times) < 0.2:
        start = time.perf_counter()
        model(image)
        times.append(time.perf_counter() - start)
    return 1e3 * median(times[-5:])  # the first are slower


def _image(model: Classifier, device: str) -> torch.Tensor:
    shape = 1, model.in_channels, model.resolution, model.resolution
    return torch.empty(shape, device=device, memory_format=torch.channels_last)


COSTS: dict[str, Callable[[Classifier], float]] = {  # what each counts in a network on 'meta'
    "parameters": lambda model: sum(p.numel() for p in model.parameters()),
    "macs": lambda model: tabulate(model).macs,
    "memory": _memory,
    "milliseconds": _milliseconds,
}
