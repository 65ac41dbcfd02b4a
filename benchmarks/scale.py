"""All of Fashion-MNIST, b0 beside timm's, ResNet-18 and MobileNetV2: python benchmarks/scale.py --run NAME

Every network has a stem of stride 1, sees the pictures as they are, 28x28, and is trained by `training.fit`, timm's in a
network of one line. The test pictures choose nothing: what counts is the last epoch. A run that was killed goes on where it was
saved, in runs/scale, and a run that is finished is not made again; their accuracies go to scale.json.

`--time` measures what an epoch takes, on an idle machine: the networks take turns, a step of 128 pictures each, on two threads.
Without an option the table of what is there is printed, and drawn in scale.png. Fashion-MNIST is Debian's package
dataset-fashion-mnist; timm's network and `--time` need the peers of CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1])]
import kept  # noqa: E402
from real_pictures import fashion  # noqa: E402

import warmnet.functional as W  # noqa: E402
from warmnet import training  # noqa: E402
from warmnet.networks.classifier import Classifier  # noqa: E402
from warmnet.networks.families import find_family  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
FOLDER = Path("runs/scale")
TIMES = "seconds for 60,000 pictures"
SMALL = {"stem_stride": 1, "momentum": 0.1}
RECIPE = replace(training.PHOTOS, batch_size=128, lr=0.004, resolution=28, crop=1.0, area=(0.7, 1.0), network=SMALL)


class TimmB0(torch.nn.Module):
    """(B, 3, H, W) -> (B, 1280): timm's b0 with a stem of stride 1, up to its pooled features."""

    def __init__(self) -> None:
        from peers.libraries import timm

        super().__init__()
        self.network = timm.create_model(
            "tf_efficientnet_b0", num_classes=0, drop_path_rate=0.2, bn_momentum=0.1, drop_rate=0.0
        )
        self.network.conv_stem.stride = (1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)


class Timm(Classifier):
    """(B, 3, H, W) -> (B, num_classes): `TimmB0` with a classifier on it."""

    def __init__(self, variant="b0", num_classes=1000, in_channels=3, *, device=None, seed=None, **options):
        super().__init__(variant, num_classes, in_channels, resolution=28, **options)
        self.reduction = 16
        self.warm_up(device, seed)

    def forward(self, x):
        x = W.dropout(W.module(TimmB0, name="timm")(x), 0.2)
        return W.linear(x, self.num_classes, name="classifier")


NETWORKS: dict[str, dict] = {  # what `training.fit` is told of each
    "b0": {"variant": "b0"},
    "timm's b0": {"network": Timm},
    "resnet18": {"variant": "resnet18"},
    "mobilenetv2": {"variant": "mobilenetv2-1.0"},
}
EPOCHS = {"b0": 12, "timm's b0": 12, "resnet18": 3, "mobilenetv2": 2}  # the last two: 14 and 5 minutes, beside 48


def recipe_of(name: str) -> training.Recipe:
    return replace(RECIPE, epochs=EPOCHS[name], network={} if name == "timm's b0" else RECIPE.network)


def run(name: str) -> list[dict[str, float]]:
    """Each epoch of a network's run, a line of its metrics.csv: losses and accuracies, the held-out ones of the test part."""
    folder = FOLDER / name.replace("'", "").replace(" ", "-")
    if len(history(folder)) < EPOCHS[name]:
        resume = (folder / "checkpoint.pt").exists()
        training.fit(fashion(), recipe_of(name), folder, seed=0, resume=resume, **NETWORKS[name])
    return history(folder)


def history(folder: Path) -> list[dict[str, float]]:
    """The epochs of a run so far."""
    path = folder / "metrics.csv"
    rows = csv.DictReader(path.read_text().splitlines()) if path.exists() else []
    return [{key: float(value) for key, value in row.items()} for row in rows]


def time_steps(steps: int = 8) -> dict[str, dict[str, float]]:
    """Seconds that 60,000 pictures take to train on, without reading them: median and minimum of the steps, by turns."""
    x, y = torch.randn(128, 3, 28, 28).to(memory_format=torch.channels_last), torch.randint(10, (128,))
    models = {name: _network(name) for name in NETWORKS}
    optimizers = {name: torch.optim.AdamW(model.parameters(), fused=True) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(steps + 2):
        for name, model in models.items():
            began = time.perf_counter()
            F.cross_entropy(model(x), y).backward()
            optimizers[name].step()
            optimizers[name].zero_grad()
            if turn > 1:
                seconds[name].append((time.perf_counter() - began) * 60_000 / 128)
    return {name: {"median": statistics.median(times), "minimum": min(times)} for name, times in seconds.items()}


def _network(name: str) -> torch.nn.Module:
    kind, options = {**NETWORKS[name]}, recipe_of(name).network
    family = kind.pop("network", None) or find_family(kind["variant"])
    return family(**kind, num_classes=10, **options).train().to(memory_format=torch.channels_last)


def minutes_of(name: str, epochs: int, times: dict[str, dict[str, float]]) -> float:
    """What so many epochs of a run take on an idle machine."""
    return times[name]["median"] * epochs / 60


def table(runs: dict[str, list[dict]], times: dict[str, dict[str, float]]) -> str:
    """Accuracy on the 10,000 test pictures, in Markdown."""
    lines = ["| network | epochs | minutes | after the first epoch, % | after the last, % |", "|---|---|---|---|---|"]
    for name, epochs in runs.items():
        first, last = (epochs[i]["held_out_accuracy"] for i in (0, -1))
        error = 100 * (last * (1 - last) / 10_000) ** 0.5
        cells = name, len(epochs), f"{minutes_of(name, len(epochs), times):.0f}"
        lines.append(f"| {' | '.join(map(str, cells))} | {100 * first:.1f} | {100 * last:.1f} ± {error:.1f} |")
    return "\n".join(lines)


def draw(runs: dict[str, list[dict]], times: dict[str, dict[str, float]], path: Path) -> None:
    """The share that is wrong against minutes, a line for a run."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, epochs in runs.items():
        minutes = [minutes_of(name, epoch["epoch"], times) for epoch in epochs]
        axes.plot(minutes, [1 - epoch["held_out_accuracy"] for epoch in epochs], "o-", markersize=4, label=name)
    axes.set(xlabel="minutes on two idle cores", yscale="log", yticks=(0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5))
    axes.set_title("Fashion-MNIST: wrong of the 10,000 test pictures after each epoch", loc="left")
    axes.yaxis.set(major_formatter=PercentFormatter(1, decimals=0), minor_locator=NullLocator())
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", choices=EPOCHS, action="append", metavar="NAME", help=f"one of {'; '.join(EPOCHS)}")
    parser.add_argument("--time", action="store_true", help="measure what an epoch takes")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.run or ():
        kept.keep(FOUND, name, partial(run, name))
    if options.time:
        kept.keep(FOUND, TIMES, time_steps)
    found = kept.read(FOUND)
    runs = {name: found[name] for name in EPOCHS if name in found}
    if TIMES not in found or not runs:
        raise SystemExit("The table needs a --run and the --time.")
    print(table(runs, found[TIMES]))
    draw(runs, found[TIMES], FOUND.with_suffix(".png"))


if __name__ == "__main__":
    main()
