"""What searching augmentations is worth: OMP_NUM_THREADS=1 python benchmarks/search.py --part fashion-25

Each part is a data set, on which `training.search` of 10 trials takes the images to train on, and a network is then trained on
all of these by what was found, by the recipe as it is, and by the controls: with the same images and the same seed in a split.
The accuracy is that on the test pictures after the last epoch. No search or training has seen them.

- `fashion-25`, `fashion-50`: Fashion-MNIST, so many of each class of the official 60,000 to train on; a fifth of the official
  10,000 to test on, another in each of the 5 splits.
- `digits`: scikit-learn's, 25 of each class to train on, the other 1,547 to test on, 5 splits.
- `stamps`: tuxpaint's, at most 20 of each class to train on, 354 to test on, 3 splits.

Fashion-MNIST and digits are trained on from scratch by the recipe small, at 32 pixels to save time (its own choice for
Fashion-MNIST is 64), with Variant(0.25, 0.3, 32, 0.2). The stamps go with lite0's ImageNet weights through the recipe finetune,
at 96 pixels and for 6 epochs to save time (its own choice is 224, and 40).

The controls: small's crops at commit 5979fe3, evaluated on whole images, and on the part that it saw then; the best trial of
the first round, without the second; three random policies of the space; ten times as many epochs, which takes a third of the
time of a search (all of it would be 29 times as many); AutoAugment's v0; and RandAugment of magnitude 10.

real_pictures.py says where the pictures are from. A search goes on in runs/search after a kill, and a result that is in
search.json is not made again. Without --part the tables and bars of what is there are printed, and drawn in search.png. On an
idle machine, --time measures the cost of a search above its trainings, and what a second job brings, in turns: of fashion-25,
with trainings of 10 epochs, which makes the cost seem larger than it is in longer ones.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
import kept  # noqa: E402
import real_pictures  # noqa: E402
from trained import held_out_accuracy  # noqa: E402

import warmnet  # noqa: E402
from warmnet import training  # noqa: E402
from warmnet.data import Data, Sample  # noqa: E402
from warmnet.data.loading import derive_seed  # noqa: E402
from warmnet.data.policy_file import SETTINGS  # noqa: E402
from warmnet.training.run import fit, prepared, repeatable, train  # noqa: E402
from warmnet.training.searching.candidates import draw, has_colours, settings_of  # noqa: E402
from warmnet.training.searching.opening import SEARCH, go_on  # noqa: E402
from warmnet.training.searching.process import Length, Search  # noqa: E402
from warmnet.training.searching.search_folder import ROUNDS, Job  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
RUNS = Path(__file__).parents[1] / "runs" / "search"
TRIALS = 10
RANDOM = 3  # random policies in a split
LONGER = 10  # times the recipe's epochs
TURNS = 3  # of each measurement of time

SCRATCH = {"variant": warmnet.Variant(width=0.25, depth=0.3, resolution=32, dropout=0.2)}
CROPS_BEFORE = {"area": (0.25, 1.0)}  # of recipe small at 5979fe3; its sampling, shift and flip were today's
CROP_BEFORE = 64 / 96  # of whole images, the part that it was evaluated on at its 64 pixels

RECIPE, SEARCHED, FIRST_ROUND, BEFORE = "recipe", "10 trials searched", "best of the first round", "crops of 5979fe3"
SAME_EVALUATION = f"{BEFORE}, its evaluation"
RANDOM_POLICY, LONG = "random policy", f"{LONGER} times the epochs"
AUTO, RAND = "AutoAugment v0", "RandAugment, magnitude 10"
ROWS = RECIPE, SEARCHED, FIRST_ROUND, RANDOM_POLICY, LONG, AUTO, RAND, BEFORE, SAME_EVALUATION
TIMED, TIMES = "timed", ("1 jobs", "2 jobs", "trainings")


class Part(NamedTuple):
    """A data set by split, and how it is trained on; `crops_changed`: whether the recipe's crops were others at 5979fe3."""

    data: Callable[[int], Data]
    recipe: training.Recipe
    start: Mapping[str, Any]
    splits: range
    crops_changed: bool = False


def fashion(per_class: int, split: int) -> Data:
    """So many of each class of Fashion-MNIST, drawn by the split; the split's fifth of the test pictures is held out."""
    data = real_pictures.fashion()
    return replace(data, train=drawn(data.train, per_class, split), held_out=data.held_out[2000 * split : 2000 * (split + 1)])


def digits(split: int) -> Data:
    """25 of each digit, drawn by the split; all others are held out."""
    data = training.digits()
    samples = data.train + data.held_out
    train = drawn(samples, 25, split)
    chosen = {id(sample) for sample in train}
    return replace(data, train=train, held_out=[sample for sample in samples if id(sample) not in chosen])


