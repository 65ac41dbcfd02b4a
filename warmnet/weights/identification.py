"""What network a checkpoint is of, by its tensors and what stands beside them; and the tensors under warmnet's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data.imagenet import imagenet_classes
from ..data.preprocessing import Preprocessing
from ..networks.classifier import CLASSIFIER, STEM, Classifier
from ..networks.efficientnet import VARIANTS
from .description import Description, describe
from .errors import WeightsError
from .heads import Head, find_head
from .lineages import LINEAGES, keras, timm, warmnet
from .lineages.lineage import NETWORK, Lineage
from .reading import Checkpoint


class Identified(NamedTuple):
    """A checkpoint's tensors by our paths, their `names` in it, and the description of the network that they are of.

    - `notes`: what was assumed.
    - `head`: the names of a head's tensors that a single linear layer cannot take.
    - `states_preprocessing`: whether the source itself says it, and it is not what is usual in its lineage.
    """

    lineage: str
    tensors: dict[str, Tensor]
    names: dict[str, str]
    description: Description
    notes: tuple[str, ...] = ()
    states_preprocessing: bool = False
    head: tuple[str, ...] = ()


def identify(checkpoint: Checkpoint, lineage: str | None = None, expected: str | None = None) -> Identified:
    """What `checkpoint` is of; in `lineage` if that is given, else by its tensors.

    - `expected`: the lineage to assume where two are as good, for a model that is there.
    """
    if lineage is not None and lineage not in LINEAGES:
        raise ValueError(f"Unknown lineage {lineage!r}. Choose one of {', '.join(LINEAGES)}.")
    _check_tensors(checkpoint)
    if checkpoint.description is not None:
        _check_lineage(checkpoint.source, lineage)
        names = {name: name for name in checkpoint.tensors}
        return Identified("warmnet", checkpoint.tensors, names, checkpoint.description, checkpoint.notes, True)
    named = checkpoint.named
    if named is not None and lineage not in (None, named.lineage):
        raise WeightsError(f"{checkpoint.source} has the layout {named.lineage!r}, not {lineage!r}. Leave out lineage.")
    lineage = named.lineage if named is not None else lineage
    of, tensors, notes = _find_lineage(checkpoint, [LINEAGES[lineage]] if lineage else [*LINEAGES.values()])
    if of is timm.TF and lineage is None:
        of, note = _choose_timm(checkpoint, tensors, expected)
        notes += note
    if of is warmnet.LINEAGE and expected is None:
        notes += ("a state dict does not say its padding and eps: taken for warmnet's own, 'same' and 0.001",)
    variant = of.nearest_variant(tensors)
    preprocessing, is_stated, doubts = _find_preprocessing(of, variant, checkpoint, tensors)
    if expected is None:  # a model that is there has its own
        notes += doubts
    head = find_head(tensors, of.layers["classifier"])
    tensors, names = _by_our_paths(of, variant, tensors, head)
    num_classes, in_channels = _sizes(tensors)
    num_classes = head.num_classes or num_classes
    classes = _find_classes(checkpoint, num_classes)
    options = of.options(variant)
    description = Description(NETWORK, (), VARIANTS[variant], num_classes, in_channels, options, classes, preprocessing)
    return Identified(of.name, tensors, names, description, notes, is_stated, head.left_over)


def as_named(checkpoint: Checkpoint, model: Classifier, lineage: str | None = None) -> Identified:
    """What a state dict without a description is of, if it is of networks such as the model, by whose paths it goes."""
    _check_tensors(checkpoint)
    _check_lineage(f"What goes into a {type(model).__name__}", lineage)
    names = {name: name for name in checkpoint.tensors}
    description = describe(model)._replace(options={}, classes=(), preprocessing=None, metadata={})
    num_classes, in_channels = _sizes(checkpoint.tensors)
    description = description._replace(num_classes=num_classes, in_channels=in_channels)
    return Identified("warmnet", checkpoint.tensors, names, description, checkpoint.notes)


def _check_lineage(source: str, lineage: str | None) -> None:
    """Raise WeightsError if another lineage is given than warmnet's, in whose names the source is."""
    if lineage not in (None, "warmnet"):
        raise WeightsError(f"{source} has warmnet's own names and layout, and not those of {lineage}. Leave out lineage.")


