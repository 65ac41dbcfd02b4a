"""A training step beside timm, torchvision and ResNet-50, time and peak memory: python benchmarks/training.py

A step is forward, cross-entropy, backward and AdamW, on 16 images of 224x224, channels last, with nothing random in the
networks. Each contender is in a process of its own, as its user would have it, on all cores; in the others' turns it waits.
`kept` is `warmnet.keep_memory` and the fused AdamW, which `warmnet train` has on a CPU; torchvision has them in a row of its
own. Peak memory is that of the process, beyond what was held when the network was built: activations, gradients and the
optimizer's state. It writes training.json beside itself and needs the peers in constraints.txt; see CONTRIBUTING.md.
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
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__)
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE.parents[1]), str(HERE.parent)]
from bench_memory import CLEAR, held  # noqa: E402
from bench_turns import PAUSE  # noqa: E402
from peers.libraries import from_timm, from_torchvision, timm, torchvision  # noqa: E402

import warmnet  # noqa: E402
from warmnet.deployment.about import this_machine  # noqa: E402
from warmnet.training.memory import recompute_blocks  # noqa: E402

BATCH, ROUNDS = 16, 15
PEERS = "timm", "torchvision"


def b0():
    return warmnet.WarmEfficientNet("b0", dropout=0.0, drop_connect=0.0)


def recomputed():
    recompute_blocks(model := b0())
    return model


def stepped(build, kept=False, bf16=False, parts=1, compiled=False):
    """A call that takes one training step and gives the loss."""
    if kept:
        assert warmnet.keep_memory()
    model = build().train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=kept)
    network = torch.compile(model) if compiled else model
    x = torch.randn(BATCH, 3, 224, 224).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH)

    def step():
        for images, targets in zip(x.chunk(parts), labels.chunk(parts)):
            with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
                logits = network(images)
            loss = F.cross_entropy(logits.float(), targets) / parts
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item() * parts

    return step


CONTENDERS = {
    "warmnet": lambda: stepped(b0),
    "warmnet, kept": lambda: stepped(b0, kept=True),
    "warmnet, kept, bf16": lambda: stepped(b0, kept=True, bf16=True),
    "warmnet, kept, recompute": lambda: stepped(recomputed, kept=True),
    "warmnet, kept, accumulate 2": lambda: stepped(b0, kept=True, parts=2),
    "warmnet, kept, compile": lambda: stepped(b0, kept=True, compiled=True),
    "timm": lambda: stepped(lambda: from_timm("b0", None, torch.float32)),
    "torchvision": lambda: stepped(lambda: from_torchvision("b0", None, torch.float32)),
    "torchvision, kept": lambda: stepped(lambda: from_torchvision("b0", None, torch.float32), kept=True),
    "ResNet-50": lambda: stepped(torchvision.models.resnet50),
}


def serve(name, threads, wishes):
    """A contender's process: the seconds of a step for each wish that is true, and at the end its peak of memory."""
    torch.set_num_threads(threads)
    step = CONTENDERS[name]()
    gc.collect()
    CLEAR.write_text("5")  # the peak is what is held now
    before, began = held("VmRSS"), time.perf_counter()
    first = step()
    wishes.send(time.perf_counter() - began)
    assert step() < first, f"{name} does not learn"
    wishes.send(None)
    while wishes.recv():
        began = time.perf_counter()
        step()
        wishes.send(time.perf_counter() - began)
    wishes.send(held("VmHWM") - before)


def main():
    load, threads = os.getloadavg()[0], torch.get_num_threads()
    context, ends, first = multiprocessing.get_context("spawn"), {}, {}
    for name in CONTENDERS:
        ends[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, threads, theirs), daemon=True).start()
        theirs.close()
        first[name] = ends[name].recv()
        ends[name].recv()
    seconds = {name: [] for name in CONTENDERS}
    for i in range(ROUNDS):
        order = [*CONTENDERS][i % len(CONTENDERS) :] + [*CONTENDERS][: i % len(CONTENDERS)]
        for name in order:
            time.sleep(PAUSE)
            ends[name].send(True)
            seconds[name].append(ends[name].recv())
    peaks = {}
    for name, end in ends.items():
        end.send(False)
        peaks[name] = end.recv()
    leanest, rows = min(peaks[name] for name in PEERS), {}
    for name, own in seconds.items():
        ratios = [a / min(turn) for a, turn in zip(own, zip(*(seconds[peer] for peer in PEERS)))]
        rows[name] = {
            "seconds": [statistics.median(own), min(own)],
            "time / faster of timm and torchvision": [statistics.median(ratios), min(ratios)],
            "images/s": BATCH / statistics.median(own),
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
        "unit": f"seconds of a step of {BATCH} images, and ratios in each turn: [median, minimum] of {ROUNDS}",
    }
    HERE.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