def drawn(samples: list[Sample], per_class: int, seed: int) -> list[Sample]:
    """So many of each class."""
    rng = random.Random(seed)
    labels = sorted({sample.label for sample in samples})
    return [s for label in labels for s in rng.sample([s for s in samples if s.label == label], per_class)]


def stamps(split: int) -> Data:
    """20 of each class of the stamps, as far as there are so many, made smaller where they are large, to save time."""
    data = real_pictures.stamps(split, 20)
    for image, _ in data.train + data.held_out:
        image.thumbnail((256, 256), Image.Resampling.BICUBIC)
    return data


PARTS = {
    "fashion-25": Part(partial(fashion, 25), replace(training.PHOTOS, resolution=32), SCRATCH, range(5), crops_changed=True),
    "fashion-50": Part(partial(fashion, 50), replace(training.PHOTOS, resolution=32), SCRATCH, range(5), crops_changed=True),
    "digits": Part(digits, replace(training.DIGITS, resolution=32), SCRATCH, range(5)),
    "stamps": Part(stamps, replace(training.RECIPES["finetune"], resolution=96, epochs=6), {"source": "lite0"}, range(3)),
}

SHORT = PARTS["fashion-25"]._replace(recipe=replace(training.PHOTOS, resolution=32, epochs=10))  # of which times are measured

ANY = -100.0  # points
BARS = [  # what 10 trials shall bring: a part, beside what, in the mean and in each split
    ("fashion-25", BEFORE, 4.0, 0.0),
    ("fashion-25", SAME_EVALUATION, 4.0, 0.0),
    ("fashion-50", BEFORE, 4.0, ANY),
    ("fashion-50", SAME_EVALUATION, 4.0, ANY),
    *((name, RECIPE, -0.3, ANY) for name in PARTS),
]


def watched(data: Data) -> Data:
    """The data set with one test picture of each class: epochs need not evaluate them all."""
    return replace(data, held_out=[*{sample.label: sample for sample in data.held_out}.values()])


def find(name: str, split: int) -> dict[str, Any]:
    """What a search found: the losses of its trials, those that were trained again, and the policy."""
    part, folder = PARTS[name], RUNS / f"{name}-{split}"
    data, resume = watched(part.data(split)), (folder / SEARCH).exists()
    outcome = training.search(data, part.recipe, folder, trials=TRIALS, seed=split, resume=resume, **part.start)
    again = [comparison._asdict() for comparison in opened(part, split, folder).comparisons]
    policy = json.loads(outcome.policy.read_text())
    trial = policy.pop("found")["trial"]
    return {"trial": trial, "losses": outcome.losses, "again": again, "policy": policy}


def opened(part: Part, split: int, folder: Path) -> Search:
    """The search that is in a folder."""
    arguments = {"variant": None, "source": None, "seed": split, "execution": training.Execution(), "network": None}
    search = Search(watched(part.data(split)), part.recipe, folder, **{**arguments, **part.start})
    go_on(search, Length(None, None, 1))
    return search


def accuracies(name: str, split: int) -> Iterator[tuple[str, Callable[[], float]]]:
    """Each accuracy of a split, by what the network is trained by, and how it is made."""
    part, data, found = PARTS[name], PARTS[name].data(split), kept.read(FOUND)[f"{name} | search | split {split}"]
    folder = RUNS / f"{name}-{split}"
    search = opened(part, split, folder)
    recipe = search.recipe

    def by(**settings: Any) -> Callable[[], float]:
        return partial(held_out_accuracy, data, replace(recipe, **settings), split, **part.start)

    yield RECIPE, partial(evaluate, folder / search.last[0], data)
    yield SEARCHED, partial(evaluate, folder / search.last[-1], data)
    if part.crops_changed:
        yield BEFORE, by(**CROPS_BEFORE)
        yield SAME_EVALUATION, by(**CROPS_BEFORE, crop=CROP_BEFORE)
    best = min(range(TRIALS), key=lambda trial: found["losses"][trial])
    best_recipe = search.recipe_of(best)
    yield FIRST_ROUND, by(**{setting: getattr(best_recipe, setting) for setting in SETTINGS})
    for number, numbers in enumerate(draw(0, RANDOM, (), 1000 + split)):
        yield f"{RANDOM_POLICY} {number + 1}", by(**settings_of(numbers, recipe, has_colours(data)))
    yield AUTO, by(augment="autoaugment")
    yield RAND, by(augment="randaugment", magnitude=10)


