"""`load`: a checkpoint's weights in a network that is there."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ..networks.classifier import Classifier
from ..networks.families import FAMILIES
from .conventions import as_keywords, conventions_of, difference, stated_conventions
from .errors import WeightsError
from .fitting import fit, take_description, warn
from .identification import Identified, as_named, identify
from .inserted_blocks import close_new_blocks
from .reading import Checkpoint, Source, read
from .report import Report
from .tensors import assign, check_has_values


@torch.inference_mode(False)
def load(
    model: nn.Module, source: Source, *, strict: bool = True, lineage: str | None = None, revision: str | None = None
) -> Report:
    """Put a checkpoint's weights into a network that is there, and report on every tensor. It is all or nothing.

    The arguments are those of `from_pretrained`. A model with another number of classes keeps its classifier; one with another
    number of channels gets the stem's weights summed and shared out; both are said in a `WeightsWarning`.

    Raises `WeightsError` if the source cannot be read, does not fit, or comes from networks that pad or normalize otherwise.

    >>> import warmnet
    >>> model, other = (warmnet.WarmEfficientNet('b0', num_classes=10, seed=seed) for seed in (0, 1))
    >>> warmnet.load(model, other.state_dict()).share
    1.0
    """
    model = _unwrap(model)
    checkpoint = read(source, revision)
    if checkpoint.description is None and isinstance(model, Classifier) and not isinstance(model, FAMILIES):
        identified = as_named(checkpoint, model, lineage)
    else:
        identified = identify(checkpoint, lineage, for_model=True)
    report, values = fit(identified, model, checkpoint.source, strict)
    report = _check_conventions(model, identified, checkpoint, report, strict)
    check_has_values(model)
    assign(model, values)
    report = close_new_blocks(model, report)
    if isinstance(model, Classifier):
        take_description(model, identified, keep=True)
    warn(report)
    return report


def _unwrap(model: nn.Module) -> nn.Module:
    """The model without what torch.compile and DistributedDataParallel put around it."""
    while isinstance(inner := getattr(model, "_orig_mod", getattr(model, "module", None)), nn.Module):
        model = inner
    return model


def _check_conventions(
    model: nn.Module, identified: Identified, checkpoint: Checkpoint, report: Report, strict: bool
) -> Report:
    """The report, with a note if the source's networks compute otherwise than the model; if `strict`, that is an error."""
    conventions = conventions_of(model)
    is_stated = checkpoint.description is not None or identified.lineage != "warmnet"
    different = difference(conventions, stated_conventions(identified.description) if is_stated else {})
    if not different:
        return report
    note = f"{report.source} is from networks with {as_keywords(different)}, and the model has {as_keywords(conventions)}"
    if strict:
        raise WeightsError(
            f"{note}: its outputs would be others. Build it with {as_keywords(different)}, or take "
            f"{identified.description.network}.from_pretrained(source). strict=False loads it all the same."
        )
    return replace(report, notes=(*report.notes, note))
