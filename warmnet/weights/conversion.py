"""`convert`: a checkpoint as another library's file."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
from torch import Tensor

from ..data.files import check_writable, replacing, write_pickle
from ..data.preprocessing import Preprocessing
from ..networks.classifier import Classifier
from ..spelling import choose_one
from . import keras_files
from .conventions import (
    CONVENTIONS,
    as_keywords,
    conventions_of,
    default_settings,
    difference,
    family_among,
)
from .description import class_names
from .errors import WeightsError, WeightsWarning
from .lineage_choice import choose
from .lineages import LINEAGES, Lineage, keras
from .pretrained import from_pretrained
from .reading import Checkpoint, Source, read
from .saving import save

LIBRARIES = "timm", "torchvision", "lukemelas", "keras", "warmnet"
SUFFIXES = {"warmnet": (".safetensors",), "keras": (".h5", ".hdf5")}  # of the others: those of torch's files


def convert(source: Source, path: str | os.PathLike[str], to: str = "warmnet", **settings: Any) -> str:
    """Write a checkpoint as another library's; the Python that loads it there.

    - `path`: its end decides the format: .safetensors; .pth or .pt, torch's; .h5 or .weights.h5, Keras'.
    - `to`: 'timm', 'torchvision', 'lukemelas', 'keras' or 'warmnet'.
    - `settings`: of `from_pretrained`.

    Raises `WeightsError` if the source does not say what it is of, if that library's networks do not compute what this one
    does, or if it has no such variant.

    >>> import tempfile, warmnet
    >>> path = tempfile.mkdtemp() + '/b0.pth'
    >>> warmnet.convert(warmnet.WarmEfficientNet('b0', num_classes=10), path, to='timm')  # doctest: +ELLIPSIS
    "timm.create_model('tf_efficientnet_b0', num_classes=10, checkpoint_path='.../b0.pth')"
    """
    path = Path(path)
    if to not in LIBRARIES:
        raise WeightsError(f"Unknown library {to!r}. {choose_one(to, LIBRARIES)}.")
    check_writable(path)
    suffixes = SUFFIXES.get(to, (".safetensors", ".pth", ".pt"))
    if path.suffix not in suffixes:
        raise WeightsError(f"{path} must end in {' or '.join(suffixes)}.")
    checkpoint = read(source, settings.pop("revision", None))
    _check_says_settings(checkpoint, settings.get("lineage"))
    if to == "warmnet":
        network = from_pretrained(Classifier, checkpoint, **settings)
        save(network, path)
        return f"warmnet.{type(network).__name__}.from_pretrained({str(path)!r})"
    family = family_among(class_names(type(source))) if isinstance(source, Classifier) else None
    model = from_pretrained(family or Classifier, checkpoint, **settings)
    lineage = _find_lineage(to, model)
    _check_can_hold(lineage, model)
    _write(model, lineage, path)
    if not _holds_description(to, path):
        _warn_of_losses(model, lineage, path)
    return lineage.loading_code(model.variant_name, model.num_classes, model.in_channels, str(path))


def _check_says_settings(checkpoint: Checkpoint, lineage: str | None) -> None:
    """Raise if a state dict with warmnet's names does not say its settings: a file that is written would state a guess."""
    if lineage is not None or checkpoint.description is not None or checkpoint.network is not None:
        return
    if choose(checkpoint, by_names_alone=True).lineage.name == "warmnet":
        raise WeightsError(
            f"{checkpoint.source} has warmnet's names and does not say its settings, such as padding. If they are the "
            f"defaults, say so: lineage='warmnet'. Else build the network, load the weights into it, and convert that."
        )


def _find_lineage(library: str, model: Classifier) -> Lineage:
    """The lineage of a library for networks such as the model; of several the one that computes most as it does."""
    names = ("timm_tf", "timm") if library == "timm" else (library,)
    known = [lineage for name in names for lineage in LINEAGES[name] if isinstance(model, lineage.family)]
    having = [lineage for lineage in known if model.variant_name in lineage.architectures]
    if not having:
        has = dict.fromkeys(name for lineage in known for name in lineage.architectures)
        raise WeightsError(f"{library} has no {model.variant_name}. It has {', '.join(has) or 'no network of that family'}.")
    return min(having, key=lambda lineage: len(_computes_otherwise(lineage, model)))


