"""A training step beside timm, torchvision and ResNet-50, time and peak memory: python benchmarks/training.py

A step is forward, cross-entropy, backward and AdamW, on 8 images of 224x224, with nothing random in the networks. Contenders
take turns; the time is that of the processor, on one thread, so that a machine with other work on it tells nearly the same.
Peak memory is that of two steps, each contender in a process of its own, beyond what was held when the network was built:
activations, gradients and the optimizer's state. It writes training.json beside itself and needs the peers in constraints.txt;
see CONTRIBUTING.md.
"""

import gc
import json
import multiprocessing
import os
import platform
import re
import statistics
import sys
import time
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__)
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE.parents[1])]
from peers.libraries import from_timm, from_torchvision, timm, torchvision  # noqa: E402

import warmnet  # noqa: E402
from warmnet.training.memory import recompute_blocks  # noqa: E402

BATCH, ROUNDS = 8, 5
LAST = torch.channels_last


def b0():
    return warmnet.WarmEfficientNet("b0", dropout=0.0, drop_connect=0.0)


def recomputed():
    recompute_blocks(model := b0())
    return model


def stepped(model, layout=torch.contiguous_format, bf16=False, parts=1):
    """A call that takes one training step and gives the loss."""
    model = model.train().to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    x = torch.randn(BATCH, 3, 224, 224).to(memory_format=layout)
    labels = torch.arange(BATCH)

    def step():
        for images, targets in zip(x.chunk(parts), labels.chunk(parts)):
            with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
                logits = model(images)
            loss = F.cross_entropy(logits.float(), targets) / parts
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item() * parts

    return step


CONTENDERS = {
    "warmnet": lambda: stepped(b0()),
    "warmnet, channels_last": lambda: stepped(b0(), LAST),
    "warmnet, channels_last, bf16": lambda: stepped(b0(), LAST, bf16=True),
    "warmnet, channels_last, recompute": lambda: stepped(recomputed(), LAST),
    "warmnet, channels_last, accumulate 2": lambda: stepped(b0(), LAST, parts=2),
    "warmnet, channels_last, compile": lambda: stepped(torch.compile(b0().to(memory_format=LAST)), LAST),
    "timm": lambda: stepped(from_timm("b0", None, torch.float32)),
    "timm, channels_last": lambda: stepped(from_timm("b0", None, torch.float32), LAST),
    "torchvision": lambda: stepped(from_torchvision("b0", None, torch.float32)),
    "torchvision, channels_last": lambda: stepped(from_torchvision("b0", None, torch.float32), LAST),
    "ResNet-50": lambda: stepped(torchvision.models.resnet50()),
    "ResNet-50, channels_last": lambda: stepped(torchvision.models.resnet50(), LAST),
}
BASE = "timm, channels_last"


def memory(what):
    return int(re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def peak(name):
    """Bytes that two steps of a contender take at most, beyond what is held before them."""
    step = CONTENDERS[name]()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now
    before = memory("VmRSS")
    step(), step()
    return memory("VmHWM") - before


def take_turns(steps):
    """Processor seconds of each step of each contender, in rounds that begin with another one each."""
    seconds = {name: [] for name in steps}
    for i in range(ROUNDS):
        order = [*steps][i % len(steps) :] + [*steps][: i % len(steps)]
        for name in order:
            began = time.process_time()
            steps[name]()
            seconds[name].append(time.process_time() - began)
    return seconds


def main():
    load, peaks = os.getloadavg()[0], {}
    for name in CONTENDERS:
        with multiprocessing.get_context("fork").Pool(1) as process:
            peaks[name] = process.apply(peak, [name])
    steps = {name: build() for name, build in CONTENDERS.items()}
    for name, step in steps.items():
        first, second = step(), step()
        assert second < first, f"{name} does not learn"
    seconds = take_turns(steps)
    rows = {}
    for name, own in seconds.items():
        ratios = [a / b for a, b in zip(own, seconds[BASE])]
        rows[name] = {
            "seconds": [statistics.median(own), min(own)],
            f"time / {BASE}": [statistics.median(ratios), min(own) / min(seconds[BASE])],
            "peak bytes": peaks[name],
            f"peak / {BASE}": peaks[name] / peaks[BASE],
        }
        print(f"{name}: {json.dumps(rows[name])}")
    about = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, 1 thread, {torch.backends.cpu.get_cpu_capability()}",
        "load": f"{load:.1f} to {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        "versions": {m.__name__: m.__version__ for m in (torch, warmnet, timm, torchvision)},
        "unit": f"processor seconds of a step of {BATCH} images, and ratios: [median, minimum] of {ROUNDS}",
    }
    HERE.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