def evaluate(folder: Path, data: Data) -> float:
    """The share of the test pictures that the network of a run gets right."""
    confusion = training.evaluate(warmnet.Classifier.from_pretrained(folder), data.held_out).confusion
    return int(confusion.trace()) / int(confusion.sum())


def longer(name: str, split: int) -> float:
    """The accuracy after ten times as many epochs."""
    part = PARTS[name]
    return held_out_accuracy(part.data(split), replace(part.recipe, epochs=LONGER * part.recipe.epochs), split, **part.start)


def make(name: str) -> None:
    """All results of a part, split by split, and what takes longest in the end."""
    splits = PARTS[name].splits
    for split in splits:
        kept.keep(FOUND, f"{name} | search | split {split}", partial(find, name, split))
        for row, accuracy in accuracies(name, split):
            kept.keep(FOUND, f"{name} | {row} | split {split}", accuracy)
    for split in splits:
        kept.keep(FOUND, f"{name} | {LONG} | split {split}", partial(longer, name, split))


def measure() -> None:
    """Time of a search by one job, of the same trainings without a search, and of a search by two jobs, in turns."""
    for turn in range(TURNS):
        for jobs in 1, 2:
            kept.keep(FOUND, f"time | {jobs} jobs | turn {turn}", partial(seconds_of_search, jobs))
        kept.keep(FOUND, f"time | trainings | turn {turn}", seconds_of_trainings)


def seconds_of_search(jobs: int) -> float:
    """What a search takes, from the first training to the last picture."""
    shutil.rmtree(RUNS / TIMED, ignore_errors=True)
    data, start = watched(SHORT.data(0)), time.perf_counter()
    training.search(data, SHORT.recipe, RUNS / TIMED, trials=TRIALS, jobs=jobs, **SHORT.start)
    return time.perf_counter() - start


def seconds_of_trainings() -> float:
    """What the trainings of that search take, one after the other and nothing else."""
    search = opened(SHORT, 0, RUNS / TIMED)
    trials = [0, search.better.trial] if search.better else [0]
    start = time.perf_counter()
    for path in sorted((search.files.trainings).glob("trial-*.json")):
        _, trial, of_round, fold = path.stem.split("-")
        train_alone(search, Job(int(trial), of_round, int(fold)))
    for trial in trials:
        with tempfile.TemporaryDirectory() as run:
            fit(search.data, search.recipe_of(trial), run, seed=0, progress=False, **SHORT.start)
    return time.perf_counter() - start


def train_alone(search: Search, job: Job) -> None:
    """A training of a search, of which nothing is kept."""
    data, seed = search.folds[job.round][job.fold], derive_seed(search.seed, ROUNDS.index(job.round), job.fold)
    with repeatable(seed):
        recipe = search.recipe_of(job.trial)
        started, _ = prepared(data, recipe, search.variant, search.source, seed, search.execution, search.network)
        train(started, data, Nothing(), search.execution.workers, visible=False)


class Nothing:
    """Keeps nothing of a training."""

    def save(self, training: Any) -> None: ...

    def write(self, training: Any) -> None: ...


def by_split(found: Mapping[str, float], name: str, row: str) -> dict[int, float]:
    """The accuracy of a row in percent, in each split that is there; of random policies their mean."""
    values: dict[int, list[float]] = {}
    for key, value in found.items():
        of_part, of_row, split = key.split(" | ")
        if of_part == name and (of_row == row or (row == RANDOM_POLICY and of_row.startswith(row))):
            values.setdefault(int(split.removeprefix("split ")), []).append(100 * value)
    return {split: statistics.fmean(of_split) for split, of_split in sorted(values.items())}


def rows_of(found: Mapping[str, Any], name: str) -> dict[str, dict[int, float]]:
    """Each row of a part by split, the recipe first; rows of which nothing is there are left out."""
    of_part = {key: value for key, value in found.items() if key.startswith(f"{name} | ") and "| search |" not in key}
    rows = {row: by_split(of_part, name, row) for row in ROWS}
    return {row: values for row, values in rows.items() if values}


