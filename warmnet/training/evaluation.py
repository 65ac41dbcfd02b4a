"""Evaluation: how well a network does on labelled images."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.errors import ImageError
from ..data.loading import Images, loader
from ..data.preprocessing import Preprocessing
from ..data.samples import Sample
from ..errors import InputError, extra
from ..kernels.memory import keep_memory
from ..networks.classifier import Classifier
from ..text import first_ten
from .evaluation_result import BINS, Bin, Evaluation, Mistake, ratio
from .execution import find_device

with extra("train"):
    from rich.progress import track


class _Predictions(NamedTuple):
    """Of N images: their places, the outputs for their labels, the K <= 5 most probable outputs, (N, K), the highest
    probability, and the true class's negative log likelihood.
    """

    places: Tensor
    labels: Tensor
    ranked: Tensor
    confidence: Tensor
    nll: Tensor


def evaluate(
    model: Classifier, samples: Sequence[Sample], classes: Sequence[str] | None = None, *,
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
    >>> from warmnet.data import Preprocessing
    >>> model = warmnet.WarmEfficientNet(warmnet.Variant(0.2, 0.2, 32, 0.2), num_classes=10, seed=0)
    >>> model.preprocessing = Preprocessing(32)
    >>> evaluation = training.evaluate(model, training.digits().held_out[:20])
    >>> evaluation.confusion.shape, int(evaluation.confusion.sum())
    (torch.Size([10, 10]), 20)
    """
    names, outputs = _outputs(model, classes)
    device = find_device(device)
    if device == "cpu":
        keep_memory()
    batches = loader(_Readable(samples, model.preprocessing), workers, batch_size=batch_size, collate_fn=_batch)
    predictions: list[_Predictions] = []
    skipped: list[str] = []
    network_seconds = 0.0
    with _evaluating(model, device), torch.inference_mode():
        side = model.preprocessing.resolution
        model(torch.zeros(1, 3, side, side, device=device))  # what only the first call costs
        start = time.perf_counter()
        for places, x, messages in track(batches, "evaluating", transient=True, disable=not sys.stdout.isatty()):
            skipped += messages
            if strict and skipped:
                raise InputError(f"unreadable image, which --strict refuses: {skipped[0]}")
            if places:
                network_start = time.perf_counter()
                logits = model(x.to(device, memory_format=torch.channels_last)).cpu()
                network_seconds += time.perf_counter() - network_start
                predictions.append(_predictions(logits, places, [outputs[samples[i].label] for i in places]))
        seconds = time.perf_counter() - start
    if not predictions:
        raise InputError(f"None of the {len(samples):,} images can be read. {' '.join(skipped[:1])}".strip())
    whole = _Predictions(*map(torch.cat, zip(*predictions)))
    if not whole.nll.isfinite().all():
        raise InputError("The network gives numbers that are not finite; its weights are damaged, or their training diverged.")
    count = len(whole.nll)
    return _evaluation(whole, names, samples, tuple(skipped), count / seconds, count / network_seconds)


class _Readable(Dataset[tuple[int, Tensor | None, str]]):
    """Samples as (place, tensor, message): preprocessed, or with a message in place of the tensor if unreadable."""

    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing):
        self.images = Images(samples, preprocessing)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[int, Tensor | None, str]:
        try:
            return index, self.images[index][0], ""
        except ImageError as error:
            return index, None, str(error)


def _batch(items: Sequence[tuple[int, Tensor | None, str]]) -> tuple[list[int], Tensor, list[str]]:
    """The places and the tensor of the images that could be read, and the messages on the others."""
    tensors = {place: x for place, x, _ in items if x is not None}
    x = torch.stack([*tensors.values()]) if tensors else torch.empty(0)
    return [*tensors], x, [message for _, _, message in items if message]


def _predictions(logits: Tensor, places: list[int], labels: list[int]) -> _Predictions:
    log, truth = logits.double().log_softmax(1), torch.tensor(labels)
    ranked = log.argsort(dim=1, descending=True, stable=True)[:, :5]
    return _Predictions(torch.tensor(places), truth, ranked, log.amax(1).exp(), -log.gather(1, truth[:, None])[:, 0])


def _evaluation(
    predictions: _Predictions, names: tuple[str, ...], samples: Sequence[Sample], skipped: tuple[str, ...],
    images_per_second: float, network_images_per_second: float,
) -> Evaluation:  # fmt: skip
    labels, predicted, count = predictions.labels, predictions.ranked[:, 0], len(names)
    return Evaluation(
        classes=names,
        confusion=torch.bincount(labels * count + predicted, minlength=count * count).view(count, count),
        top5=(predictions.ranked == labels[:, None]).any(1).double().mean().item(),
        nll=predictions.nll.mean().item(),
        bins=_bins(predictions.confidence, predicted == labels),
        mistakes=_mistakes(predictions, names, samples),
        skipped=skipped,
        images_per_second=images_per_second,
        network_images_per_second=network_images_per_second,
    )


def _mistakes(predictions: _Predictions, names: Sequence[str], samples: Sequence[Sample]) -> tuple[Mistake, ...]:
    """All of them, the most confident first."""
    wrong = (predictions.ranked[:, 0] != predictions.labels).nonzero().flatten()
    wrong = wrong[predictions.confidence[wrong].argsort(dim=0, descending=True, stable=True)]
    mistakes = []
    for i in wrong.tolist():
        place = int(predictions.places[i])
        true, predicted = int(predictions.labels[i]), int(predictions.ranked[i, 0])
        confidence = predictions.confidence[i].item()
        mistakes.append(Mistake(samples[place], names[true], names[predicted], confidence, place))
    return tuple(mistakes)


def _bins(confidence: Tensor, right: Tensor) -> tuple[Bin, ...]:
    """The reliability curve: for each bin its mean confidence, its accuracy and its number of images."""
    bin_of = torch.bucketize(confidence, torch.linspace(0, 1, BINS + 1, dtype=torch.double)[1:-1])
    counts = torch.bincount(bin_of, minlength=BINS).tolist()
    confidences = torch.bincount(bin_of, confidence, BINS).tolist()
    rights = torch.bincount(bin_of, right.double(), BINS).tolist()
    return tuple(Bin(ratio(confidences[i], counts[i]), ratio(rights[i], counts[i]), counts[i]) for i in range(BINS))


def _outputs(model: Classifier, classes: Sequence[str] | None) -> tuple[tuple[str, ...], list[int]]:
    """The names of the model's outputs, and the output that each label stands for."""
    if not model.num_classes or model.preprocessing is None:
        raise InputError("The model lacks what evaluation needs: classes, and the preprocessing of RGB images.")
    names = tuple(model.classes)
    if not names and classes is not None and len(classes) == model.num_classes:
        names = tuple(classes)
    if not names:
        names = tuple(f"class {n}" for n in range(model.num_classes))
    if classes is None:
        return names, list(range(len(names)))
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise InputError(
            f"The model does not know {first_ten(unknown)}. Its classes are {first_ten(names)}; "
            f"those of the images are {first_ten(classes)}. Rename or remove the images' folders, or train with them."
        )
    return names, [names.index(name) for name in classes]


@contextmanager
def _evaluating(model: Classifier, device: str) -> Iterator[None]:
    """The model evaluates, on that device; afterwards each of its modules is in its own mode, on its own device, again."""
    home, modes = next(model.parameters()).device, {module: module.training for module in model.modules()}
    try:
        model.eval().to(device)
        yield
    finally:
        model.to(home)
        for module, mode in modes.items():
            module.training = mode
