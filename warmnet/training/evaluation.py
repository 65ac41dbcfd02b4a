"""Evaluation: how well a network does on labelled images."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..data.errors import ImageError
from ..data.loading import loader, worker_errors
from ..data.preprocessing import Preprocessing
from ..data.samples import Sample
from ..deployment.devices import find_device
from ..deployment.prediction import computing
from ..deployment.predictor import Predictor
from ..errors import InputError, extra
from ..kernels.memory import keep_memory
from ..networks.classifier import Classifier
from ..text import first_ten
from .evaluation_result import BINS, Bin, Evaluation, Mistake, ratio

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
    model: Classifier | Predictor, samples: Sequence[Sample], classes: Sequence[str] | None = None, *,
    batch_size: int = 64, workers: int = 0, device: str = "auto", strict: bool = False,
) -> Evaluation:  # fmt: skip
    """How `model`, which stays as it is, does on `samples`, preprocessed as its weights want it. It may be an exported one.

    Raises InputError if the model does not know its preprocessing or one of the classes, if no image can be read, and for what
    is no model or no samples.

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
    _check_kinds(model, samples)
    preprocessing = _preprocessing(model)
    names, outputs = _outputs(model, classes)
    if isinstance(model, Classifier) and find_device(device) == "cpu":
        keep_memory()
    batches = loader(_Readable(samples, preprocessing), workers, batch_size=batch_size, collate_fn=_batch)
    predictions: list[_Predictions] = []
    skipped: list[str] = []
    network_seconds = 0.0
    with computing(model, device) as logits_of, worker_errors():
        side = preprocessing.resolution
        logits_of(np.zeros((1, side, side, 3), np.uint8))  # what only the first call costs
        start = time.perf_counter()
        for places, pixels, messages in track(batches, "evaluating", transient=True, disable=not sys.stdout.isatty()):
            skipped += messages
            if strict and skipped:
                raise InputError(f"unreadable image, which --strict refuses: {skipped[0]}")
            if places:
                network_start = time.perf_counter()
                logits = torch.from_numpy(logits_of(pixels.numpy()))
                network_seconds += time.perf_counter() - network_start
                _check_outputs(logits, names)
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
    """Samples as (place, pixels, message): (resolution, resolution, 3), uint8; None and a message if unreadable."""

    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing):
        self.samples, self.preprocessing = samples, preprocessing

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[int, Tensor | None, str]:
        try:
            pixels = self.preprocessing.pixels(self.samples[index].image)
            return index, torch.from_numpy(np.array(pixels)), ""
        except ImageError as error:
            return index, None, str(error)


def _batch(items: Sequence[tuple[int, Tensor | None, str]]) -> tuple[list[int], Tensor, list[str]]:
    """The places and the pixels of the images that could be read, and the messages on the others."""
    tensors = {place: x for place, x, _ in items if x is not None}
    pixels = torch.stack([*tensors.values()]) if tensors else torch.empty(0)
    return [*tensors], pixels, [message for _, _, message in items if message]


def _check_outputs(logits: Tensor, names: Sequence[str]) -> None:
    """Raise unless there is an output for each name."""
    if logits.shape[1] != len(names):
        raise InputError(f"The network has {logits.shape[1]} outputs and {len(names)} names of classes. Give it as many.")


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


def _check_kinds(model: Any, samples: Any) -> None:
    """Raise InputError for what does not say its classes and its preprocessing, and for what are no samples."""
    if not all(hasattr(model, name) for name in ("num_classes", "classes", "preprocessing")):  # peft's wrappers have them, too
        given = f"a {type(model).__name__}" if isinstance(model, nn.Module) else f"{model!r:.60}"
        raise InputError(
            f"model is {given}, which does not say its classes and its preprocessing as warmnet's classifiers and exported "
            f"networks do. Of a wrapper pass what is in it, of a run WarmEfficientNet.from_pretrained('runs/pets-1')."
        )
    are_samples = isinstance(samples, Sequence) and all(isinstance(sample, Sample) for sample in samples[:1])
    if isinstance(samples, str) or not are_samples:
        raise InputError(f"samples is {samples!r:.60}, and no list of samples, as data.held_out of training.folder('pets') is.")


def _preprocessing(model: Classifier | Predictor) -> Preprocessing:
    """The preprocessing of a model that can be evaluated; an InputError if it cannot."""
    if model.num_classes == 0 or model.preprocessing is None:
        raise InputError("The model lacks what evaluation needs: classes, and the preprocessing of RGB images.")
    return model.preprocessing


def _outputs(model: Classifier | Predictor, classes: Sequence[str] | None) -> tuple[tuple[str, ...], list[int]]:
    """The names of the model's outputs, and the output that each label stands for."""
    count = model.num_classes
    names = tuple(model.classes)
    if not names and classes is not None and count in (None, len(classes)):
        names = tuple(classes)
    if not names:
        if count is None:
            raise InputError("The exported network does not say its classes. Pass those of its outputs, in their order.")
        names = tuple(f"class {n}" for n in range(count))
    if classes is None:
        return names, list(range(len(names)))
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise InputError(
            f"The model does not know {first_ten(unknown)}. Its classes are {first_ten(names)}; "
            f"those of the images are {first_ten(classes)}. Rename or remove the images' folders, or train with them."
        )
    return names, [names.index(name) for name in classes]
