"""Fashion-MNIST as folders, as tar shards and as arrays: the same weights, without waiting? python benchmarks/sources.py

Its 60,000 pictures are written as PNG files and as 12 shards, into runs/sources. From each a small network is trained for one
epoch, a fifth of each class held out, and the SHA-256 of its weights taken. Then b0, its stem of stride 1, takes 40 steps of
128 pictures from each, on one thread, and the share of the time in which it waits for pictures is counted, after the first
ones. Results go to sources.json, and one that is there is not made again. Fashion-MNIST is Debian's package
dataset-fashion-mnist.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))
import kept  # noqa: E402
from real_pictures import FASHION_CLASSES, fashion  # noqa: E402

import warmnet  # noqa: E402
from warmnet import training  # noqa: E402
from warmnet.data import Data, Sample  # noqa: E402
from warmnet.data.loading import Batches, Images, loader  # noqa: E402
from warmnet.training.initial_network import digest  # noqa: E402

FOUND = Path(__file__).with_suffix(".json")
FOLDER = Path("runs/sources")
PER_SHARD, BATCH, STEPS = 5000, 128, 40
TINY = warmnet.Variant(width=0.25, depth=0.3, resolution=28, dropout=0.2)
SMALL_STEM = {"stem_stride": 1, "momentum": 0.1}
RECIPE = replace(training.PHOTOS, epochs=1, batch_size=BATCH, resolution=28, crop=1.0, area=(0.7, 1.0), network=SMALL_STEM)


def pictures() -> list[Sample]:
    """The 60,000, sorted by the names of their classes."""
    return sorted(fashion().train, key=lambda sample: FASHION_CLASSES[sample.label])


def write_files() -> None:
    """A file for each picture, and shards of 5,000."""
    if (FOLDER / "done").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    numbered = [*enumerate(pictures())]
    for first in range(0, len(numbered), PER_SHARD):
        with tarfile.open(FOLDER / f"{first // PER_SHARD:02}.tar", "w") as shard:
            for number, (image, label) in numbered[first : first + PER_SHARD]:
                png = io.BytesIO()
                image.save(png, "png")
                path = FOLDER / "files" / FASHION_CLASSES[label] / f"{number:05}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png.getvalue())
                for suffix, content in ("png", png.getvalue()), ("cls", FASHION_CLASSES[label].encode()):
                    member = tarfile.TarInfo(f"{number:05}.{suffix}")
                    member.size = len(content)
                    shard.addfile(member, io.BytesIO(content))
    (FOLDER / "done").touch()


def arrays() -> Data:
    samples = pictures()
    images = numpy.stack([numpy.asarray(image) for image, _ in samples])
    return training.arrays(images, [FASHION_CLASSES[label] for _, label in samples])


SOURCES: dict[str, Callable[[], Data]] = {
    "folders": lambda: training.folder(FOLDER / "files"),
    "shards": lambda: training.shards(str(FOLDER / "*.tar")),
    "arrays": arrays,
}


def measure(source: str) -> dict[str, object]:
    """Seconds to read what there is; weights after an epoch, as a SHA-256; the share of b0's time that it waits."""
    began = time.perf_counter()
    data = SOURCES[source]()
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        run = training.fit(data, RECIPE, folder, variant=TINY, seed=0, execution=training.Execution(workers=1))
        weights = digest(warmnet.WarmEfficientNet.from_pretrained(folder))
    return {
        "images": len(data.train) + len(data.held_out), "seconds to look at all": round(seconds, 1), "sha256": weights,
        "held out, right": run.history[-1].held_out_accuracy, "waiting": {n: waiting(data, n) for n in (0, 1)},
    }  # fmt: skip


def waiting(data: Data, workers: int) -> float:
    """The share of the time of 40 steps of b0 in which it waits for pictures, read by so many other processes."""
    model = warmnet.WarmEfficientNet("b0", num_classes=10, **SMALL_STEM).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    preprocessing, augmentation = RECIPE.preprocessing, RECIPE.augmentation
    batches = iter(
        loader(Images(data.train, preprocessing, augmentation), workers, batch_sampler=Batches(len(data.train), BATCH, 0))
    )
    next(batches)
    began, waited = time.perf_counter(), 0.0
    for _ in range(STEPS):
        asked = time.perf_counter()
        x, y = next(batches)
        waited += time.perf_counter() - asked
        F.cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    return waited / (time.perf_counter() - began)


def table(found: dict[str, dict]) -> str:
    """What was found, in Markdown."""
    lines = [
        "| 60,000 images as | found in | weights after an epoch, SHA-256 | b0 waits, `--workers 0` | `--workers 1` |",
        "|---|---|---|---|---|",
    ]
    for source, of in found.items():
        waits = " | ".join(f"{100 * share:.1f} %" for share in of["waiting"].values())
        lines.append(f"| {source} | {of['seconds to look at all']:.0f} s | `{of['sha256'][:12]}` | {waits} |")
    return "\n".join(lines)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    write_files()
    for source in SOURCES:
        kept.keep(FOUND, source, partial(measure, source))
    print(table(kept.read(FOUND)))


if __name__ == "__main__":
    main()
