"""What a checkpoint is of, told from its tensors and from what stands beside them: lineage, variant, conventions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data.preprocessing import Preprocessing
from ..networks.efficientnet import VARIANTS, Variant
from .lineages import keras, lukemelas, timm, torchvision
from .lineages.lineage import OWN, Lineage
from .reading import Checkpoint
from .saving import WeightsError

_LINEAGES = timm.TF, timm.NATIVE, torchvision.LINEAGE, lukemelas.LINEAGE, keras.LINEAGE, OWN
LINEAGES = {lineage.name: lineage for lineage in _LINEAGES}


class Origin(NamedTuple):
    """A checkpoint's tensors by our paths, their `names` in it, and the network that they are of.

    - `options`: those of `WarmEfficientNet` that its lineage computes with.
    - `told`: whether the source itself says its preprocessing, and it is not what is usual in its lineage.
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
    told: bool = False


def origin(checkpoint: Checkpoint, lineage: str | None = None, likely: str | None = None) -> Origin:
    """What `checkpoint` is of; in `lineage` if that is given, else told from its tensors.

    `likely`: the lineage to assume where two are as good.
    """
    if lineage is not None and lineage not in LINEAGES:
        raise ValueError(f"Unknown lineage {lineage!r}. Choose one of {', '.join(LINEAGES)}.")
    _check_tensors(checkpoint)
    if checkpoint.about is not None:
        about = {key: value for key, value in checkpoint.about.items() if key not in ("ask_again", "crc32")}
        return Origin("warmnet", checkpoint.tensors, {name: name for name in checkpoint.tensors}, told=True, **about)
    found, tensors, notes = _found(checkpoint, [LINEAGES[lineage]] if lineage else [*LINEAGES.values()])
    if found is timm.TF and lineage is None:
        found, assumed = _timm(checkpoint, tensors, likely)
        notes += assumed
    if found is OWN and likely is None:
        notes += ("a state dict does not say its padding and eps: taken for warmnet's own, 'same' and 0.001",)
    name = found.variant(tensors)
    preprocessing, told, doubt = _preprocessing(found, name, checkpoint, tensors)
    notes += doubt if likely is None else ()  # a model that is there has its own
    ours = {theirs: path for path, theirs in found.paths(VARIANTS[name]).items()}
    names = {ours.get(theirs, theirs): theirs for theirs in tensors}
    tensors = {path: found.to_ours(tensors[theirs], path).contiguous() for path, theirs in names.items()}
    num_classes, in_channels = (
        tensors[path].shape[axis] if path in tensors else 0
        for path, axis in (("classifier.weight", 0), ("stem.conv.weight", 1))
    )
    classes = checkpoint.config.get("label_names")
    classes = tuple(classes) if isinstance(classes, list) and all(isinstance(c, str) for c in classes) else ()
    return Origin(
        found.name, tensors, names, VARIANTS[name], num_classes, in_channels, found.options(name), preprocessing,
        classes if len(set(classes)) == num_classes else (), {}, notes, told,
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
            if tensors[prefix + first].ndim != 4:
                raise WeightsError(f"{checkpoint.where} is no EfficientNet: {prefix}{first} is no kernel of a convolution.")
            notes += (f"'{prefix}' was taken off the names",) * bool(prefix)
            return lineage, {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, notes
    stems = ", ".join(f"{lineage.first()} ({lineage.name})" for lineage in lineages)
    first_ones = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in [*tensors.items()][:3])
    raise WeightsError(f"{checkpoint.where} is no EfficientNet: none of its tensors is {stems}. It begins with {first_ones}.")


def _timm(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], likely: str | None) -> tuple[Lineage, tuple[str, ...]]:
    """Which of timm's two, and if that is assumed, why. Their tensors have the same names and shapes."""
    if name := re.match(r"(tf_)?efficientnet_(b[0-8]|l2)([._-]|$)", checkpoint.called):
        return timm.TF if name[1] else timm.NATIVE, ()
    counted = any(int(t.max()) > 0 for name, t in tensors.items() if name.endswith("num_batches_tracked"))
    reason = "its batch norms have counted batches" if counted else "its batch norms have counted no batches"
    assumed = timm.NATIVE if counted else timm.TF
    if likely in (timm.TF.name, timm.NATIVE.name):
        assumed, reason = LINEAGES[likely], "the model pads so"
    what = "efficientnet_* (symmetric padding)" if assumed is timm.NATIVE else "tf_efficientnet_* (TensorFlow's padding)"
    return assumed, (f"taken for timm's {what}, since {reason}; lineage='timm' or 'timm_tf' decides",)


def _preprocessing(
    lineage: Lineage, variant: str, checkpoint: Checkpoint, tensors: dict[str, Tensor]
) -> tuple[Preprocessing | None, bool, tuple[str, ...]]:
    """What images went through, whether the source says so, and doubts: by its config, Keras' first layers, or as usual."""
    usual = lineage.preprocessing(variant, checkpoint.called)
    mean, variance = (tensors.pop(f"normalization/{key}", None) for key in ("mean", "variance"))
    tensors.pop("normalization/count", None)
    if mean is not None and variance is not None and usual is not None:
        mean_, std = keras.normalization(mean, variance)
        return replace(usual, mean=mean_, std=std), True, ()
    settings = checkpoint.config.get("pretrained_cfg", checkpoint.config)
    if not isinstance(settings, dict) or "input_size" not in settings:
        doubt = () if usual else ("nothing says what images went through: pass preprocessing=, or set model.preprocessing",)
        return usual, False, doubt
    try:
        mean_, std = tuple(map(float, settings["mean"])), tuple(map(float, settings["std"]))
        if len(mean_) != 3 or len(std) != 3:
            raise ValueError("mean and std are not of three colours")
        return Preprocessing(settings["input_size"][-1], settings["crop_pct"], settings["interpolation"], mean_, std), True, ()
    except (KeyError, TypeError, IndexError, ValueError) as error:
        return usual, False, (f"the preprocessing in its config cannot be used ({error}): taken for {usual}",)


def _check_tensors(checkpoint: Checkpoint) -> None:
    """Raise if there are tensors that no network could take."""
    for name, tensor in checkpoint.tensors.items():
        if not isinstance(name, str):
            raise WeightsError(f"{checkpoint.where} is no state dict: {name!r} is not a tensor's name.")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            kind = "meta" if tensor.is_meta else "quantized" if tensor.is_quantized else "sparse"
            raise WeightsError(
                f"{checkpoint.where}: {name} is a {kind} tensor. Pass plain ones: tensor.dequantize(), to_dense()."
            )
