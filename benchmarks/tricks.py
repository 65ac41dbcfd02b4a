"""What each trick of the paper's recipe is worth from scratch, on few, partly wrong labels: python benchmarks/tricks.py --run

scikit-learn's scanned digits at 32x32: 25 of each class to train on, 50 of their 250 labels wrong, drawn by the seed; all 364
held-out digits, their labels right, say how good the network is after the last epoch. Each row is the reference with one thing
changed, with the same digits, wrong labels and initial weights for the same seed.

The reference is the paper's recipe, its 350 epochs shortened to 26 passes: `Recipe.rate` shrinks warm-up and staircase alike.
What else had to be adapted: 25 images in a step, not 4096, with the learning rate in proportion, so that there are 260 steps;
momentum 0.1 in batch normalization, see DIGITS in recipe.py; no mirrored digits; no border cut off for evaluation; and whole
images, not the official crops, of which the least are 2x3 of a digit's 8x8 pixels. The row with those crops says why. SGD has
the peak learning rate of the recipe sgd.

Accuracies are written to tricks.json, in ten minutes of an idle core; without --run the table of what is there is printed, and
drawn in tricks.png. What tricks are worth when one fine-tunes: tricks_finetune.py.
"""

import argparse
import contextlib
import io
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy
import PIL
import sklearn
import torch
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1]))
import warmnet  # noqa: E402
from warmnet import training  # noqa: E402
from warmnet.data import Sample  # noqa: E402
from warmnet.training.recipe import DIGITS, PAPER, SGD  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
VARIANT = warmnet.Variant(width=0.25, depth=0.3, resolution=32, dropout=0.2)  # 8 blocks, one of them with a skip
PER_CLASS, WRONG = 25, 0.2
EPOCHS, PASSES = 2, 13  # an epoch is 13 passes over the digits: after each there is evaluation and saving, which takes time
REFERENCE = "the paper's, whole images"

ADAPTED = {"epochs": EPOCHS, "batch_size": 25, "resolution": 32, "crop": 1.0, "flip": False, "network": {"momentum": 0.1}}
WHOLE = {"sampling": "shift", "shift": 0.0}
PAPERS = replace(PAPER, **ADAPTED, **WHOLE)
PLAIN = {"label_smoothing": 0.0, "weight_decay": 0.0, "network": {"momentum": 0.1, "dropout": 0.0, "drop_connect": 0.0}}
ROWS = {
    REFERENCE: PAPERS,
    "RMSProp → SGD": replace(PAPERS, optimizer="sgd", base_lr=SGD.base_lr),
    "staircase → cosine": replace(PAPERS, schedule="cosine", warmup=5 / 350),
    "no EMA": replace(PAPERS, ema=None),
    "no AutoAugment": replace(PAPERS, augment=None),
    "no label smoothing": replace(PAPERS, label_smoothing=0.0),
    "no dropout": replace(PAPERS, network={"momentum": 0.1, "dropout": 0.0}),
    "no drop connect": replace(PAPERS, network={"momentum": 0.1, "drop_connect": 0.0}),
    "no weight decay": replace(PAPERS, weight_decay=0.0),
    "whole images → official crops": replace(PAPERS, sampling="official"),
    "recipe sgd": replace(SGD, **ADAPTED),
    "SGD with a cosine, no trick": replace(SGD, **{**ADAPTED, **WHOLE, **PLAIN}),
    "recipe small, its 16 epochs": DIGITS,
}


def few_and_noisy(seed):
    """The digits, few of them to train on, and a share of those with the label of another class."""
    rng, data = random.Random(seed), training.digits()
    samples = [s for label in range(10) for s in rng.sample([s for s in data.train if s.label == label], PER_CLASS)]
    for i in rng.sample(range(len(samples)), round(WRONG * len(samples))):
        image, label = samples[i]
        samples[i] = Sample(image, rng.choice([other for other in range(10) if other != label]))
    return replace(data, train=samples)


def accuracy(recipe, seed):
    """Of the held-out digits, after the last epoch."""
    data = few_and_noisy(seed)
    if recipe.epochs == EPOCHS:
        data = replace(data, train=data.train * PASSES)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        return training.fit(data, recipe, Path(folder), variant=VARIANT, seed=seed).history[-1].held_out_accuracy


def spread(values):
    """Mean and standard deviation."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def table(found):
    """The rows in Markdown, the first one the reference; differences are seed by seed."""
    lines = ["| recipe | held out, % | minus the first row |", "|---|---|---|"]
    reference = [*found.values()][0]
    for name, values in found.items():
        mean, deviation = spread([100 * v for v in values])
        less, of_less = spread([100 * (v - r) for v, r in zip(values, reference)])
        difference = "" if values is reference else f"{less:+.1f} ± {of_less:.1f}"
        lines.append(f"| {name} | {mean:.1f} ± {deviation:.1f} | {difference} |")
    return "\n".join(lines)


def draw(found, title, path):
    """How much better than the first row each other one is: each seed, and mean and standard deviation."""
    (_, reference), *rows = found.items()
    figure = Figure(figsize=(8, 0.36 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="#bbbbbb", linestyle="--", zorder=0)
    for y, (_, values) in enumerate(rows):
        points = [100 * (value - of_reference) for value, of_reference in zip(values, reference)]
        mean, deviation = spread(points)
        axes.plot(points, [y] * len(points), "o", color="#7a8ba3", alpha=0.5, markersize=5, markeredgewidth=0)
        axes.errorbar(mean, y, xerr=deviation, fmt="o", color="#d1495b", markersize=7, capsize=3)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=11)
    axes.set_xlabel("points: each seed (grey), mean and standard deviation (red)")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="train all of it anew, first")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.run:
        run(options.seeds)
    found = json.loads(FOUND.read_text())["rows"]
    print(table(found))
    draw(
        found,
        "From scratch on 250 digits, 50 with a wrong label: more or less than the paper's recipe",
        FOUND.with_suffix(".png"),
    )


def run(seeds):
    """Train every row with every seed, and write their accuracies."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    found = {name: [] for name in ROWS}
    for seed in range(seeds):
        for name, recipe in ROWS.items():
            found[name].append(accuracy(recipe, seed))
            print(f"{time.perf_counter() - began:4.0f} s, seed {seed}, {name}: {found[name][-1]:.1%}", flush=True)
    about = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, 1 thread, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {m.__name__: m.__version__ for m in (torch, warmnet, sklearn, PIL, numpy)},
        "unit": "share of 364 held-out digits right after the last epoch, for each seed",
        "variant": VARIANT._asdict(),
        "seconds": round(time.perf_counter() - began),
    }
    FOUND.write_text(json.dumps({**about, "rows": found}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
