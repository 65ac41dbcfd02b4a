"""Images/s of the input pipeline beside timm's and torchvision's, contenders taking turns: python benchmarks/pipeline.py

All read the same 32 JPEG files of 500x375, parts of real photographs. With one thread it counts CPU time, so that a machine at
work on other things measures nearly the same; with two workers, the wall time of a DataLoader. At the end comes the rate to
keep up with, B0's own.

The same work is asked of all: a random part, bicubic to 224x224, mirrored half of the time, normalized, stacked in batches of
32. timm's jitter of colours is off, and its policy is v0r, since its v0 posterizes to 0 bits, which Pillow 13 refuses;
torchvision has no v0, and its policy is that of AutoAugment's paper. The ratio is to the faster of the two, above 1 where
warmnet is. Medians (maxima) are printed and written to pipeline.json. It needs the peers in constraints.txt, see
CONTRIBUTING.md, and beside them what `warmnet[train]` does, and webdataset.
"""

import json
import platform
import random
import statistics
import sys
import tarfile
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1])]
from peers.libraries import timm, torchvision  # noqa: E402

# isort: off
import timm.data  # noqa: E402
import torchvision.transforms as T  # noqa: E402
import PIL  # noqa: E402
import webdataset  # noqa: E402
from PIL import Image  # noqa: E402
from sklearn.datasets import load_sample_image  # noqa: E402

import warmnet  # noqa: E402
from warmnet.data import Preprocessing, read_image  # noqa: E402
from warmnet.training.recipe import PAPER  # noqa: E402
from warmnet.training.rmsprop import RMSpropTF  # noqa: E402
from warmnet.data.tar_members import Member, list_members  # noqa: E402

MINE = "warmnet"
SIZE, COUNT = 224, 32
PREPROCESSING = Preprocessing(SIZE)


class Pipeline:
    """Files or members of a shard as a map-style data set of normalized tensors."""

    def __init__(self, files, load, transform, epochs):
        self.files, self.load, self.transform = files * epochs, load, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        return self.transform(self.load(self.files[i]))


def pil_loader(path):
    """As timm's and torchvision's image folders do it."""
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


def load(file):
    return read_image(file.open() if isinstance(file, Member) else file)


def ours(sampling, policy):
    augmentation = replace(PAPER, sampling=sampling, augment=policy).augmentation
    return lambda image: augmentation(image, PREPROCESSING, random.Random(random.getrandbits(62)))  # each image its own


def torchvisions(policy):
    bicubic = T.InterpolationMode.BICUBIC
    steps = [T.RandomResizedCrop(SIZE, interpolation=bicubic), T.RandomHorizontalFlip()]
    steps += [T.AutoAugment(interpolation=bicubic)] if policy else []
    mean, std = PREPROCESSING.mean, PREPROCESSING.std
    return T.Compose([*steps, T.PILToTensor(), T.ConvertImageDtype(torch.float), T.Normalize(mean, std)])


def timms(policy):
    return timm.data.create_transform(SIZE, True, auto_augment=policy and "v0r", color_jitter=None, interpolation="bicubic")


def write_photographs(folder):
    rng = random.Random(0)
    for n in range(COUNT):
        photograph = Image.fromarray(load_sample_image(("china.jpg", "flower.jpg")[n % 2]))
        left, top = rng.randrange(photograph.width - 500), rng.randrange(photograph.height - 375)
        photograph.crop((left, top, left + 500, top + 375)).save(folder / f"{n:03}.jpg", quality=95)
    paths = sorted(folder.glob("*.jpg"))
    with tarfile.open(folder / "photographs.tar", "w") as tar:
        for path in paths:
            tar.add(path, path.name)
    return [*map(str, paths)], list_members(str(folder / "photographs.tar"), Counter())


def one_thread(files, members):
    """Of each scene, the contenders as calls on all of the files."""

    def stream():
        return [*webdataset.WebDataset(members[0].tar, shardshuffle=False).to_tuple("jpg")]

    yield (
        "bytes",
        {
            "shard, by offset": lambda: [member.read() for member in members],
            "files": lambda: [Path(path).read_bytes() for path in files],
            "shard, webdataset": stream,
        },
    )
    yield (
        "decode",
        {
            MINE: lambda: [*map(load, files)],
            f"{MINE}, shard": lambda: [*map(load, members)],
            "timm and torchvision": lambda: [*map(pil_loader, files)],
        },
    )
    for scene, contenders in pipelines(files, members, epochs=1):
        yield scene, {name: lambda p=p: torch.stack([*p]) for name, p in contenders.items()}


