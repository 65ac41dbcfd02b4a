"""Which side, which share of an image to train on and which central crop are best: python benchmarks/resolution.py --part NAME

scikit-learn's digits, Fashion-MNIST and tuxpaint's stamps, small on purpose: from scratch by the recipe small, and from lite0's
weights by finetune. A seed decides the images that are trained on and the initial weights, and is the same for each side, so
that differences are paired. Every network is evaluated with several central crops. One thread; accuracies go to resolution.json
after each run, and a run that is there is not made again. Without --part the table of what is there is printed.
"""

import argparse
import contextlib
import io
import random
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import kept  # noqa: E402
import real_pictures  # noqa: E402

import warmnet  # noqa: E402
from warmnet import training  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
SIDES = 32, 64, 128, 224
TINY = warmnet.Variant(width=0.25, depth=0.3, resolution=224, dropout=0.2)
PHOTOS, DIGITS, FINETUNE = training.PHOTOS, training.DIGITS, training.RECIPES["finetune"]
WIDE, NARROW = (0.25, 1.0), (0.7, 1.0)  # areas


def digits(seed):
    """All 1,433 digits to train on, and the 364 held out."""
    return training.digits()


def fashion(per_class):
    """So many images of each class to train on, drawn by the seed; of the test part the first 100 of each class."""

    def samples(seed):
        data, rng = real_pictures.fashion(), random.Random(seed)
        train = [sample for group in by_class(data.train) for sample in rng.sample(group, per_class)]
        return replace(data, train=train, held_out=[sample for group in by_class(data.held_out) for sample in group[:100]])

    return samples


def by_class(samples):
    """The samples of each class."""
    groups = [[] for _ in range(1 + max(label for _, label in samples))]
    for sample in samples:
        groups[sample.label].append(sample)
    return groups


DATA = {"digits": digits, "fashion-20": fashion(20), "fashion-50": fashion(50), "stamps": real_pictures.stamps}
TESTED = {"digits": 364, "fashion-20": 1000, "fashion-50": 1000, "stamps": 354}  # images


def run(data, network, recipe, seed):
    """Accuracy by central crop, after the last epoch."""
    images = DATA[data](seed)
    watched = list({sample.label: sample for sample in images.held_out}.values())  # epochs evaluate little, to save time
    crops = {round(recipe.resolution / (recipe.resolution + 32), 3), 0.875, 1.0}
    start = {"source": "lite0"} if network == "lite0" else {"variant": TINY if network == "tiny" else network}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        training.fit(replace(images, held_out=watched), recipe, folder, seed=seed, **start)
        model = warmnet.WarmEfficientNet.from_pretrained(folder)
    found = {}
    for crop in sorted(crops):
        model.preprocessing = replace(model.preprocessing, crop=crop)
        confusion = training.evaluate(model, images.held_out).confusion
        found[str(crop)] = int(confusion.trace()) / int(confusion.sum())
    return found


def rows(data, network, recipe, areas, sides, seeds):
    """The runs of each side and seed, by name."""
    for seed in seeds:
        for side in sides:
            for area in areas:
                name = f"{data} | {network} | {side} | area {area[0]} | seed {seed}"
                yield name, (data, network, replace(recipe, resolution=side, area=area), seed)


SHORTER = replace(FINETUNE, epochs=10, patience=None, lr=0.002)  # the recipe's at that time
PARTS = {
    "digits": rows("digits", "tiny", DIGITS, (NARROW,), (32, 64), (0, 1)),
    "fashion": [
        *rows("fashion-20", "tiny", PHOTOS, (NARROW,), (64, 224), (0,)),
        *rows("fashion-50", "tiny", PHOTOS, (WIDE, NARROW), (64,), (0, 1)),
        *rows("fashion-50", "tiny", PHOTOS, (NARROW,), SIDES, (0, 1)),
    ],
    "stamps": [
        *rows("stamps", "tiny", PHOTOS, (WIDE, NARROW), (64, 128), (0,)),
        *rows("stamps", "tiny", PHOTOS, (NARROW,), (224, 128, 64, 32), (0, 1)),
    ],
    "b0": [
        *rows("fashion-50", "b0", PHOTOS, (NARROW,), (32, 64), (0,)),
        *rows("digits", "b0", DIGITS, (NARROW,), (32, 64), (0,)),
        *rows("stamps", "b0", PHOTOS, (NARROW,), (64, 128), (0,)),
    ],
    "finetune": [
        *rows("fashion-20", "lite0", SHORTER, (NARROW,), SIDES, (0,)),
        *rows("stamps", "lite0", SHORTER, (NARROW,), SIDES, (0,)),
    ],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--seconds", type=float, default=1e9, help="no run starts later")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    for part in options.part or ():
        for name, settings in PARTS[part]:
            if time.perf_counter() - began < options.seconds:
                kept.keep(FOUND, name, partial(run, *settings))
    print(table(kept.read(FOUND)))


def table(runs):
    """The accuracies in percent, with the standard error of so many test images, in Markdown."""
    lines = [
        "| images | network | side | area | seed | the paper's crop | crop 0.875 | all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(runs):
        data, network, side, area, seed = name.split(" | ")
        papers = str(round(int(side) / (int(side) + 32), 3))
        shares = [percent(runs[name][crop], TESTED[data]) for crop in (papers, "0.875", "1.0")]
        lines.append(f"| {' | '.join([data, network, side, area.split()[1], seed.split()[1], *shares])} |")
    return "\n".join(lines)


def percent(share, images):
    return f"{100 * share:.1f} ± {100 * (share * (1 - share) / images) ** 0.5:.1f}"


if __name__ == "__main__":
    main()
