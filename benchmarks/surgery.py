"""What an edit leaves of lite0's ImageNet weights: python benchmarks/surgery.py --run

Each edit is made as docs/edited-weights.md says. Before any training the edited network looks, with its own head, at foolbox's
20 photographs of ImageNet. Then it gets a new head and is trained for one epoch on half of tuxpaint's stamps, at 128 pixels, by
the recipe finetune; beside it the same network from random weights, the same images in the same order, by the recipe small.
A seed decides which half and the initial values. Results go to surgery.json at once, and what is there is not made again.

Without --run the table of what is there is printed, and drawn in docs/surgery.png. It needs lite0's weights, the stamps and the
photographs (real_pictures.py says where they are from) and torch-pruning: pip install 'warmnet[lite,train]'; pip install
--no-deps foolbox==3.3.4 torch-pruning.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
import kept  # noqa: E402
from real_pictures import photographs, stamps  # noqa: E402
from trained import held_out_accuracy  # noqa: E402

import warmnet  # noqa: E402
from warmnet import WarmEfficientNet, training  # noqa: E402
from warmnet.networks.classifier import Classifier  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
PICTURE = Path(__file__).parents[1] / "docs" / "surgery.png"
SEEDS = 0, 1, 2
SHAPE = {"epochs": 1, "resolution": 128}
FINETUNE, SCRATCH = replace(training.RECIPES["finetune"], **SHAPE), replace(training.PHOTOS, **SHAPE)


class Grey(WarmEfficientNet):
    """(B, 3, H, W) -> (B, num_classes): a network whose stem has one channel, the mean of the three."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.mean(1, keepdim=True)
        return warmnet.efficientnet(x, self.variant, self.num_classes, **self.options)


def stages(number: int, **settings: int) -> tuple[warmnet.Stage, ...]:
    """b0's stages, and lite0's, one of them with other settings."""
    rows = list(warmnet.STAGES)
    rows[number - 1] = rows[number - 1]._replace(**settings)
    return tuple(rows)


def edit(source: Classifier, reshape: bool = False, family: type[Classifier] = WarmEfficientNet, **options: Any) -> Classifier:
    """A lite0 with other options, and what still fits of the source's weights."""
    model = family("lite0", **options, seed=0)
    warmnet.transplant(source, model, reshape=reshape)
    return model.eval()


def insert_open(source: Classifier) -> Classifier:
    """A lite0 with a block more, which starts as any other block does."""
    model = edit(source, stages=stages(3, repeat=3))
    torch.nn.init.ones_(model.stage_3.mb_block_3.project.bn.weight)
    return model


def prune(source: Classifier) -> Classifier:
    """The source without a tenth of the channels of each layer, those with the smallest weights."""
    import torch_pruning

    importance, kept_whole = torch_pruning.importance.MagnitudeImportance(), [source.classifier]
    torch_pruning.pruner.MetaPruner(
        source, torch.zeros(1, 3, 64, 64), importance, pruning_ratio=0.1, ignored_layers=kept_whole
    ).step()
    return warmnet.adopt(source)


EDITS: dict[str, Callable[[Classifier], Classifier]] = {
    "as they are": lambda source: source,
    "a block more in stage 3": partial(edit, stages=stages(3, repeat=3)),
    "the same, not closed": insert_open,
    "96 channels for 80 in stage 4": partial(edit, reshape=True, stages=stages(4, size=96)),
    "silu for relu6": partial(edit, act=F.silu),
    "one channel": partial(edit, reshape=True, family=Grey),
    "output stride 16": lambda source: WarmEfficientNet.from_pretrained(source, output_stride=16),
    "a tenth of the channels pruned": prune,
}


def lite0() -> Classifier:
    """With ImageNet's weights."""
    return WarmEfficientNet.from_pretrained("lite0")


def random_lite0(seed: int) -> Classifier:
    model = WarmEfficientNet("lite0", seed=seed)
    model.preprocessing = lite0().preprocessing
    return model