def _computes_otherwise(lineage: Lineage, model: Classifier) -> dict[str, Any]:
    """By what a lineage's network of that name computes otherwise than the model."""
    return difference(conventions_of(model), lineage.conventions(model.variant_name))


def _check_can_hold(lineage: Lineage, model: Classifier) -> None:
    """Raise why no network of that library computes what the model does."""
    name, different = model.variant_name, _computes_otherwise(lineage, model)
    if model._is_adopted:
        raise WeightsError(f"The network is pruned, and {lineage.name}'s {name} is not. Write it with to='warmnet'.")
    if different:
        raise WeightsError(
            f"{lineage.name} computes with {as_keywords(different)} and this {name} with {as_keywords(conventions_of(model))}: "
            f"its outputs would be others there. A network for {lineage.name} is built, and trained, with "
            f"{as_keywords(different)}."
        )
    usual = default_settings(lineage.family, name)
    for key in usual.keys() & model.options.keys() - {*CONVENTIONS, "momentum", "dropout", "drop_connect"}:
        if model.options[key] != usual[key]:
            raise WeightsError(f"{lineage.name}'s {name} has nothing like {as_keywords({key: model.options[key]})}.")
    if not lineage.supports(model.num_classes, model.in_channels):
        raise WeightsError(f"{lineage.name} has no networks with {model.num_classes} classes and {model.in_channels} channels.")


def _write(model: Classifier, lineage: Lineage, path: Path) -> None:
    """Write the model's tensors under a lineage's names, in forward order."""
    state = model.state_dict()
    names = lineage.names(state)
    tensors = {name: lineage.from_warmnet(state[path], path).contiguous() for path, name in names.items()}
    with replacing(path) as temporary:
        if lineage is keras.V1:
            keras_files.write(temporary, {**_keras_normalization(model), **tensors})
        elif lineage.name == "keras":
            keras_files.write(temporary, tensors)
        elif path.suffix == ".safetensors":
            config = json.dumps(_timm_config(model, lineage))
            temporary.write_bytes(safetensors.save(tensors, {"format": "pt", "config": config}))
        elif lineage.name.startswith("timm"):  # which takes the state dict out of what is around it
            write_pickle({"state_dict": tensors, **_timm_config(model, lineage)}, temporary)
        else:
            write_pickle(tensors, temporary)


def _holds_description(library: str, path: Path) -> bool:
    """Whether a file can say more than tensors: of which network it is, its classes, its preprocessing."""
    return path.suffix == ".safetensors" or library == "timm"


def _timm_config(model: Classifier, lineage: Lineage) -> dict[str, Any]:
    """What stands beside the tensors, in the words of the Hub's config.json of timm's models."""
    config: dict[str, Any] = {"architecture": lineage.architectures[model.variant_name]}
    if model.classes:
        config["label_names"] = list(model.classes)
    preprocessing = model.preprocessing
    if preprocessing is not None:
        config["pretrained_cfg"] = {
            "input_size": [3, preprocessing.resolution, preprocessing.resolution],
            "crop_pct": preprocessing.crop,
            "crop_mode": preprocessing.crop_mode,
            "interpolation": preprocessing.interpolation,
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
        }
    return config


def _warn_of_losses(model: Classifier, lineage: Lineage, path: Path) -> None:
    """Warn of what a file of this kind has no place for."""
    losses, mend = [], "A .safetensors can."
    if model.classes:
        losses.append(f"the names of {len(model.classes)} classes")
    preprocessing, usual = model.preprocessing, lineage.preprocessing(model.variant_name, path.stem)
    if preprocessing not in (None, usual):
        losses.append(f"{preprocessing} but for mean and std" if lineage is keras.V1 else f"{preprocessing}")
        if lineage is keras.V2 and usual is not None:
            mend = (
                f"Keras' network begins with layers that take {usual.mean} from pictures in 0..1 and divide by {usual.std}: "
                f"build it with include_preprocessing=False, and give it what went through the model's preprocessing."
            )
    if losses:
        warnings.warn(f"{path} cannot hold {' and '.join(losses)}. {mend}", WeightsWarning, stacklevel=3)


def _keras_normalization(model: Classifier) -> dict[str, Tensor]:
    """Keras' Normalization layer for pictures in 0..1, as it computes: (x - mean) / sqrt(variance)."""
    preprocessing = model.preprocessing or Preprocessing(model.resolution)
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
    return {"normalization/mean": mean, "normalization/variance": std.square(), "normalization/count": torch.tensor(0)}