def pipelines(files, members, epochs):
    for scene, policy in ("decode to batch", None), ("decode to batch, AutoAugment", "autoaugment"):
        yield (
            scene,
            {
                MINE: Pipeline(files, load, ours("torchvision", policy), epochs),
                f"{MINE}, official crop": Pipeline(files, load, ours("official", policy), epochs),
                f"{MINE}, shard": Pipeline(members, load, ours("torchvision", policy), epochs),
                "timm": Pipeline(files, pil_loader, timms(policy), epochs),
                "torchvision": Pipeline(files, pil_loader, torchvisions(policy), epochs),
            },
        )


def two_workers(files, members):
    def drain(loader):
        for _ in loader:
            pass

    for scene, contenders in pipelines(files, members, epochs=8):
        loaders = {
            name: DataLoader(p, COUNT, shuffle=True, num_workers=2, persistent_workers=True) for name, p in contenders.items()
        }
        yield f"{scene}, 2 workers", {name: lambda loader=loader: drain(loader) for name, loader in loaders.items()}


def take_turns(contenders, images, rounds, clock):
    """Images/s of each call of each contender, in `rounds` rounds."""
    rates = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for i in range(rounds):
        order = list(contenders.items())
        for name, call in order[i % len(order) :] + order[: i % len(order)]:
            began = clock()
            call()
            rates[name].append(images / (clock() - began))
    return rates


def network(batch=16):
    """B0's own calls, for a batch at 224x224."""
    model = warmnet.WarmEfficientNet("b0", seed=0).to(memory_format=torch.channels_last)
    optimizer = RMSpropTF(model.parameters(), lr=1e-4, alpha=0.9, momentum=0.9, eps=1e-3, weight_decay=1e-5)
    x = torch.randn(batch, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    target, loss = torch.randint(1000, (batch,)), nn.CrossEntropyLoss(label_smoothing=0.1)

    def train():
        model.train()
        optimizer.zero_grad()
        loss(model(x), target).backward()
        optimizer.step()

    @torch.no_grad()
    def infer():
        model.eval()(x)

    return batch, {"training": train, "inference": infer}


def row(rates):
    """Images/s: [median, maximum], and of the first contender to the fastest of the peers, likewise."""
    found = {name: [statistics.median(r), max(r)] for name, r in rates.items()}
    peers = [name for name in rates if name.startswith(("timm", "torchvision"))]
    if peers:
        best = max(peers, key=lambda name: found[name][0])
        turns = [mine / theirs for mine, theirs in zip(rates[MINE], rates[best])]
        found["ratio"] = [statistics.median(turns), found[MINE][1] / max(found[name][1] for name in peers)]
    return found


def main():
    rows = {}

    def measure(scene, contenders, images, rounds, clock):
        rows[scene] = row(take_turns(contenders, images, rounds, clock))
        cells = [f"{name} {a:.0f} ({b:.0f})" for name, (a, b) in rows[scene].items() if name != "ratio"]
        cells += ["ratio {:.2f} ({:.2f})".format(*rows[scene]["ratio"])] if "ratio" in rows[scene] else []
        print(f"{scene}: {', '.join(cells)}")

    with tempfile.TemporaryDirectory() as folder:
        files, members = write_photographs(Path(folder))
        torch.set_num_threads(1)
        for scene, contenders in one_thread(files, members):
            measure(scene, contenders, COUNT, 25, time.thread_time)
        for scene, contenders in two_workers(files, members):
            measure(scene, contenders, 8 * COUNT, 7, time.perf_counter)
        for threads, clock in (1, time.thread_time), (2, time.perf_counter):
            torch.set_num_threads(threads)
            batch, calls = network()
            measure(f"b0, batch {batch}, {threads} thread{'s' * (threads > 1)}", calls, batch, 5, clock)
        size = sum(Path(path).stat().st_size for path in files) // COUNT
    about = {
        "date": str(date.today()),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {m.__name__: m.__version__ for m in (torch, warmnet, timm, torchvision, PIL, webdataset)},
        "unit": "images/s, [median, maximum]; ratio to the faster peer, above 1 if faster, [median of turns, of maxima]",
        "bytes of a file": size,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