def differences(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Of the splits that both have."""
    return [value - theirs[split] for split, value in ours.items() if split in theirs]


def spread(values: list[float]) -> str:
    """Mean, standard error of the mean, and the least."""
    if len(values) < 2:
        return ", ".join(f"{value:+.1f}" for value in values)
    return f"{statistics.fmean(values):+.1f} ± {standard_error(values):.1f} (least {min(values):+.1f})"


def standard_error(values: list[float]) -> float:
    """Of the mean."""
    return statistics.stdev(values) / len(values) ** 0.5


def table(found: Mapping[str, Any]) -> str:
    """For each part the recipe's accuracy, and what the other rows are above it split by split, in Markdown."""
    parts = {name: rows for name in PARTS if (rows := rows_of(found, name))}
    lines = [f"| | {' | '.join(f'{name}, {len(rows[RECIPE])} splits' for name, rows in parts.items())} |"]
    lines += ["|---" * (1 + len(parts)) + "|"]
    means = [f"{statistics.fmean(rows[RECIPE].values()):.1f} %" for rows in parts.values()]
    lines += [f"| {RECIPE} | {' | '.join(means)} |"]
    for row in ROWS[1:]:
        cells = [spread(differences(rows[row], rows[RECIPE])) if row in rows else "" for rows in parts.values()]
        lines += [f"| {row} | {' | '.join(cells)} |"]
    return "\n".join(lines)


def searches(found: Mapping[str, Any], name: str) -> str:
    """What each search of a part found, a line each."""
    lines = []
    for split in PARTS[name].splits:
        result = found.get(f"{name} | search | split {split}")
        if result:
            taken = result["policy"] if result["trial"] else "nothing better than the recipe"
            lines.append(f"split {split}, trial {result['trial']}: {json.dumps(taken)}")
    return "\n".join(lines)


def bars(found: Mapping[str, Any]) -> str:
    """Whether what was promised holds, as far as there are results."""
    lines = []
    for name, other, mean, each in BARS:
        rows = rows_of(found, name)
        values = differences(rows.get(SEARCHED, {}), rows.get(other, {}))
        if values:
            holds = statistics.fmean(values) >= mean and min(values) >= each
            bar = f"at least {mean:+.1f}" + ("" if each == ANY else f", in each split {each:+.1f}")
            lines.append(f"{name}, less {other}: {spread(values)}; {bar}: {'yes' if holds else 'NO'}")
    return "\n".join(lines + times(found))


def times(found: Mapping[str, Any]) -> list[str]:
    """What a search costs above its trainings, and how much faster two jobs are, turn by turn."""
    turns = [[found.get(f"time | {what} | turn {turn}") for what in TIMES] for turn in range(TURNS)]
    turns = [turn for turn in turns if None not in turn]
    if not turns:
        return []
    cost = [100 * (one / trainings - 1) for one, _, trainings in turns]
    faster = [one / two for one, two, _ in turns]
    return [
        f"a search takes {_of(cost, '+.1f')} % above its trainings; bar: 5",
        f"two jobs are {_of(faster, '.2f')} times as fast; bar: 1.7",
    ]


def _of(values: list[float], form: str) -> str:
    """The median of turns, their least and most, and how many."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}}, {len(values)} turns)"


def picture(found: Mapping[str, Any]) -> None:
    """Draw how much better than the recipe each other row is: each split, and mean and standard error, from -10 to 10."""
    parts = {name: rows for name in PARTS if len(rows := rows_of(found, name)) > 1}
    heights = [len(rows) for rows in parts.values()]
    figure = Figure(figsize=(8, 0.25 * sum(heights) + 0.6 * len(parts) + 0.8), layout="constrained")
    axes = figure.subplots(len(parts), squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axis, (name, rows) in zip(axes, parts.items()):
        others = {row: differences(values, rows[RECIPE]) for row, values in rows.items() if row != RECIPE}
        axis.axvline(0, color="#bbbbbb", linestyle="--", zorder=0)
        for y, points in enumerate(others.values()):
            axis.plot(points, [y] * len(points), "o", color="#7a8ba3", alpha=0.5, markersize=5, markeredgewidth=0)
            error = standard_error(points) if len(points) > 1 else 0.0
            axis.errorbar(statistics.fmean(points), y, xerr=error, fmt="o", color="#d1495b", markersize=7, capsize=3)
        labels = [f"{row}  {statistics.fmean(points):+.1f}" for row, points in others.items()]
        axis.set_yticks(range(len(others)), labels)
        axis.set_xlim(-10, 10)
        axis.invert_yaxis()
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_title(name, loc="left", fontsize=10)
    axes[-1].set_xlabel(
        "points above the recipe: each split (grey), mean and standard\nerror (red); beyond 10 the number alone"
    )
    figure.savefig(FOUND.with_suffix(".png"), dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="search and train what is not there yet, first")
    parser.add_argument("--time", action="store_true", help="measure times, on an idle machine")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.part or ():
        make(name)
    if options.time:
        measure()
    found = kept.read(FOUND)
    if not found:
        raise SystemExit(f"{FOUND} has no results yet. Make them: --part fashion-25.")
    print(table(found))
    for name in PARTS:
        print(f"\n{name}\n{searches(found, name)}")
    print(f"\n{bars(found)}")
    picture(found)


if __name__ == "__main__":
    main()
