"""How good a network is after a training of which nothing else is kept."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from dataclasses import replace
from typing import Any

from torch import Tensor

import warmnet
from warmnet import training
from warmnet.data import Data


def held_out_accuracy(data: Data, recipe: training.Recipe, seed: int, **start: Any) -> float:
    """The share of the held-out images that are right after the last epoch."""
    confusion = held_out_confusion(data, recipe, seed, **start)
    return int(confusion.trace()) / int(confusion.sum())


def held_out_confusion(data: Data, recipe: training.Recipe, seed: int, **start: Any) -> Tensor:
    """What the held-out images are taken for after the last epoch; `start` is what else `training.fit` is told.

    Epochs evaluate one image of each class, to save time.
    """
    watched = [*{sample.label: sample for sample in data.held_out}.values()]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", warmnet.WeightsWarning)  # that the classifier is new
        training.fit(replace(data, held_out=watched), replace(recipe, patience=None), folder, seed=seed, **start)
        source = start.get("source")
        family = type(source) if isinstance(source, warmnet.Classifier) else warmnet.Classifier
        return training.evaluate(family.from_pretrained(folder), data.held_out).confusion