def look(model: Classifier, grey: bool = False) -> dict[str, int]:
    """How many of the 20 photographs, made grey if that is asked, are right in the first and in the first five places."""
    samples = photographs()
    if grey:
        samples = [sample._replace(image=Image.open(sample.image).convert("L").convert("RGB")) for sample in samples]
    found = training.evaluate(model, samples)
    return {"top1": found.right, "top5": round(found.top5 * found.images)}


def train(name: str, start: str, seed: int) -> float:
    """Accuracy on the held-out half of the stamps after an epoch."""
    if start == "from scratch":
        return held_out_accuracy(stamps(seed), SCRATCH, seed, source=EDITS[name](random_lite0(seed)))
    return held_out_accuracy(stamps(seed), FINETUNE, seed, source=EDITS[name](lite0()))


def run() -> None:
    """Make what is not there yet."""
    for name in EDITS:
        kept.keep(FOUND, f"{name} | parameters", lambda name=name: sum(p.numel() for p in EDITS[name](lite0()).parameters()))
        kept.keep(FOUND, f"{name} | photographs", lambda name=name: look(EDITS[name](lite0())))
    for name in "as they are", "one channel":
        kept.keep(FOUND, f"{name} | photographs in grey", lambda name=name: look(EDITS[name](lite0()), grey=True))
    for start in "from scratch", "from the weights":
        for seed in SEEDS:
            for name in EDITS:
                kept.keep(FOUND, f"{name} | {start} | seed {seed}", partial(train, name, start, seed))


def spread(found: dict, name: str, start: str) -> list[float]:
    """The accuracies of the seeds, in percent."""
    keys = (f"{name} | {start} | seed {seed}" for seed in SEEDS)
    return [100 * found[key] for key in keys if key in found]


def table(found: dict) -> str:
    """What each edit leaves, in Markdown."""
    lines = [
        "| lite0's ImageNet weights in | parameters | photographs right of 20, in the first five | "
        "stamps after an epoch, % | from scratch, % |",
        "|---|---|---|---|---|",
    ]
    for name in EDITS:
        for colour in "", " in grey":
            seen = found.get(f"{name} | photographs{colour}")
            if seen is None:
                continue
            trained = (spread(found, name, start) for start in ("from the weights", "from scratch"))
            cells = ("" if colour else _cell(values) for values in trained)
            row, size = f"{name}{',' if colour else ''}{colour}", f"{found[f'{name} | parameters']:,}"
            lines.append(f"| {row} | {size} | {seen['top1']}, {seen['top5']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    """Mean and standard deviation."""
    if not values:
        return ""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {deviation:.1f}"


def draw(found: dict) -> None:
    """Photographs before training on the left, stamps after an epoch on the right."""
    figure = Figure(figsize=(9, 0.42 * len(EDITS) + 1.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 3))
    for y, name in enumerate(EDITS):
        seen = found[f"{name} | photographs"]["top1"]
        left.barh(y, seen, 0.6, color="#3c7cc4")
        left.text(seen + 0.4, y, str(seen), va="center")
        for start, place, colour in ("from the weights", -0.19, "#3c7cc4"), ("from scratch", 0.19, "#c9ccd1"):
            values = spread(found, name, start)
            if values:
                label = start if y == 0 else None
                right.barh(y + place, statistics.mean(values), 0.36, color=colour, label=label)
                right.plot(values, [y + place] * len(values), ".", color="#333333", markersize=4)
    left.set(yticks=range(len(EDITS)), yticklabels=EDITS, xlim=(0, 22), xticks=(0, 10, 20))
    left.set_title("before any training:\nof 20 photographs right", loc="left", fontsize=10)
    right.set_xlim(0, 100)
    right.set_title("after one epoch: % of held-out stamps right,\nby three seeds", loc="left", fontsize=10)
    right.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.08), ncols=2)
    left.invert_yaxis()
    for axes in left, right:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(left=False)
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="train what is not there yet, first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.run:
        run()
    found = kept.read(FOUND)
    if any(f"{name} | photographs" not in found for name in EDITS):
        raise SystemExit(f"{FOUND} has not all photographs yet. Make the rest: --run.")
    print(table(found))
    draw(found)


if __name__ == "__main__":
    main()
