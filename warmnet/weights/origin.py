"""What a checkpoint is of, told from its tensors and from what stands beside them: lineage, variant, conventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from ..efficientnet import VARIANTS, Variant
from ..preprocessing import Preprocessing
from . import keras, lukemelas, timm, torchvision
from .lineage import OWN, Lineage
from .own import WeightsError
from .read import Checkpoint

_LINEAGES = timm.TF, timm.NATIVE, torchvision.LINEAGE, lukemelas.LINEAGE, keras.LINEAGE, OWN
LINEAGES = {lineage.name: lineage for lineage in _LINEAGES}


class Origin(NamedTuple):
    """A checkpoint's tensors by our paths, their `names` in it, and the network that they are of.

    - `options`: those of `WarmEfficientNet` that its lineage computes with.
    - `assumed`: whether nothing said so, and the lineage is the likelier of two that have the same names.
    """

    lineage: str
    tensors: dict[str, Tensor]
    names: dict[str, str]
    variant: Variant | None
    num_classes: int
    in_channels: int
    options: dict[str, Any]
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] = ()
    facts: dict[str, Any] = {}  # noqa: RUF012
    notes: tuple[str, ...] = ()
    assumed: bool = False


def origin(checkpoint: Checkpoint, lineage: str | None = None, likely: str | None = None) -> Origin:
    """What `checkpoint` is of; in `lineage` if that is given, else told from its tensors.

    `likely`: the lineage to assume where two are as good.
    """
    if checkpoint.about is not None:
        about = {key: value for key, value in checkpoint.about.items() if key not in ("ask_again", "crc32")}
        return Origin("warmnet", checkpoint.tensors, {name: name for name in checkpoint.tensors}, **about)
    if lineage is not None and lineage not in LINEAGES:
        raise ValueError(f"Unknown lineage {lineage!r}. Choose one of {', '.join(LINEAGES)}.")
    found, tensors, notes = _found(checkpoint, [LINEAGES[lineage]] if lineage else [*LINEAGES.values()])
    assumed = False
    if found is timm.TF and lineage is None:
        found, assumed, reason = _timm(checkpoint, tensors, likely)
        notes += (reason,) * assumed
    name = found.variant(tensors)
    preprocessing = _preprocessing(found, name, checkpoint, tensors)
    ours = {theirs: path for path, theirs in found.paths(VARIANTS[name]).items()}
    names = {ours.get(theirs, theirs): theirs for theirs in tensors}
    tensors = {path: found.to_ours(tensors[theirs], path).contiguous() for path, theirs in names.items()}
    num_classes, in_channels = (
        tensors[path].shape[axis] if path in tensors else 0
        for path, axis in (("classifier.weight", 0), ("stem.conv.weight", 1))
    )
    classes = checkpoint.config.get("label_names") or ()
    return Origin(
        found.name, tensors, names, VARIANTS[name], num_classes, in_channels, found.options(name), preprocessing,
        tuple(classes) if len(set(classes)) == num_classes else (), {}, notes, assumed,
    )  # fmt: skip


def _found(checkpoint: Checkpoint, lineages: list[Lineage]) -> tuple[Lineage, dict[str, Tensor], tuple[str, ...]]:
    """The lineage that has a stem among the tensors; these without what torch.compile, DDP, ... put before their names."""
    tensors = {name.replace("_orig_mod.", ""): tensor for name, tensor in checkpoint.tensors.items()}
    notes = checkpoint.notes + ("'_orig_mod.' was taken off the names",) * (list(tensors) != list(checkpoint.tensors))
    for lineage in lineages:
        first = lineage.first()
        prefixes = [name[: -len(first)] for name in tensors if f".{name}".endswith(f".{first}")]
        if len(prefixes) > 1:
            one = f"{{k.removeprefix('{prefixes[0]}'): v for k, v in ... if k.startswith('{prefixes[0]}')}}"
            under = ", ".join(f"'{prefix}'" for prefix in prefixes)
            raise WeightsError(
                f"{checkpoint.where} holds {len(prefixes)} networks, under {under}. Pass the tensors of one: {one}"
            )
        for prefix in prefixes:
            notes += (f"'{prefix}' was taken off the names",) * bool(prefix)
            return lineage, {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, notes
    stems = ", ".join(f"{lineage.first()} ({lineage.name})" for lineage in lineages)
    first_ones = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in [*tensors.items()][:3])
    raise WeightsError(f"{checkpoint.where} is no EfficientNet: none of its tensors is {stems}. It begins with {first_ones}.")


def _timm(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], likely: str | None) -> tuple[Lineage, bool, str]:
    """Which of timm's two; whether that is assumed; and why. Their tensors have the same names and shapes."""
    if "tf_efficientnet" in checkpoint.called:
        return timm.TF, False, ""
    if "efficientnet_" in checkpoint.called:
        return timm.NATIVE, False, ""
    counted = any(int(t.max()) > 0 for name, t in tensors.items() if name.endswith("num_batches_tracked"))
    reason = "its batch norms have counted batches" if counted else "its batch norms have counted no batches"
    assumed = timm.NATIVE if counted else timm.TF
    if likely in (timm.TF.name, timm.NATIVE.name):
        assumed, reason = LINEAGES[likely], "the model pads so"
    what = "efficientnet_* (symmetric padding)" if assumed is timm.NATIVE else "tf_efficientnet_* (TensorFlow's padding)"
    return assumed, True, f"taken for timm's {what}, since {reason}; lineage='timm' or 'timm_tf' decides"


def _preprocessing(lineage: Lineage, variant: str, checkpoint: Checkpoint, tensors: dict[str, Tensor]) -> Preprocessing:
    """As the Hub's config or Keras' first layers say, which are taken out of `tensors`; else as the lineage has it."""
    mean, variance = (tensors.pop(f"normalization/{key}", None) for key in ("mean", "variance"))
    tensors.pop("normalization/count", None)
    if mean is not None and variance is not None:
        mean_, std = keras.normalization(mean, variance)
        return replace(lineage.preprocessing(variant, ""), mean=mean_, std=std)
    settings = checkpoint.config.get("pretrained_cfg", checkpoint.config)
    try:
        return Preprocessing(
            settings["input_size"][-1],
            settings["crop_pct"],
            settings["interpolation"],
            tuple(settings["mean"]),
            tuple(settings["std"]),
        )
    except (KeyError, TypeError, IndexError):
        return lineage.preprocessing(variant, checkpoint.called)
