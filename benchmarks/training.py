"""A training step and a forward beside timm, torchvision and ResNet-50, as their users have them: python benchmarks/training.py

A step is forward, cross-entropy, backward and AdamW, on 16 images of 224x224, channels last, with nothing random in the
networks; a forward is one in eval mode. Each contender is in a process of its own, on all cores, and waits in the others'
turns. `kept` is `warmnet.keep_memory` and the fused AdamW, which `warmnet train` has on a CPU; torchvision has them in a row of
its own. Peak memory is that of training, beyond what the process held when the network was built: activations, gradients and
the optimizer's state. It writes training.json beside itself and needs the peers in constraints.txt; see CONTRIBUTING.md.
"""

import gc
import json
import multiprocessing
import os
import statistics
import sys
import time
from contextlib import nullcontext
from datetime import date
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__)
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE.parents[1]), str(HERE.parent)]
from bench_memory import CLEAR, held  # noqa: E402
from bench_turns import take_turns  # noqa: E402
from peers.libraries import from_timm, from_torchvision, timm, torchvision  # noqa: E402

import warmnet  # noqa: E402
from warmnet.deployment.machine import this_machine  # noqa: E402
from warmnet.training.activation_checkpointing import checkpoint_blocks  # noqa: E402

BATCH, SECONDS = 16, 120  # of turns
PEERS = "timm", "torchvision"
STEP, FORWARD = "training step", "forward"


def b0():
    return warmnet.WarmEfficientNet("b0", dropout=0.0, drop_connect=0.0)


def checkpointed():
    checkpoint_blocks(model := b0())
    return model


def ready(build, kept=False, bf16=False, parts=1, compiled=False):
    """What a contender is called for: a training step, which gives the loss, and a forward in eval mode."""
    if kept:
        assert warmnet.keep_memory()
    model = build().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=kept)
    network = torch.compile(model) if compiled else model
    x = torch.randn(BATCH, 3, 224, 224).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH)

    def step():
        model.train()
        for images, targets in zip(x.chunk(parts), labels.chunk(parts)):
            with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
                logits = network(images)
            loss = F.cross_entropy(logits.float(), targets) / parts
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item() * parts

    return {STEP: step, FORWARD: torch.no_grad()(lambda: model.eval()(x))}


CONTENDERS = {
    "warmnet": lambda: ready(b0),
    "warmnet, kept": lambda: ready(b0, kept=True),
    "warmnet, kept, bf16": lambda: ready(b0, kept=True, bf16=True),
    "warmnet, kept, checkpointing": lambda: ready(checkpointed, kept=True),
    "warmnet, kept, accumulate 2": lambda: ready(b0, kept=True, parts=2),
    "warmnet, kept, compile": lambda: ready(b0, kept=True, compiled=True),
    "timm": lambda: ready(lambda: from_timm("b0", None, torch.float32)),
    "torchvision": lambda: ready(lambda: from_torchvision("b0", None, torch.float32)),
    "torchvision, kept": lambda: ready(lambda: from_torchvision("b0", None, torch.float32), kept=True),
    "ResNet-50": lambda: ready(torchvision.models.resnet50),
}


def serve(name, threads, wishes):
    """A contender's process: it does what is wished for until nothing is, and then tells its peak of memory."""
    torch.set_num_threads(threads)
    calls = CONTENDERS[name]()
    gc.collect()
    CLEAR.write_text("5")  # the peak is what is held now
    before, began = held("VmRSS"), time.perf_counter()
    loss = calls[STEP]()
    wishes.send(time.perf_counter() - began)
    assert calls[STEP]() < loss, f"{name} does not learn"
    while wish := wishes.recv():
        calls[wish]()
        wishes.send(None)
    wishes.send(held("VmHWM") - before)


def beside_peers(own, found):
    """A contender's seconds as figures, and their ratios to the faster peer's in each turn."""
    ratios = [a / min(turn) for a, turn in zip(own, zip(*(found[peer] for peer in PEERS)))]
    return {
        "seconds": [statistics.median(own), min(own)],
        "time / faster of timm and torchvision": [statistics.median(ratios), min(ratios)],
        "images/s": BATCH / statistics.median(own),
        "turns": len(own),
    }


def main():
    load, threads = os.getloadavg()[0], torch.get_num_threads()
    context, ends, first = multiprocessing.get_context("spawn"), {}, {}
    for name in CONTENDERS:
        ends[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, threads, theirs), daemon=True).start()
        theirs.close()
        first[name] = ends[name].recv()

    def call(name, wish):
        ends[name].send(wish)
        return ends[name].recv()

    seconds = {}
    for wish, names in {STEP: [*CONTENDERS], FORWARD: [n for n in CONTENDERS if n.count(",") < 2]}.items():
        calls = {name: partial(call, name, wish) for name in names}
        seconds[wish], failed = take_turns(calls, time.perf_counter() + SECONDS)
        assert not failed, failed
    peaks = {name: call(name, None) for name in CONTENDERS}
    leanest, rows = min(peaks[name] for name in PEERS), {}
    for name in CONTENDERS:
        rows[name] = {wish: beside_peers(found[name], found) for wish, found in seconds.items() if name in found}
        rows[name] |= {
            "first step, seconds": first[name],
            "peak bytes": peaks[name],
            "peak / leaner of timm and torchvision": peaks[name] / leanest,
        }
        print(f"{name}: {json.dumps(rows[name])}")
    about = {
        "date": str(date.today()),
        "machine": f"{this_machine()['processor']}, {threads} threads on {os.cpu_count()} cores",
        "load": f"{load:.1f} to {os.getloadavg()[0]:.1f}",
        "versions": {m.__name__: m.__version__ for m in (torch, warmnet, timm, torchvision)},
        "unit": f"seconds of {BATCH} images, and ratios in each turn: [median, minimum]",
    }
    HERE.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