def _sizes(tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """The number of classes and of channels, by the last layer and the first; 0 without it."""
    weight, kernel = tensors.get(CLASSIFIER[0]), tensors.get(STEM)
    return 0 if weight is None else weight.shape[0], 0 if kernel is None else kernel.shape[1]


def _find_lineage(checkpoint: Checkpoint, lineages: list[Lineage]) -> tuple[Lineage, dict[str, Tensor], tuple[str, ...]]:
    """The lineage that has a stem among the tensors; these without what torch.compile, DDP, ... put before their names."""
    tensors = {name.replace("_orig_mod.", ""): tensor for name, tensor in checkpoint.tensors.items()}
    notes = checkpoint.notes
    if list(tensors) != list(checkpoint.tensors):
        notes += ("'_orig_mod.' was taken off the names",)
    for lineage in lineages:
        stem = lineage.stem()
        prefixes = [name.removesuffix(stem) for name in tensors if f".{name}".endswith(f".{stem}")]
        if len(prefixes) > 1:
            one = f"{{k.removeprefix('{prefixes[0]}'): v for k, v in ... if k.startswith('{prefixes[0]}')}}"
            under = ", ".join(f"'{prefix}'" for prefix in prefixes)
            raise WeightsError(
                f"{checkpoint.source} holds {len(prefixes)} networks, under {under}. Pass the tensors of one: {one}"
            )
        for prefix in prefixes:
            if tensors[prefix + stem].ndim != 4:
                raise WeightsError(f"{checkpoint.source} is no EfficientNet: {prefix}{stem} is no kernel of a convolution.")
            if prefix:
                notes += (f"'{prefix}' was taken off the names",)
            return lineage, {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, notes
    stems = ", ".join(f"{lineage.stem()} ({lineage.name})" for lineage in lineages)
    examples = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in [*tensors.items()][:3])
    raise WeightsError(f"{checkpoint.source} is no EfficientNet: none of its tensors is {stems}. It begins with {examples}.")


def _choose_timm(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], expected: str | None
) -> tuple[Lineage, tuple[str, ...]]:
    """Which of timm's two, and if that is assumed, why. Their tensors have the same names and shapes."""
    if name := re.match(r"(tf_)?efficientnet_(b[0-8]|l2)([._-]|$)", checkpoint.architecture):
        return timm.TF if name[1] else timm.NATIVE, ()
    if expected in (timm.TF.name, timm.NATIVE.name):
        assumed, reason = LINEAGES[expected], "the model pads so"
    elif any(int(t.max()) > 0 for name, t in tensors.items() if name.endswith("num_batches_tracked")):
        assumed, reason = timm.NATIVE, "its batch norms have counted batches"
    else:
        assumed, reason = timm.TF, "its batch norms have counted no batches"
    kind = "efficientnet_* (symmetric padding)" if assumed is timm.NATIVE else "tf_efficientnet_* (TensorFlow's padding)"
    return assumed, (f"taken for timm's {kind}, since {reason}; lineage='timm' or 'timm_tf' decides",)


def _find_preprocessing(
    lineage: Lineage, variant: str, checkpoint: Checkpoint, tensors: dict[str, Tensor]
) -> tuple[Preprocessing | None, bool, tuple[str, ...]]:
    """What images went through, whether the source says so, and doubts: by name, config, Keras' first layers, or as usual.

    Keras' layers that say it are taken out of `tensors`.
    """
    if checkpoint.named is not None:
        return checkpoint.named.preprocessing, True, ()
    usual = lineage.preprocessing(variant, checkpoint.architecture)
    mean, variance, _ = (tensors.pop(f"normalization/{key}", None) for key in ("mean", "variance", "count"))
    if mean is not None and variance is not None and usual is not None:
        means, stds = keras.normalization(mean, variance)
        return replace(usual, mean=means, std=stds), True, ()
    config = checkpoint.config.get("pretrained_cfg", checkpoint.config)
    if not isinstance(config, dict) or "input_size" not in config:
        if usual is None:
            return None, False, ("nothing says what images went through: pass preprocessing=, or set model.preprocessing",)
        return usual, False, ()
    try:
        return _from_config(config), True, ()
    except (KeyError, TypeError, IndexError, ValueError) as error:
        return usual, False, (f"the preprocessing in its config cannot be used ({error}): taken for {usual}",)


def _from_config(config: Mapping[str, Any]) -> Preprocessing:
    """What the Hub's config.json of timm's models says of preprocessing for evaluation."""
    resolution = (config.get("test_input_size") or config["input_size"])[-1]
    crop = config.get("test_crop_pct") or config["crop_pct"]
    mean, std = tuple(map(float, config["mean"])), tuple(map(float, config["std"]))
    if len(mean) != 3 or len(std) != 3:
        raise ValueError("mean and std are not of three colours")
    return Preprocessing(resolution, crop, config["interpolation"], mean, std, config.get("crop_mode") or "center")


def _by_our_paths(
    lineage: Lineage, variant: str, tensors: Mapping[str, Tensor], head: Head
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A lineage's tensors by our paths and laid out as ours, and the name of each there. Unknown ones keep their names."""
    paths = {name: path for path, name in lineage.names(VARIANTS[variant]).items()}
    paths |= head.paths | {name: name for name in head.left_over}
    names = {paths.get(name, name): name for name in tensors}
    return {path: lineage.to_warmnet(tensors[name], path).contiguous() for path, name in names.items()}, names


def _find_classes(checkpoint: Checkpoint, num_classes: int) -> tuple[str, ...]:
    """The names of the classes that a config has, if there are as many; ImageNet's, of checkpoints that are known to be its."""
    is_timms = re.fullmatch(r"timm/[\w.]*in1k(_\d+)?(@.*)?", checkpoint.source)
    if num_classes == 1000 and (checkpoint.named is not None or is_timms):
        return imagenet_classes()
    names = checkpoint.config.get("label_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names) if len(set(names)) == num_classes else ()


def _check_tensors(checkpoint: Checkpoint) -> None:
    """Raise if there are tensors that no network could take."""
    for name, tensor in checkpoint.tensors.items():
        if not isinstance(name, str):
            raise WeightsError(f"{checkpoint.source} is no state dict: {name!r} is not a tensor's name.")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            kind = "meta" if tensor.is_meta else "quantized" if tensor.is_quantized else "sparse"
            raise WeightsError(
                f"{checkpoint.source}: {name} is a {kind} tensor. Pass plain ones: tensor.dequantize(), to_dense()."
            )
