"""Building and eager inference beside timm and torchvision, contenders taking turns: python benchmarks/eager.py

It prints a table of medians (minima) and the ratio to the faster peer, pair by pair, and writes eager.json beside itself. It
needs the peers in constraints.txt; see CONTRIBUTING.md.
"""

import json
import platform
import statistics
import sys
import time
from datetime import date
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1])]
from peers.libraries import from_timm, from_torchvision, pair, timm, torchvision  # noqa: E402

import warmnet  # noqa: E402

MINE = "warmnet"


def take_turns(contenders, rounds, times):
    """Seconds of each call of each contender: `rounds` rounds, in each of them every contender `times` times in a row."""
    seconds = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for i in range(rounds):
        order = list(contenders.items())
        for name, call in order[i % len(order) :] + order[: i % len(order)]:
            began = time.perf_counter()
            for _ in range(times):
                call()
            seconds[name].append((time.perf_counter() - began) / times)
    return seconds


def builds():
    """Of each network, the calls that build it."""
    for variant in ("b0", "b7"):
        yield (
            f"build {variant}",
            {
                MINE: lambda v=variant: warmnet.WarmEfficientNet(v),
                "timm": lambda v=variant: from_timm(v, None, torch.float32),
                "torchvision": lambda v=variant: from_torchvision(v, None, torch.float32),
            },
            9 if variant == "b0" else 5,
            1,
        )

    def timm_on_meta():
        with torch.device("meta"):
            from_timm("l2", None, torch.float32)

    yield "build l2 on meta", {MINE: lambda: warmnet.WarmEfficientNet("l2", device="meta"), "timm": timm_on_meta}, 5, 1


def forwards():
    """Of each size and layout, the calls of b0 with the same weights. torchvision pads on both sides: an easier job."""
    ours, timms = pair("timm", "b0", (224, 224), torch.float32)
    _, torchvisions = pair("torchvision", "b0", (224, 224), torch.float32)
    networks = {MINE: ours.eval(), "timm": timms.eval(), "torchvision": torchvisions.eval()}
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(ours(x), timms(x), rtol=1e-4, atol=1e-4) and ours(x).std() > 0.01
    for layout in (torch.contiguous_format, torch.channels_last):
        networks = {name: network.to(memory_format=layout) for name, network in networks.items()}
        for threads, shape, rounds, times in (
            (1, (1, 3, 32, 32), 60, 10),
            (2, (1, 3, 224, 224), 40, 3),
            (2, (16, 3, 224, 224), 12, 1),
        ):
            torch.set_num_threads(threads)
            x = torch.randn(shape).to(memory_format=layout)
            name = (
                f"b0 {'x'.join(map(str, shape))}, {str(layout).removeprefix('torch.')}, {threads} thread{'s' * (threads > 1)}"
            )
            yield name, {name: lambda network=network, x=x: network(x) for name, network in networks.items()}, rounds, times


def main():
    rows = {}
    with torch.no_grad():
        for scene in (builds, forwards):
            for name, contenders, rounds, times in scene():
                seconds = take_turns(contenders, rounds, times)
                peers = [key for key in contenders if key != MINE]
                ratios = [max(mine / seconds[p][i] for p in peers) for i, mine in enumerate(seconds[MINE])]
                rows[name] = {key: [statistics.median(s), min(s)] for key, s in seconds.items()}
                rows[name]["ratio"] = [statistics.median(ratios), min(seconds[MINE]) / min(min(seconds[p]) for p in peers)]
                cells = [f"{key} {1e3 * a:.2f} ({1e3 * b:.2f})" for key, (a, b) in rows[name].items() if key != "ratio"]
                print(f"{name}: {', '.join(cells)} ms; ratio {rows[name]['ratio'][0]:.2f} ({rows[name]['ratio'][1]:.2f})")
    about = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {m.__name__: m.__version__ for m in (torch, warmnet, timm, torchvision)},
        "unit": "seconds, [median, minimum]; ratio to the faster peer of each turn, [median, of the minima]",
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
