"""What each trick is worth when one fine-tunes: python benchmarks/tricks_finetune.py --run

lite0's ImageNet weights, 20 of each class of tuxpaint's stamps to train on at 128 pixels, 8 epochs; all stamps of the other
half say how good the last epoch's network is. The reference is the recipe finetune, each row the reference with one thing
changed, with the same stamps, order and initial values for the same split. Where another optimizer needs another learning rate,
it has that of its own recipe.

Accuracies go to tricks_finetune.json at once, and what is there is not made again. Without --run the table of what is there is
printed, and drawn in tricks_finetune.png. real_pictures.py says where the stamps are from; warmnet[lite] has the weights.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import kept  # noqa: E402
from real_pictures import stamps  # noqa: E402
from trained import held_out_accuracy  # noqa: E402
from tricks import draw, table  # noqa: E402

from warmnet import training  # noqa: E402
from warmnet.training.recipe import FINETUNE, PAPER, SGD  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
SPLITS = 0, 1, 2
PER_CLASS = 20
REFERENCE = replace(FINETUNE, epochs=8, resolution=128)


def changed(**settings) -> training.Recipe:
    """The reference, with other settings."""
    return replace(REFERENCE, **settings)


ROWS = {
    "finetune, 8 epochs": REFERENCE,
    "the classifier alone learns": changed(freeze="all"),
    "the classifier first, all after 3 epochs": changed(unfreeze=3),
    "statistics of normalization learn": changed(frozen_norm=False),
    "no layer decay": changed(layer_decay=1.0),
    "classifier from random, not zero": changed(zero_classifier=False),
    "AdamW → SGD": changed(optimizer="sgd", lr=None, base_lr=SGD.base_lr),
    "AdamW → RMSProp": changed(optimizer="rmsprop", lr=None, base_lr=PAPER.base_lr),
    "no label smoothing": changed(label_smoothing=0.0),
    "AutoAugment": changed(augment="autoaugment"),
    "official crops": changed(sampling="official"),
    "no flip": changed(flip=False),
    "no dropout, no drop connect": changed(network={"dropout": 0.0, "drop_connect": 0.0}),
    "EMA, as in the paper": changed(ema="paper"),
    "mixup 0.2": changed(mixup=0.2),
    "cutmix 1": changed(cutmix=1.0),
    "erasing 0.25": changed(erase=0.25),
}


def accuracy(row: str, split: int) -> float:
    """Of the held-out stamps, after the last epoch."""
    return held_out_accuracy(stamps(split, PER_CLASS), ROWS[row], split, source="lite0")


def accuracies(found: dict) -> dict[str, list[float]]:
    """Of each row, by split, as far as they are there."""
    rows = {row: [found[name] for split in SPLITS if (name := f"{row} | split {split}") in found] for row in ROWS}
    return {row: values for row, values in rows.items() if values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="train what is not there yet, first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for split in SPLITS if options.run else ():
        for row in ROWS:
            kept.keep(FOUND, f"{row} | split {split}", partial(accuracy, row, split))
    found = accuracies(kept.read(FOUND))
    if not found:
        raise SystemExit(f"{FOUND} has no results yet. Make them: --run.")
    print(table(found))
    draw(found, "lite0 fine-tuned on 20 stamps a class: more or less than the recipe finetune", FOUND.with_suffix(".png"))


if __name__ == "__main__":
    main()
