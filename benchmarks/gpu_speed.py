"""Forwards and training steps of five networks beside timm's and torchvision's."""

import itertools
import time
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from gpu_contenders import MINE, NCHW, TIMM, TORCHVISION, amp, apart, contenders, pictures, put
from gpu_run import LATE, Add, Row, Settings, reason
from gpu_turns import Calls, captured, contest, peak_bytes, seconds_of
from torch import Tensor, nn

LIBRARIES = TIMM, TORCHVISION
NEEDS_CUDA = "not measured: needs --device cuda"
ALLOWED = 0.1  # of the largest logit: what bfloat16 may make of it, and a network that computes something else does not


def forward(settings: Settings, add: Add, until: float) -> None:
    """As it comes, and as a CUDA graph; in bf16."""
    for variant in settings.variants:
        if time.monotonic() > until:
            add({"variant": variant, "missing": LATE})
            continue
        networks, wanted = in_bf16(settings, variant)
        for batch in settings.batches:
            x = pictures(batch, settings.side).bfloat16()
            calls = {name: partial(network, put(x, settings, name)) for name, network in networks.items()}
            for mode in "eager", "eager, CUDA graph":
                add(of_forwards(settings, variant, mode, batch, calls, wanted, until))


def compiled(settings: Settings, add: Add, until: float) -> None:
    """b0 torch.compile'd, and that as a CUDA graph. Compiling takes long: batches near 64 come first.

    The dry run's backend is not Inductor, and its contenders are two: a C++ compiler would take minutes.
    """
    networks, wanted = in_bf16(settings, "b0")
    del networks[NCHW]
    backend, longest = "inductor", 0.0
    if settings.tiny:
        backend, networks = "aot_eager", {name: networks[name] for name in (MINE, TIMM)}
    for batch in sorted(settings.batches, key=lambda batch: abs(batch - 64)):
        torch._dynamo.reset()
        x = put(pictures(batch, settings.side), settings).bfloat16()
        calls, cells = Calls(), dict[str, Row]()
        for name, network in networks.items():
            began = time.monotonic()
            if began + 1.2 * longest + 2 * settings.rounds * settings.turn * len(networks) > until:
                cells[name] = {"missing": LATE}
                continue
            calls[name] = torch.no_grad()(partial(torch.compile(network, dynamic=False, backend=backend), x))
            try:
                seconds_of(calls[name], 1)
                cells[name] = {"compiling": time.monotonic() - began}
            except Exception as error:  # of a compiler, a driver: anything
                cells[name] = {"missing": reason(error)}
                del calls[name]
            longest = max(longest, time.monotonic() - began)
        for mode in "compiled", "compiled, CUDA graph":
            add({**of_forwards(settings, "b0", mode, batch, calls, wanted, until, cells), "backend": backend})


def in_bf16(settings: Settings, variant: str) -> tuple[dict[str, nn.Module], dict[str, Tensor]]:
    """The contenders, and what each makes of two pictures in float32."""
    networks = {name: put(network.eval(), settings, name) for name, network in contenders(variant).items()}
    x = pictures(2, settings.side)
    with torch.no_grad():
        wanted = {name: network(put(x, settings, name)).cpu() for name, network in networks.items()}
    return {name: network.bfloat16() for name, network in networks.items()}, wanted


def of_forwards(
    settings: Settings, variant: str, mode: str, batch: int, calls: Calls, wanted: dict[str, Tensor], until: float,
    known: dict[str, Row] | None = None,
) -> Row:  # fmt: skip
    """The contest of those calls, each of which must give the wanted logits of its first pictures, and their peaks."""
    row: Row = {"variant": variant, "mode": mode, "batch": batch, "side": settings.side, "precision": "bf16"}
    graphs = mode.endswith("CUDA graph")
    if graphs and settings.device != "cuda":
        return row | {"missing": NEEDS_CUDA}
    if time.monotonic() > until:
        return row | {"missing": LATE}
    cells = {name: dict(cell) for name, cell in (known or dict.fromkeys(calls, {})).items()}
    ready = Calls()
    with torch.no_grad():
        for name, call in calls.items():
            try:
                call()  # chooses its algorithms
                cells[name]["peak bytes"] = peak_bytes(call)
                ready[name] = captured(call) if graphs else call
                away = apart(ready[name](), wanted[name][:batch])
                assert away <= ALLOWED, f"its logits are {away:.1e} of the largest away from float32's"
                cells[name]["error"] = away
            except Exception as error:  # of a library, a compiler, a driver: anything
                ready.pop(name, None)
                cells[name]["missing"] = reason(error)
        return contest(row, ready, cells, LIBRARIES, until, settings.rounds, settings.turn)


def training(settings: Settings, add: Add, until: float) -> None:
    """AMP bf16, fused AdamW, nothing random in the networks. A peak is of weights, optimizer and step."""
    for batch, variant in itertools.product(settings.training_batches, settings.variants):
        row: Row = {"variant": variant, "batch": batch, "side": settings.side, "precision": "AMP bf16"}
        if time.monotonic() > until:
            add(row | {"missing": LATE})
            continue
        x = pictures(batch, settings.side)
        labels = torch.arange(batch, device=settings.device) % 1000
        calls, cells, first = Calls(), dict[str, Row](), dict[str, Tensor]()
        for name, network in contenders(variant).items():
            before = torch.cuda.memory_allocated() if settings.device == "cuda" else None
            cells[name] = {}
            try:
                network = put(network.train(), settings, name)
                optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
                calls[name] = partial(step, settings, network, optimizer, put(x, settings, name), labels)
                first[name] = calls[name]()  # makes the optimizer's state
                cells[name]["peak bytes"] = peak_bytes(calls[name], before)
            except Exception as error:  # of a library, a driver: anything
                calls.pop(name, None)
                cells[name]["missing"] = reason(error)
        found = contest(row, calls, cells, LIBRARIES, until, settings.rounds, settings.turn)
        for name, call in calls.items():
            loss = call()
            learned = loss < first[name] or settings.device == "cpu"  # where there are too few steps to tell
            if "missing" not in found["cells"][name] and not (learned and loss.isfinite()):
                found["cells"][name]["missing"] = "failed: it does not learn"
        add(found)


def step(settings: Settings, network: nn.Module, optimizer: Any, x: Tensor, labels: Tensor) -> Tensor:
    with amp(settings, torch.bfloat16):
        loss = F.cross_entropy(network(x), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()
