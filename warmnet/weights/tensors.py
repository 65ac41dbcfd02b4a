"""Values of tensors by path: are they finite, whose memory are they in, and how they get into a network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .errors import WeightsError


def check_has_values(model: nn.Module) -> None:
    """Raise WeightsError if the model is on 'meta', where nothing can be written into it."""
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise WeightsError(f"The {type(model).__name__} is on 'meta' and has no values. Build it on a device first.")


def assign(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Write the values into the model's own tensors, which optimizers and others may hold; on 'meta' nothing."""
    state = model.state_dict()
    with torch.no_grad():
        for path, value in values.items():
            state[path].copy_(value)


def unshare(tensors: Mapping[str, Tensor], is_shared: bool) -> dict[str, Tensor]:
    """The tensors, none of which shares its memory with another, or, if they all are `is_shared`, with the source."""
    seen: set[int] = set()
    values = {}
    for path, value in tensors.items():
        is_part = value.untyped_storage().nbytes() != value.nbytes or value.data_ptr() in seen
        seen.add(value.data_ptr())
        values[path] = value.clone() if is_shared or is_part else value
    return values


def find_not_finite(values: Mapping[str, Tensor]) -> list[str]:
    """The paths of the floating point tensors that hold NaN or infinity."""
    return [path for path, value in values.items() if value.is_floating_point() and not _is_finite(value)]


def _is_finite(value: Tensor) -> bool:
    """Whether all are numbers. Their sum, which is quicker, tells, unless it overflows."""
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())


def cast_like(values: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The values in the precision of those of `state`; notes on what was converted."""
    cast, counts = dict(values), dict[str, int]()
    for path, target in state.items():
        value = values.get(path)
        if value is not None and value.dtype != target.dtype:
            cast[path] = value.to(target.dtype)
            conversion = f"from {str(value.dtype).removeprefix('torch.')} to {str(target.dtype).removeprefix('torch.')}"
            counts[conversion] = counts.get(conversion, 0) + 1
    return cast, tuple(f"{count} tensors were converted {conversion}" for conversion, count in counts.items())
