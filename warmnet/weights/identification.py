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
from ..spelling import choose_one
from .conventions import as_keywords, default_conventions
from .description import Description, describe
from .errors import WeightsError
from .heads import Head, find_head
from .lineage_choice import Choice, choose, is_called
from .lineages import LINEAGES, keras
from .live_networks import check_computes
from .reading import Checkpoint


class Identified(NamedTuple):
    """A checkpoint's tensors by our paths, their `names` in it, and the description of the network that they are of.

    - `notes`: what was assumed.
    - `head`: the names of a head's tensors that a single linear layer cannot take.
    - `doubt`: why it may be of none of warmnet's variants, though the description names the nearest, and what to do then.
    - `states_preprocessing`: whether the source itself says it, and it is not what is usual in its lineage.
    """

    lineage: str
    tensors: dict[str, Tensor]
    names: dict[str, str]
    description: Description
    notes: tuple[str, ...] = ()
    states_preprocessing: bool = False
    head: tuple[str, ...] = ()
    doubt: str = ""


def identify(
    checkpoint: Checkpoint, lineage: str | None = None, for_model: bool = False, by_names_alone: bool = False
) -> Identified:
    """What `checkpoint` is of; in `lineage` if that is given, else by its tensors and what stands beside them.

    - `for_model`: it is for a model that is there, which has its own settings and preprocessing.
    - `by_names_alone`: how the network computes does not matter.
    """
    if lineage is not None and lineage not in LINEAGES:
        raise ValueError(f"Unknown lineage {lineage!r}. {choose_one(lineage, LINEAGES)}.")
    _check_tensors(checkpoint)
    if checkpoint.description is not None:
        _check_lineage(checkpoint.source, lineage)
        names = {name: name for name in checkpoint.tensors}
        return Identified("warmnet", checkpoint.tensors, names, checkpoint.description, checkpoint.notes, True)
    named = checkpoint.named
    if named is not None and lineage not in (None, named.lineage):
        raise WeightsError(f"{checkpoint.source} has the layout {named.lineage!r}, not {lineage!r}. Leave out lineage.")
    choice = choose(checkpoint, named.lineage if named is not None else lineage, by_names_alone)
    if checkpoint.network is not None and choice.lineage.name != "warmnet" and not by_names_alone:
        check_computes(checkpoint.network, choice, checkpoint.source)
    notes, tensors = choice.notes, choice.tensors
    preprocessing, is_stated, doubts = _find_preprocessing(choice, checkpoint, tensors)
    if not for_model:
        notes += _settings_assumed(choice, lineage, checkpoint.source) + doubts
    head = find_head(tensors, choice.lineage.layers["classifier"])
    tensors, names = _by_our_paths(choice, head)
    num_classes, in_channels = _sizes(tensors)
    num_classes = head.num_classes or num_classes
    family, classes = choice.lineage.family, _find_classes(checkpoint, num_classes)
    variant, options = family.variants[choice.variant], choice.lineage.options(choice.variant)
    description = Description(family.__name__, (), variant, num_classes, in_channels, options, classes, preprocessing)
    doubt = _doubt_variant(choice, description, tensors, checkpoint.source)
    return Identified(choice.lineage.name, tensors, names, description, notes, is_stated, head.left_over, doubt)


def _doubt_variant(choice: Choice, description: Description, tensors: Mapping[str, Tensor], source: str) -> str:
    """What to do if a state dict with warmnet's names is of an edited or pruned network; else nothing."""
    if choice.lineage.name != "warmnet":
        return ""
    family: Any = choice.lineage.family
    built = family(choice.variant, description.num_classes, description.in_channels, device="meta").state_dict()
    if choice.apart == (0, 0) and all(built[path].shape == tensor.shape for path, tensor in tensors.items() if path in built):
        return ""
    return (
        f"{source} has warmnet's names, and the blocks or sizes of none of its variants. Was it edited or pruned? Save the "
        f"network itself: warmnet.save(model, path) writes how it is built, too."
    )


def _settings_assumed(choice: Choice, lineage: str | None, source: str) -> tuple[str, ...]:
    """A note on what a state dict with warmnet's names does not say. Of Lite's variants it is too much to be assumed."""
    if choice.lineage.name != "warmnet":
        return ()
    settings = as_keywords(default_conventions(choice.lineage.family, choice.variant))
    if choice.variant.startswith("lite") and lineage is None:
        raise WeightsError(
            f"{source} does not say its settings, and may be of {choice.variant} with {settings}, or of another variant "
            f"without gates. If it is that, pass lineage='warmnet'; else build the network and put them into it: "
            f"warmnet.load(model, source)."
        )
    return (f"a state dict does not say its settings: taken for those of {choice.variant}, {settings}",)


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


def _find_preprocessing(
    choice: Choice, checkpoint: Checkpoint, tensors: dict[str, Tensor]
) -> tuple[Preprocessing | None, bool, tuple[str, ...]]:
    """What images went through, whether the source says so, and doubts: by name, config, Keras' first layers, or as usual.

    Keras' layers that say it are taken out of `tensors`.
    """
    if checkpoint.named is not None:
        return checkpoint.named.preprocessing, True, ()
    usual = choice.lineage.preprocessing(choice.variant, checkpoint.architecture)
    mean, variance, _ = (tensors.pop(f"normalization/{key}", None) for key in ("mean", "variance", "count"))
    if mean is not None and variance is not None and usual is not None:
        means, stds = keras.normalization(mean, variance)
        return replace(usual, mean=means, std=stds), True, ()
    config = checkpoint.config.get("pretrained_cfg", checkpoint.config)
    if not isinstance(config, dict) or "input_size" not in config:
        if usual is None:
            return None, False, ("nothing says what images went through: pass preprocessing=, or set model.preprocessing",)
        return usual, False, _doubts(choice, checkpoint.architecture, usual)
    try:
        return _from_config(config), True, ()
    except (KeyError, TypeError, IndexError, ValueError) as error:
        return usual, False, (f"the preprocessing in its config cannot be used ({error}): taken for {usual}",)


def _doubts(choice: Choice, name: str, usual: Preprocessing) -> tuple[str, ...]:
    """A note if checkpoints of that architecture went through different preprocessing, and the name does not tell which."""
    is_told = is_called(choice.architecture, name) and len(name) > len(choice.architecture)
    if is_told or not choice.lineage.has_several(choice.variant):
        return ()
    return (f"nothing says what images went through: taken for {usual}; preprocessing= decides",)


def _from_config(config: Mapping[str, Any]) -> Preprocessing:
    """What the Hub's config.json of timm's models says of preprocessing for evaluation."""
    resolution = (config.get("test_input_size") or config["input_size"])[-1]
    crop = config.get("test_crop_pct") or config["crop_pct"]
    mean, std = tuple(map(float, config["mean"])), tuple(map(float, config["std"]))
    if len(mean) != 3 or len(std) != 3:
        raise ValueError("mean and std are not of three colours")
    return Preprocessing(resolution, crop, config["interpolation"], mean, std, config.get("crop_mode") or "center")


def _by_our_paths(choice: Choice, head: Head) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by our paths and laid out as ours, and the name of each in the source. Unknown ones keep their names."""
    lineage, tensors = choice.lineage, choice.tensors
    paths = {name: path for path, name in lineage.names_of(choice.variant).items()}
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
