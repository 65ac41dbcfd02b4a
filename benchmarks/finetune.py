"""Fine-tuning on few real pictures: OMP_NUM_THREADS=1 python benchmarks/finetune.py --part report

From ImageNet's weights, at 128 pixels, on tuxpaint's stamps: 8 classes, half of each to train on, or 5 or 20. The accuracy
is that on the 354 other stamps after the last epoch, which nothing chooses. The parts:

- `report`: lite0 by the recipe finetune; from scratch by the recipe small; and the same weights in timm's network by a plain
  loop. All three see the same stamps equally often.
- `tuning`: what each setting is worth, on two other splits.
- `rates`, `families`: on these, the learning rates of the other two, and of MobileNetV2.

It needs timm and torchvision, the weights (`warmnet pretrained`) and the stamps (real_pictures.py). A result that is in
finetune.json is not made again. Without --part the tables of what is there are printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1])]
import kept  # noqa: E402
import real_pictures  # noqa: E402
from trained import held_out_confusion  # noqa: E402

import warmnet  # noqa: E402
from warmnet import training  # noqa: E402
from warmnet.data import Data, Preprocessing  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
SIDE, LARGEST = 128, 256  # pixels: of what the network sees, and of the longer side of what is kept in memory
SIZES = {"5": (5, 20), "20": (20, 8), "all": (None, 6)}  # stamps of a class to train on, at most, and epochs
SPLITS, TUNING_SPLITS = range(5), (100, 101)
SCRATCH_LR, TIMM_LR = 0.01, 0.001  # the best of LRS
LRS = {"from scratch": (0.03, 0.01, 0.003, 0.001), "timm": (0.0003, 0.001, 0.003)}

FINETUNE = training.RECIPES["finetune"]
BEFORE = replace(FINETUNE, lr=0.002)  # the recipe before it was tuned here
CHANGES = {
    "as it was": {},
    "learning rate 0.0005": {"lr": 0.0005},
    "learning rate 0.001": {"lr": 0.001},
    "learning rate 0.004": {"lr": 0.004},
    "no layer decay": {"layer_decay": 1.0},
    "layer decay 0.9, learning rate 0.001": {"layer_decay": 0.9, "lr": 0.001},
    "statistics learn": {"frozen_norm": False},
    "one stage after the other, from the last": {"unfreeze": 2},
    "area from 0.35": {"area": (0.35, 1.0)},
    "area from 0.35, learning rate 0.001": {"area": (0.35, 1.0), "lr": 0.001},
    "area from 0.35, learning rate 0.0005": {"area": (0.35, 1.0), "lr": 0.0005},
    "no drop connect": {"network": {"drop_connect": 0.0}},
    "no label smoothing": {"label_smoothing": 0.0},
    "weight decay 0.1": {"weight_decay": 0.1},
}


def stamps(split: int, per_class: int | None) -> Data:
    """The stamps of a split, made smaller where they are large: that saves time, and the network sees 128 pixels of them."""
    data = real_pictures.stamps(split, per_class)
    for image, _ in data.train + data.held_out:
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.BICUBIC)
    return data


def fit(recipe: training.Recipe, size: str, split: int, **start: str) -> Tensor:
    """The confusion of a network trained by warmnet."""
    per_class, epochs = SIZES[size]
    data = stamps(split, per_class)
    return held_out_confusion(data, replace(recipe, epochs=epochs, resolution=SIDE), split, **start)


def fit_timm(lr: float, size: str, split: int) -> Tensor:
    """The confusion of timm's network with lite0's weights and a new classifier, trained by a plain loop."""
    from peers.libraries import timm

    per_class, epochs = SIZES[size]
    data = stamps(split, per_class)
    torch.manual_seed(split)
    with tempfile.TemporaryDirectory() as folder:
        warmnet.convert("lite0", f"{folder}/lite0.pth", to="timm")
        model = timm.create_model("tf_efficientnet_lite0", checkpoint_path=f"{folder}/lite0.pth")
    model.reset_classifier(len(data.classes))
    _train_timm(model, data, lr, epochs)
    return _confusion(model.eval(), data)


def _train_timm(model: torch.nn.Module, data: Data, lr: float, epochs: int) -> None:
    """Train it with AdamW, a warm-up and a cosine on random crops, half of them mirrored."""
    from torchvision import transforms

    augment = transforms.Compose([
        transforms.RandomResizedCrop(SIDE, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize((127 / 255,) * 3, (128 / 255,) * 3),
    ])  # fmt: skip
    batch_size = min(64, max(8, len(data.train) // 8))  # the recipes'
    steps = epochs * (len(data.train) // batch_size)
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps, pct_start=0.1, cycle_momentum=False)
    for _ in range(epochs):
        order = torch.randperm(len(data.train)).split(batch_size)
        for rows in order[: len(data.train) // batch_size]:
            images = torch.stack([augment(data.train[row].image) for row in rows])
            labels = torch.tensor([data.train[row].label for row in rows])
            F.cross_entropy(model(images.contiguous(memory_format=torch.channels_last)), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()


@torch.no_grad()
def _confusion(model: torch.nn.Module, data: Data) -> Tensor:
    """What the network takes the held-out stamps for, each as warmnet evaluates it."""
    preprocessing = Preprocessing(SIDE, crop=1.0, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    confusion = torch.zeros(len(data.classes), len(data.classes))
    for image, label in data.held_out:
        confusion[label, model(preprocessing(image)[None]).argmax()] += 1
    return confusion


def shares(train: Callable[[], Tensor]) -> dict[str, float]:
    """Of the held-out stamps, and of those of a class, in the mean over the classes: how many are right, in percent."""
    confusion = train().double()
    recall = confusion.diagonal() / confusion.sum(1)
    return {"accuracy": 100 * float(confusion.trace() / confusion.sum()), "macro recall": 100 * float(recall.mean())}


def report() -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Each run of the three, by name: on each split with 5, 20 and all stamps a class."""
    small = replace(training.PHOTOS, lr=SCRATCH_LR)
    for split in SPLITS:
        for size in SIZES:
            yield f"{size} | finetune | split {split}", partial(fit, FINETUNE, size, split, source="lite0")
            yield f"{size} | timm | split {split}", partial(fit_timm, TIMM_LR, size, split)
            yield f"{size} | from scratch | split {split}", partial(fit, small, size, split, variant="lite0")


