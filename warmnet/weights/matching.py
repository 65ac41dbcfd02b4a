"""Which of a source's tensors go where in a network: by path and shape, and on request by changing their shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .report import SHOWN, Report, Row, nearest
from .saving import WeightsError

STEM = "stem.conv.weight"
CLASSIFIER = "classifier.weight", "classifier.bias"


def planned(
    source: Mapping[str, Tensor], names: Mapping[str, str], target: nn.Module, where: str, *, picture: bool, reshape: bool
) -> tuple[Report, dict[str, Tensor]]:
    """What moves from `source`, whose names in its file are `names`, and the target's new values. Nothing is changed yet.

    - `picture`: the stem may be changed to take another number of channels.
    - `reshape`: any tensor may be changed, as in `resized`.
    """
    rows, values, left = [], {}, dict(source)
    counted = {path for path, _ in target.named_parameters()}
    for path, want in target.state_dict().items():
        have, size = left.get(path), want.numel() * (path in counted)
        value, how = None, ""
        if have is None and path.endswith("num_batches_tracked"):  # many have none, and nothing of ours needs it
            values[path] = torch.zeros_like(want, device="cpu")
            continue
        if have is not None and have.is_floating_point() != want.is_floating_point():
            pass
        elif have is not None and have.shape == want.shape:
            value = have
        elif have is not None and picture and path == STEM and have.ndim == 4 and have[:, 0].shape == want[:, 0].shape:
            value, how = for_channels(have, want.shape[1]), f"{have.shape[1]} channels, summed and shared out"
        elif have is not None and reshape and have.ndim == want.ndim:
            value, how = resized(have, want), f"it was {tuple(have.shape)}"
        if have is None or value is None:
            rows.append(Row("new", path, "", tuple(want.shape), None, size))
            continue
        del left[path]
        values[path] = value
        fate, name = "reshaped" if how else "kept", names.get(path, path)
        both = math.prod(map(min, want.shape, have.shape)) if how.startswith("it was") else want.numel()
        taken = both * (path in counted)
        rows.append(Row(fate, path, name, tuple(want.shape), tuple(have.shape), size, taken, how))
    for path, have in left.items():
        is_parameter = have.is_floating_point() and "running_" not in path and "moving_" not in path
        rows.append(Row("dropped", path, names.get(path, path), None, tuple(have.shape), have.numel() * is_parameter))
    notes = _cast(values, target)
    if bad := not_finite(values):
        notes += (f"NaN or infinity in {_listed([names.get(path, path) for path in bad])}",)
    return Report(where, type(target).__name__, tuple(rows), notes), values


def check_fits(report: Report, free: Iterable[str], advice: str) -> None:
    """Raise what keeps a source from fitting a model whole, but for the `free` paths: what is missing (-), or left over (+)."""
    new, dropped = ({r.path: r for r in report[fate] if r.matters and r.path not in free} for fate in ("new", "dropped"))
    both = [path for path in new if path in dropped]
    pairs: list[tuple[Row, Any]] = [(row, ()) for path in both for row in (new.pop(path), dropped.pop(path))]
    pairs += [(row, dropped.values()) for row in new.values()] + [(row, new.values()) for row in dropped.values()]
    if pairs:
        fit = len(report["kept"]) + len(report["reshaped"])
        head = f"{report.source} does not fit the {report.model}: - is in the model alone, + in the source; in both are {fit}:"
        lines = [f"{row}{_alike(row, others)}" for row, others in pairs[:SHOWN]]
        more = [f"and {len(pairs) - SHOWN} more"] * (len(pairs) > SHOWN)
        raise WeightsError("\n  ".join([head, *lines, *more]) + "\n" + advice)


def _alike(row: Row, others: Iterable[Row]) -> str:
    name = nearest(row, others)
    return f"   nearest: {name}" if name else ""


def not_finite(values: Mapping[str, Tensor]) -> list[str]:
    """The paths of the values with numbers that are none."""
    return [path for path, value in values.items() if value.is_floating_point() and not _finite(value)]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_finite(report: Report) -> None:
    """Raise the names of the tensors with numbers that are none."""
    for note in report.notes:
        if note.startswith("NaN"):
            raise WeightsError(f"{report.source} holds {note}. strict=False takes it as it is.")


def _finite(value: Tensor) -> bool:
    """Whether all are numbers. Their sum, which is quicker, tells, unless it overflows."""
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())


def for_channels(kernel: Tensor, channels: int) -> Tensor:
    """(size, C, H, W) -> (size, channels, H, W): the sum over C, shared out; a picture with equal channels gives the same."""
    return kernel.sum(1, keepdim=True).div(channels).expand(-1, channels, -1, -1).contiguous()


def resized(have: Tensor, want: Tensor) -> Tensor:
    """`have` in the shape of `want`, so that what it computed is computed still, where it was made larger.

    Kernels are cropped, or padded with zeros, around their centre. Of too many outputs and inputs the first are taken. Further
    inputs have weight zero; further outputs are as in `want`: their zero weights further on could not learn from zeros.
    """
    value = want.detach().to(have.device, have.dtype).clone()
    into, out_of = [], []
    for axis, (m, n) in enumerate(zip(have.shape, want.shape)):
        size = min(m, n)
        a, b = ((m - size) // 2, (n - size) // 2) if axis > 1 else (0, 0)
        out_of.append(slice(a, a + size))
        into.append(slice(b, b + size))
    if have.ndim > 1:
        value[into[0]] = 0
    value[tuple(into)] = have[tuple(out_of)]
    return value


def moved_names(names: Iterable[str], moved: Mapping[str, str], target: Iterable[str]) -> dict[str, str]:
    """Where each path goes: what is `moved`, a block or a tensor, with all below it; what it displaces, nowhere."""
    names, there, places = list(names), list(target), dict[str, str]()
    for old, new in moved.items():
        for path, paths, who in ((old, names, "source"), (new, there, "target")):
            if not any(_below(name, path) for name in paths):
                blocks = sorted({name.rpartition(".")[0] for name in paths})
                raise ValueError(f"moved={{{old!r}: {new!r}}}: the {who} has no {path!r}. It has {', '.join(blocks[:3])}, ...")
        places |= {name: f"{new}{name[len(old) :]}" if old else f"{new}.{name}" for name in names if _below(name, old)}
    taken = set(places.values())
    if len(taken) < len(places):
        raise ValueError(f"moved={dict(moved)} puts two tensors into one place. Give each a place of its own.")
    return {name: places.get(name, f"{name} (displaced)" if name in taken else name) for name in names}


def _below(name: str, path: str) -> bool:
    return not path or name == path or name.startswith(f"{path}.")


def _cast(values: dict[str, Tensor], target: nn.Module) -> tuple[str, ...]:
    """Give floating point values the target's precision; a note on it."""
    cast: dict[str, int] = {}
    for path, want in target.state_dict().items():
        value = values.get(path)
        if value is not None and value.dtype != want.dtype:
            values[path] = value.to(want.dtype)
            key = f"from {str(value.dtype)[6:]} to {str(want.dtype)[6:]}"
            cast[key] = cast.get(key, 0) + 1
    return tuple(f"{n} tensors were converted {how}" for how, n in cast.items())
