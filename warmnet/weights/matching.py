"""Which of a source's tensors go where in a network: by path and shape, and on request by changing their shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..networks.classifier import STEM
from .errors import WeightsError
from .report import MOST_LISTED, Report, Row, nearest
from .reshaping import for_channels, resize
from .tensors import cast_like, find_not_finite


class Fitted(NamedTuple):
    """A tensor as the model can take it; how many of its numbers are from the source, and what was changed."""

    value: Tensor
    loaded: int
    change: str = ""


def match(
    tensors: Mapping[str, Tensor], names: Mapping[str, str], model: nn.Module, source: str, *,
    adapt_stem: bool, reshape: bool,
) -> tuple[Report, dict[str, Tensor]]:  # fmt: skip
    """What goes from `tensors`, whose names in their source are `names`, into a model: a report, and the model's new values.

    Nothing is changed yet.

    - `adapt_stem`: the stem may be changed to take another number of channels.
    - `reshape`: any tensor may be changed, as in `resize`.
    """
    rows, values, left = [], dict[str, Tensor](), dict(tensors)
    state, parameters = model.state_dict(), {path for path, _ in model.named_parameters()}
    for path, target in state.items():
        if path not in left and path.endswith("num_batches_tracked"):  # many have none, and nothing of ours needs it
            values[path] = torch.zeros_like(target, device="cpu")
            continue
        size = target.numel() if path in parameters else 0
        fitted = _fit(path, left.get(path), target, adapt_stem, reshape)
        if fitted is None:
            rows.append(Row("new", path, "", tuple(target.shape), None, size))
            continue
        given, values[path] = left.pop(path), fitted.value
        status, loaded = "reshaped" if fitted.change else "kept", fitted.loaded if path in parameters else 0
        shapes = tuple(target.shape), tuple(given.shape)
        rows.append(Row(status, path, names.get(path, path), *shapes, size, loaded, fitted.change))
    for path, given in left.items():
        is_parameter = given.is_floating_point() and "running_" not in path and "moving_" not in path
        size = given.numel() if is_parameter else 0
        rows.append(Row("dropped", path, names.get(path, path), None, tuple(given.shape), size))
    values, notes = cast_like(values, state)
    if not_finite := find_not_finite(values):
        notes += (f"NaN or infinity in {_list([names.get(path, path) for path in not_finite])}",)
    return Report(source, type(model).__name__, tuple(rows), notes), values


def _fit(path: str, given: Tensor | None, target: Tensor, adapt_stem: bool, reshape: bool) -> Fitted | None:
    """The source's tensor of that path as the model can take it; None if there is none, or it cannot."""
    if given is None or given.is_floating_point() != target.is_floating_point():
        return None
    if given.shape == target.shape:
        return Fitted(given, target.numel())
    if adapt_stem and path == STEM and given.ndim == 4 and given[:, 0].shape == target[:, 0].shape:
        return Fitted(for_channels(given, target.shape[1]), target.numel(), f"{given.shape[1]} channels, summed and shared out")
    if reshape and given.ndim == target.ndim:
        overlap = math.prod(map(min, target.shape, given.shape))
        return Fitted(resize(given, target), overlap, f"it was {tuple(given.shape)}")
    return None


def check_fits(report: Report, exempt: Iterable[str], advice: str) -> None:
    """Raise what keeps a source from fitting a model whole, but for `exempt` paths: what is missing (-), or left over (+)."""
    new, dropped = (
        {row.path: row for row in report[status] if row.matters and row.path not in exempt} for status in ("new", "dropped")
    )
    rows: list[tuple[Row, Iterable[Row]]] = []  # each with those that may be meant by it
    for path in [path for path in new if path in dropped]:  # in both, with other shapes
        rows += [(new.pop(path), ()), (dropped.pop(path), ())]
    rows += [(row, dropped.values()) for row in new.values()]
    rows += [(row, new.values()) for row in dropped.values()]
    if rows:
        fitting = len(report["kept"]) + len(report["reshaped"])
        head = (
            f"{report.source} does not fit the {report.model}: - is in the model alone, + in the source; in both are {fitting}:"
        )
        lines = [f"{row}{_suggest(row, others)}" for row, others in rows[:MOST_LISTED]]
        if len(rows) > MOST_LISTED:
            lines.append(f"and {len(rows) - MOST_LISTED} more")
        raise WeightsError("\n  ".join([head, *lines]) + "\n" + advice)


def _suggest(row: Row, others: Iterable[Row]) -> str:
    name = nearest(row, others)
    return f"   nearest: {name}" if name else ""


def _list(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_finite(report: Report) -> None:
    """Raise the names of the tensors that hold NaN or infinity."""
    for note in report.notes:
        if note.startswith("NaN"):
            raise WeightsError(f"{report.source} holds {note}. strict=False takes it as it is.")
