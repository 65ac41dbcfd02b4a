"""`transplant`: weights from a network into an edited one, as far as they still fit, and a report on what did not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import nn

from ..engine.module import WarmModule
from ..networks.classifier import CLASSIFIER, STEM, Classifier
from .description import Description
from .identification import identify
from .inserted_blocks import close_new_blocks
from .matching import match
from .reading import Source, read
from .report import Report
from .tensors import assign, check_has_values


@torch.inference_mode(False)
def transplant(source: Source, target: nn.Module, *, renamed: Mapping[str, str] | None = None, reshape: bool = False) -> Report:
    """Put every tensor of `source` whose path and shape still fit into `target`, an edited network; a report on all of them.

    A block that is new, as it was built and adds to its input adds nothing until it learns, so a network made deeper computes
    what it did: the weight of its last normalization becomes 0, unless its normalizations have learned or were called in
    training, even if its other weights were filled in before. Which blocks add to their inputs, one call in eval mode tells,
    if there are new ones; it runs the target's hooks. The names of the classes go with the classifier's weights, and the
    preprocessing with the stem's, if the target has none.

    - `source`: the network before the edit, or anything else that `load` takes.
    - `renamed`: what blocks or tensors that were renamed or moved are called now: {'stage_3.mb_block_2': 'stage_3.mb_block_3'}.
    - `reshape`: put tensors of another shape in, too. Kernels are cropped, or padded with zeros, around their centre; of too
      many channels the first are taken. Weights of further inputs are zero and further outputs stay as they were initialised,
      so a network made wider computes what it did. A stem for other pictures gets its weights summed and shared out.

    >>> import warmnet
    >>> b0 = warmnet.WarmEfficientNet('b0', 10)
    >>> warmnet.transplant(b0, warmnet.WarmEfficientNet('b0', 10, se_ratio=0)).share
    1.0
    """
    checkpoint = read(source)
    if isinstance(source, WarmModule) or (checkpoint.tensors.keys() & target.state_dict().keys()) - {*CLASSIFIER}:
        tensors, names = checkpoint.tensors, {name: name for name in checkpoint.tensors}
        description = checkpoint.description
    else:
        identified = identify(checkpoint, for_model=True, by_names_alone=True)
        tensors, names, description = identified.tensors, identified.names, identified.description
    places = rename(tensors, renamed or {}, target.state_dict())
    tensors = {places[path]: value for path, value in tensors.items()}
    names = {places[path]: name for path, name in names.items()}
    report, values = match(tensors, names, target, checkpoint.source, adapt_stem=reshape, reshape=reshape)
    check_has_values(target)
    assign(target, values)
    report = close_new_blocks(target, report)
    if isinstance(target, Classifier) and description is not None:
        report = replace(report, notes=(*report.notes, *_describe(target, description, report)))
    return report


def _describe(target: Classifier, description: Description, report: Report) -> list[str]:
    """Give a network the source's classes, if the classifier came over; if the stem did and it has none, the preprocessing."""
    kept, notes = {row.path for row in report["kept"]}, []
    if description.classes not in ((), target.classes) and kept.issuperset(CLASSIFIER):
        target.classes = description.classes
        notes.append("the names of the classes are the source's")
    if description.preprocessing and target.preprocessing is None and target.in_channels == 3:
        if STEM in {*kept, *(row.path for row in report["reshaped"])}:
            target.preprocessing = description.preprocessing
            notes.append("the preprocessing is the source's")
    return notes


def rename(paths: Iterable[str], renamed: Mapping[str, str], target: Iterable[str]) -> dict[str, str]:
    """Each path -> what it is called now: that of a renamed block or tensor, with all below it; what they displace, nothing."""
    paths, target = list(paths), list(target)
    places = dict[str, str]()
    for old, new in renamed.items():
        _check_exists(paths, old, "source", old, new)
        _check_exists(target, new, "target", old, new)
        for path in paths:
            if _is_below(path, old):
                places[path] = f"{new}{path[len(old) :]}" if old else f"{new}.{path}"
    taken = set(places.values())
    if len(taken) < len(places):
        raise ValueError(f"renamed={dict(renamed)} puts two tensors into one place. Give each a place of its own.")
    displaced = {path: f"{path} (displaced)" for path in paths if path in taken}
    return {path: path for path in paths} | displaced | places


def _check_exists(paths: list[str], path: str, network: str, old: str, new: str) -> None:
    if not any(_is_below(each, path) for each in paths):
        blocks = ", ".join(sorted({each.rpartition(".")[0] for each in paths})[:3])
        raise ValueError(f"renamed={{{old!r}: {new!r}}}: the {network} has no {path!r}. It has {blocks}, ...")


def _is_below(path: str, block: str) -> bool:
    return not block or path == block or path.startswith(f"{block}.")
