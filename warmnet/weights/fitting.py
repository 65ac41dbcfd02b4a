"""Does a checkpoint fit a network, what does the network take over beside the weights, and what is there to warn of."""

from __future__ import annotations

import warnings
from dataclasses import replace

from torch import Tensor, nn

from ..networks.classifier import CLASSIFIER, Classifier
from .conventions import name_of
from .errors import WeightsError, WeightsWarning
from .identification import Identified
from .matching import check_finite, check_fits, match
from .report import Report


def fit(identified: Identified, model: nn.Module, source: str, strict: bool) -> tuple[Report, dict[str, Tensor]]:
    """What goes from a checkpoint into a model, and the model's new values; or the error that says why it does not fit."""
    report, values = match(identified.tensors, identified.names, model, source, adapt_stem=True, reshape=False)
    report = replace(report, notes=(*identified.notes, *report.notes))
    if not strict:
        return report, values
    description, advice = identified.description, "strict=False loads what fits."
    has_same_classes = getattr(model, "num_classes", None) == description.num_classes
    if has_same_classes:
        _check_head(identified, report)
    if identified.doubt:
        advice = f"{identified.doubt} {advice}"
    elif isinstance(model, Classifier) and model.variant != description.variant:
        theirs, ours = name_of(description.variant, description.network), model.variant_name
        advice = (
            f"The source is of {theirs} in the layout of {identified.lineage}, the model is {ours}. "
            f"{description.network}.from_pretrained(source) builds the one that it is of. {advice}"
        )
    if description.is_pruned and not getattr(model, "_is_adopted", False):
        advice = (
            f"The source is pruned, and the model is not. {description.network}.from_pretrained(source) builds it. {advice}"
        )
    check_fits(report, () if has_same_classes else (*CLASSIFIER, *identified.head), advice)
    check_finite(report)
    return report, values


def _check_head(identified: Identified, report: Report) -> None:
    """Raise WeightsError if the model has no place for layers of the source's head."""
    layers = dict.fromkeys(row.path.rpartition(".")[0] for row in report["dropped"] if row.path in identified.head)
    if layers:
        num_classes = identified.description.num_classes
        raise WeightsError(
            f"{report.source} has a head of several layers, {', '.join(layers)}, and the {report.model}'s is one linear layer. "
            f"Leave them out, with num_classes={num_classes} and strict=False: the classifier is new. Or load the rest with "
            f"num_classes=0, and write the head as a forward of your own around it."
        )


def take_description(model: Classifier, identified: Identified, keep: bool = False) -> None:
    """Give a model the classes and the preprocessing of what was loaded, as far as they are its own.

    - `keep`: what it has already, unless the source itself says otherwise of outputs and images that the model has.
    """
    description = identified.description
    has_same_classes, is_rgb = model.num_classes == description.num_classes, model.in_channels == 3
    if not keep or (has_same_classes and description.classes):
        model.classes = description.classes if has_same_classes else ()
    if not keep or (is_rgb and (identified.states_preprocessing or model.preprocessing is None)):
        model.preprocessing = description.preprocessing if is_rgb else None


def warn(report: Report) -> None:
    """Warn of everything that is not simply as in the source, at the line that called `load` or `from_pretrained`."""
    lines = report.lines()
    if lines:
        are_signed = any(line.startswith(("- ", "+ ")) for line in lines)
        signs = " (-: in the model alone; +: in the source alone)" if are_signed else ""
        warnings.warn("\n  ".join([f"{report.source}{signs}:", *lines]), WeightsWarning, stacklevel=4)
