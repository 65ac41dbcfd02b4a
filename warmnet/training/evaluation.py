"""Evaluation: how well a network does on labelled images, as figures, as text, as pictures."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.files import replacing
from ..data.preprocessing import ImageError
from ..errors import InputError, extra
from ..kernels.memory import keep_memory
from ..networks.efficientnet import WarmEfficientNet
from .data import Images, Sample, loader, opened
from .execution import found as found_device
from .plots import plot_calibration, plot_confusion, plot_grid, shown

with extra("train"):
    from PIL.Image import Image
    from rich.cells import cell_len
    from rich.progress import track

BINS = 15  # as Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599
SHOWN = 20  # classes in a table for people
PICTURED = 36  # mistakes in a picture


class ClassRow(NamedTuple):
    """A class: its images, how many were right, the shares of its images and of what was taken for it that are, and whom
    else it was taken for most often, how many times. A share of nothing is None.
    """

    name: str
    images: int
    right: int
    recall: float | None
    precision: float | None
    most_often_taken_for: str
    times: int


class Bin(NamedTuple):
    """The images whose most probable class has a probability in one of `BINS` equal ranges, the upper bound included."""

    confidence: float | None
    accuracy: float | None
    images: int


class Mistake(NamedTuple):
    """An image, the `place`th of the samples, that was taken for another class with this probability."""

    sample: Sample
    true: str
    predicted: str
    probability: float
    place: int


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation:
    """How a network did on labelled images. It prints as text, and `to_dict` gives all of it.

    - `classes`: the names of the network's outputs; `confusion[i, j]` counts the images of class i that were taken for class j.
    - `top5`: the share of images, in 0..1, whose class is among the five most probable, or among all if there are fewer.
    - `nll`: the mean negative log likelihood of the true classes, in nats.
    - `bins`: the reliability curve, from probability 0 to 1.
    - `mistakes`: all of them, the most confident first.
    - `skipped`: a message on each image that could not be read; it counts nowhere else.
    - `images_per_second`: decoding and workers' start included; `network_images_per_second`: from tensor to logits alone.
    """

    classes: tuple[str, ...]
    confusion: Tensor
    top5: float
    nll: float
    bins: tuple[Bin, ...]
    mistakes: tuple[Mistake, ...]
    skipped: tuple[str, ...]
    images_per_second: float
    network_images_per_second: float

    @property
    def images(self) -> int:
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        return int(self.confusion.trace())

    @property
    def top1(self) -> float:
        return self.right / self.images

    @property
    def calibration_error(self) -> float:
        """The expected one: the mean distance, over images, of their bin's confidence from its accuracy."""
        return (
            sum(n * abs(sure - right) for sure, right, n in self.bins if sure is not None and right is not None) / self.images
        )

    @property
    def per_class(self) -> tuple[ClassRow, ...]:
        """A row for each of `classes`, in their order."""
        wrong = self.confusion.clone().fill_diagonal_(0)
        columns = self.confusion.sum(1), self.confusion.diagonal(), self.confusion.sum(0), wrong.argmax(1), wrong.amax(1)
        return tuple(
            ClassRow(name, images, right, _share(right, images), _share(right, taken), self.classes[other] * bool(times), times)
            for name, images, right, taken, other, times in zip(self.classes, *(column.tolist() for column in columns))
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as values that JSON can hold. An image that is no file has no name, but its `place`."""
        mistakes = [
            mistake._asdict() | {"sample": None if isinstance(mistake.sample.image, Image) else str(mistake.sample.image)}
            for mistake in self.mistakes
        ]
        names = "images", "right", "top1", "top5", "nll", "calibration_error", "images_per_second", "network_images_per_second"
        return {
            **{name: getattr(self, name) for name in names},
            "skipped": list(self.skipped),
            "per_class": [row._asdict() for row in self.per_class],
            "bins": [row._asdict() for row in self.bins],
            "mistakes": mistakes,
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
        }

    def __repr__(self) -> str:
        return "\n".join([*self._summary(), "", *self._table()])

    def _summary(self) -> Iterator[str]:
        yield f"{self.right:,} of {self.images:,} images right."
        if self.skipped:
            yield f"Unreadable images, skipped: {len(self.skipped):,}."
        yield ""
        speeds = [f"{speed:,.0f}" for speed in (self.images_per_second, self.network_images_per_second)]
        rows = [("top-1", f"{self.top1:.1%}", "have their class as the most probable")]
        rows += [("top-5", f"{self.top5:.1%}", "have it among the five most probable")] * (len(self.classes) > 5)
        rows += [
            ("NLL", f"{self.nll:.3f}", "mean negative log likelihood, in nats"),
            ("calibration", f"{self.calibration_error:.1%}", f"expected error of the probabilities, in {BINS} bins"),
            ("speed", speeds[0], f"images/s with decoding; the network alone {speeds[1]}"),
        ]
        yield from _aligned(rows, [str.ljust, str.rjust, str.ljust])

    def _table(self) -> Iterator[str]:
        """The classes that have images, in their order; of many the worst alone."""
        rows = [row for row in self.per_class if row.images]
        count, without = len(rows), len(self.classes) - len(rows)
        if count > SHOWN:
            rows.sort(key=lambda row: row.recall or 0)
        head = "class", "images", "right", "recall", "precision", "most often taken for", "times"
        cells = [
            (shown(row.name), f"{row.images:,}", f"{row.right:,}", _percent(row.recall), _percent(row.precision),
             shown(row.most_often_taken_for), str(row.times or ""))
            for row in rows[:SHOWN]
        ]  # fmt: skip
        title, *lines = _aligned([head, *cells], [str.ljust, *[str.rjust] * 4, str.ljust, str.rjust])
        yield from (title, "─" * cell_len(title), *lines)
        if count > SHOWN:
            yield f"... and {count - SHOWN:,} more classes, with a recall of {_percent(rows[SHOWN].recall)} or above"
        if without:
            yield f"Classes of the network without images here: {without:,}."


def evaluate(
    model: WarmEfficientNet, samples: Sequence[Sample], classes: Sequence[str] | None = None, *,
    batch_size: int = 64, workers: int = 0, device: str = "auto", strict: bool = False,
) -> Evaluation:  # fmt: skip
    """How `model`, which stays as it is, does on `samples`, preprocessed as its weights want it.

    Raises InputError if the model does not know its preprocessing or one of the classes, or no image can be read.

    - `classes`: the names that the samples' labels refer to, all of them the model's. Default: the model's own. A model that
      has no names for its outputs takes so many in their order.
    - `workers`: processes that read images; 0 is this one.
    - `device`: 'auto', the best there is, 'cpu', 'cuda' or 'mps'.
    - `strict`: an unreadable image is an error; else it is skipped.

    >>> import warmnet
    >>> from warmnet import training
    >>> from warmnet.data.preprocessing import Preprocessing
    >>> model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), num_classes=10, seed=0)
    >>> model.preprocessing = Preprocessing(32)
    >>> evaluation = training.evaluate(model, training.digits().held_out[:20])
    >>> evaluation.confusion.shape, int(evaluation.confusion.sum())
    (torch.Size([10, 10]), 20)
    """
    names, outputs = _outputs(model, classes)
    place = found_device(device)
    if place == "cpu":
        keep_memory()
    batches = loader(_Readable(samples, model), workers, batch_size=batch_size, collate_fn=_batch)
    results, skipped, busy = [], list[str](), 0.0
    with _evaluating(model, place), torch.inference_mode():
        side = model.preprocessing.resolution
        model(torch.zeros(1, 3, side, side, device=place))  # what only the first call costs
        began = time.perf_counter()
        for indices, x, messages in track(batches, "evaluating", transient=True, disable=not sys.stdout.isatty()):
            skipped += messages
            if strict and skipped:
                raise InputError(f"unreadable image, which --strict refuses: {skipped[0]}")
            if indices:
                start = time.perf_counter()
                logits = model(x.to(place, memory_format=torch.channels_last)).cpu()
                busy += time.perf_counter() - start
                results.append(_result(logits, indices, [outputs[samples[i].label] for i in indices]))
        seconds = time.perf_counter() - began
    if not results:
        raise InputError(f"None of the {len(samples):,} images can be read. {' '.join(skipped[:1])}".strip())
    found = _Result(*map(torch.cat, zip(*results)))
    if not found.nll.isfinite().all():
        raise InputError("The network gives numbers that are not finite; its weights are damaged, or their training diverged.")
    speeds = len(found.nll) / seconds, len(found.nll) / busy
    return _evaluation(found, names, samples, tuple(skipped), speeds)


def report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """The files written into `folder`: evaluation.json, per-class.csv, and pictures of calibration, confusion and mistakes."""
    paths = [folder / "evaluation.json", folder / "per-class.csv", folder / "calibration.png", folder / "confusion-matrix.png"]
    with replacing(paths[0]) as path:
        path.write_text(json.dumps(evaluation.to_dict(), allow_nan=False) + "\n")
    with replacing(paths[1]) as path, open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([ClassRow._fields, *evaluation.per_class])
    plot_calibration(evaluation.bins, paths[2])
    met = (evaluation.confusion.sum(0) + evaluation.confusion.sum(1)).nonzero().flatten()
    plot_confusion(evaluation.confusion[met][:, met], [evaluation.classes[i] for i in met], paths[3], of="images")
    if worst := evaluation.mistakes[:PICTURED]:
        paths.append(folder / "worst-mistakes.png")
        tiles = [
            (
                image if isinstance(image, Image) else opened(image),
                f"{shown(true)}\ntaken for {shown(predicted)}\n{probability:.0%} sure",
            )
            for (image, _), true, predicted, probability, _ in worst
        ]
        total = len(evaluation.mistakes)
        title = (
            f"The {len(worst)} most confident of {total:,} mistakes"
            if len(worst) < total
            else "All mistakes, the most confident first"
        )
        plot_grid(tiles, paths[-1], title)
    else:
        (folder / "worst-mistakes.png").unlink(missing_ok=True)
    return paths


class _Readable(Dataset[tuple[int, Tensor | None, str]]):
    """Samples as (index, tensor, message), preprocessed for a model: with a message in place of the tensor if unreadable."""

    def __init__(self, samples: Sequence[Sample], model: WarmEfficientNet):
        self.images = Images(samples, model.preprocessing)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[int, Tensor | None, str]:
        try:
            return index, self.images[index][0], ""
        except ImageError as error:
            return index, None, str(error)


def _batch(items: Sequence[tuple[int, Tensor | None, str]]) -> tuple[list[int], Tensor, list[str]]:
    """The indices and the tensor of the images that could be read, and the messages on the others."""
    read = {index: x for index, x, _ in items if x is not None}
    x = torch.stack([*read.values()]) if read else torch.empty(0)
    return [*read], x, [message for _, _, message in items if message]


class _Result(NamedTuple):
    """Of N images: their places, the outputs for their labels, the K <= 5 most probable outputs, (N, K), the highest
    probability, and the true class's negative log likelihood.
    """

    places: Tensor
    labels: Tensor
    ranked: Tensor
    confidence: Tensor
    nll: Tensor


def _result(logits: Tensor, places: list[int], labels: list[int]) -> _Result:
    log, truth = logits.double().log_softmax(1), torch.tensor(labels)
    ranked = log.argsort(dim=1, descending=True, stable=True)[:, :5]
    return _Result(torch.tensor(places), truth, ranked, log.amax(1).exp(), -log.gather(1, truth[:, None])[:, 0])


def _evaluation(
    found: _Result, names: tuple[str, ...], samples: Sequence[Sample], skipped: tuple[str, ...], speeds: tuple[float, float]
) -> Evaluation:
    predicted, count = found.ranked[:, 0], len(names)
    confusion = torch.bincount(found.labels * count + predicted, minlength=count * count).view(count, count)
    top5 = (found.ranked == found.labels[:, None]).any(1).double().mean().item()
    wrong = (predicted != found.labels).nonzero().flatten()
    wrong = wrong[found.confidence[wrong].argsort(dim=0, descending=True, stable=True)]
    columns = found.places, found.labels, predicted, found.confidence
    mistakes = tuple(
        Mistake(samples[place], names[true], names[taken_for], probability, place)
        for place, true, taken_for, probability in zip(*(column[wrong].tolist() for column in columns))
    )
    bins = _bins(found.confidence, predicted == found.labels)
    return Evaluation(names, confusion, top5, found.nll.mean().item(), bins, mistakes, skipped, *speeds)


def _bins(confidence: Tensor, right: Tensor) -> tuple[Bin, ...]:
    """The reliability curve: for each bin its mean confidence, its accuracy and its number of images."""
    bin_of = torch.bucketize(confidence, torch.linspace(0, 1, BINS + 1, dtype=torch.double)[1:-1])
    count, sure, true = (torch.bincount(bin_of, of, BINS).tolist() for of in (None, confidence, right.double()))
    return tuple(Bin(_share(s, int(n)), _share(t, int(n)), int(n)) for n, s, t in zip(count, sure, true))


def _outputs(model: WarmEfficientNet, classes: Sequence[str] | None) -> tuple[tuple[str, ...], list[int]]:
    """The names of the model's outputs, and the output that each label stands for."""
    if not model.num_classes or model.preprocessing is None:
        raise InputError("The model lacks what evaluation needs: classes, and the preprocessing of RGB images.")
    names = tuple(model.classes)
    if not names and classes is not None and len(classes) == model.num_classes:
        names = tuple(classes)
    names = names or tuple(f"class {n}" for n in range(model.num_classes))
    if unknown := [name for name in classes or () if name not in names]:
        raise InputError(
            f"The model does not know {_listed(unknown)}. Its classes are {_listed(names)}; "
            f"those of the images are {_listed(classes or ())}. Rename or remove the images' folders, or train with them."
        )
    return names, [names.index(name) for name in (names if classes is None else classes)]


def _listed(names: Sequence[str]) -> str:
    """Names in quotes, of many the first ten."""
    return ", ".join(map(repr, names[:10])) + f" and {len(names) - 10:,} more" * (len(names) > 10)


@contextmanager
def _evaluating(model: WarmEfficientNet, device: str) -> Iterator[None]:
    """The model evaluates, on that device; afterwards each of its modules is in its own mode, on its own device, again."""
    home, modes = next(model.parameters()).device, {module: module.training for module in model.modules()}
    try:
        model.eval().to(device)
        yield
    finally:
        model.to(home)
        for module, mode in modes.items():
            module.training = mode


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _aligned(rows: Sequence[Sequence[str]], sides: Sequence[Any]) -> list[str]:
    """A line for each row, its cells padded to their columns' widths on a terminal, where 猫 is as wide as two letters."""
    widths = [max(map(cell_len, column)) for column in zip(*rows)]
    return [
        "  ".join(side(cell, width - cell_len(cell) + len(cell)) for cell, width, side in zip(row, widths, sides)).rstrip()
        for row in rows
    ]