def tuning() -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Each change of the recipe on each split, by name."""
    for split in TUNING_SPLITS:
        for change, settings in CHANGES.items():
            yield f"20 | {change} | split {split}", partial(fit, replace(BEFORE, **settings), "20", split, source="lite0")


def rates() -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Each learning rate of timm's network and of training from scratch on each split, by name."""
    for split in TUNING_SPLITS:
        for lr in LRS["timm"]:
            yield f"20 | timm, {lr} | split {split}", partial(fit_timm, lr, "20", split)
        for lr in LRS["from scratch"]:
            recipe = replace(training.PHOTOS, lr=lr)
            yield f"20 | from scratch, {lr} | split {split}", partial(fit, recipe, "20", split, variant="lite0")


def families() -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Each learning rate of MobileNetV2 by the recipe on each split, by name."""
    for split in TUNING_SPLITS:
        for lr in (0.0005, 0.001, 0.002):
            recipe = replace(FINETUNE, lr=lr)
            yield f"20 | mobilenetv2-1.0, {lr} | split {split}", partial(fit, recipe, "20", split, source="mobilenetv2-1.0")


PARTS = {"rates": rates, "report": report, "tuning": tuning, "families": families}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for part in options.part or ():
        for name, train in PARTS[part]():
            kept.keep(FOUND, f"{part} | {name}", partial(shares, train))
    if not options.part:
        found = kept.read(FOUND)
        print(report_table(found), tuning_table(found), rates_table(found), sep="\n\n")


def by_split(found: dict[str, dict[str, float]], name: str, splits: Iterable[int], metric="accuracy") -> dict[int, float]:
    """The metric of each split that is there."""
    names = {split: f"{name} | split {split}" for split in splits}
    return {split: found[name][metric] for split, name in names.items() if name in found}


def spread(values: list[float], sign: str = "") -> str:
    """Mean and standard deviation."""
    if not values:
        return ""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{sign}.1f}{deviation}"


def difference(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Of the splits that both have, split by split."""
    return spread([value - theirs[split] for split, value in ours.items() if split in theirs], "+")


def report_table(found: dict[str, dict[str, float]]) -> str:
    """By how many stamps a class has: accuracy, and what it and macro recall are above those of the others, in Markdown."""
    lines = [
        "| stamps a class | epochs | finetune | timm | from scratch | finetune - timm | finetune - scratch "
        "| macro recall - timm's |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for size, (_, epochs) in SIZES.items():
        names = [f"report | {size} | {arm}" for arm in ("finetune", "timm", "from scratch")]
        tuned, timm, scratch = (by_split(found, name, SPLITS) for name in names)
        recalls = [by_split(found, name, SPLITS, "macro recall") for name in names]
        means = [spread([*accuracies.values()]) for accuracies in (tuned, timm, scratch)]
        differences = [difference(tuned, timm), difference(tuned, scratch), difference(recalls[0], recalls[1])]
        lines.append(f"| {' | '.join([size, str(epochs), *means, *differences])} |")
    return "\n".join(lines)


def tuning_table(found: dict[str, dict[str, float]]) -> str:
    """What each change is worth: the accuracy, and what it adds on each split, in Markdown."""
    reference = by_split(found, "tuning | 20 | as it was", TUNING_SPLITS)
    lines = ["| change | accuracy, % | on each split, minus the first row |", "|---|---|---|"]
    for change, settings in CHANGES.items():
        values = by_split(found, f"tuning | 20 | {change}", TUNING_SPLITS)
        gains = ", ".join(f"{value - reference[split]:+.1f}" for split, value in values.items() if settings)
        lines.append(f"| {change} | {mean(values)} | {gains} |")
    return "\n".join(lines)


def rates_table(found: dict[str, dict[str, float]]) -> str:
    """The accuracy by learning rate of what is not lite0 by the recipe finetune, in Markdown."""
    lines = ["| | learning rate | accuracy, % |", "|---|---|---|"]
    for name in sorted({name.rpartition(" | ")[0] for name in found if name.startswith(("rates", "families"))}):
        what, lr = name.split(" | ")[2].split(", ")
        lines.append(f"| {what} | {lr} | {mean(by_split(found, name, TUNING_SPLITS))} |")
    return "\n".join(lines)


def mean(values: dict[int, float]) -> str:
    """The mean over the splits that are there."""
    return f"{statistics.mean(values.values()):.1f}" if values else ""


if __name__ == "__main__":
    main()
