"""`convert`: a checkpoint as another library's file."""

from __future__ import annotations

import json
import os
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
from torch import Tensor

from ..data.files import replacing, write_pickle
from ..data.preprocessing import Preprocessing
from ..networks.classifier import Classifier
from ..networks.efficientnet import WarmEfficientNet, efficientnet
from . import keras_files
from .conventions import as_keywords, conventions_of, difference
from .errors import WeightsError, WeightsWarning
from .lineages import LINEAGES, timm
from .lineages.lineage import Lineage, variant_name
from .pretrained import from_pretrained
from .reading import Source
from .saving import save

LIBRARIES = "timm", "torchvision", "lukemelas", "keras", "warmnet"
SUFFIXES = {"warmnet": (".safetensors",), "keras": (".h5", ".hdf5")}  # of the others: those of torch's files


def convert(source: Source, path: str | os.PathLike[str], to: str = "warmnet", **settings: Any) -> str:
    """Write a checkpoint of an EfficientNet as another library's; the Python that loads it there.

    - `path`: its end decides the format: .safetensors; .pth or .pt, torch's; .h5 or .weights.h5, Keras'.
    - `to`: 'timm', 'torchvision', 'lukemelas', 'keras' or 'warmnet'.
    - `settings`: of `WarmEfficientNet.from_pretrained`.

    Raises `WeightsError` if that library's networks do not compute what this one does, or if it has no such variant.

    >>> import tempfile, warmnet
    >>> path = tempfile.mkdtemp() + '/b0.pth'
    >>> warmnet.convert(warmnet.WarmEfficientNet('b0', num_classes=10), path, to='timm')  # doctest: +ELLIPSIS
    "timm.create_model('tf_efficientnet_b0', num_classes=10, checkpoint_path='.../b0.pth')"
    """
    path = Path(path)
    if to not in LIBRARIES:
        raise WeightsError(f"Unknown library {to!r}. Choose one of {', '.join(LIBRARIES)}.")
    suffixes = SUFFIXES.get(to, (".safetensors", ".pth", ".pt"))
    if path.suffix not in suffixes:
        raise WeightsError(f"{path} must end in {' or '.join(suffixes)}.")
    if to == "warmnet":
        network = from_pretrained(Classifier, source, **settings)
        save(network, path)
        return f"warmnet.{type(network).__name__}.from_pretrained({str(path)!r})"
    model = from_pretrained(WarmEfficientNet, source, **settings)
    is_tf = to == "timm" and conventions_of(model)["padding"] == "same"
    lineage = timm.TF if is_tf else LINEAGES[to]
    _check_can_hold(lineage, model)
    _write(model, lineage, path)
    if path.suffix != ".safetensors":
        _warn_of_losses(model, lineage, path)
    return lineage.loading_code(variant_name(model.variant), model.num_classes, model.in_channels, str(path))


def _check_can_hold(lineage: Lineage, model: WarmEfficientNet) -> None:
    """Raise why no network of that library computes what the model does."""
    name, defaults, conventions = variant_name(model.variant), signature(efficientnet).parameters, conventions_of(model)
    if name not in lineage.variants:
        raise WeightsError(f"{lineage.name} has no {name}. It has {', '.join(lineage.variants)}.")
    different = difference(conventions, lineage.options(name))
    if different:
        raise WeightsError(
            f"{lineage.name} computes with {as_keywords(different)} and this {name} with {as_keywords(conventions)}: its "
            f"outputs would be others there. A network for {lineage.name} is built, and trained, with {as_keywords(different)}."
        )
    for key, value in model.options.items():
        if key in defaults and key not in ("dropout", "drop_connect") and value != defaults[key].default:
            raise WeightsError(f"{lineage.name}'s {name} has nothing like {as_keywords({key: value})}.")
    if not lineage.supports(model.num_classes, model.in_channels):
        raise WeightsError(f"{lineage.name} has no networks with {model.num_classes} classes and {model.in_channels} channels.")


def _write(model: WarmEfficientNet, lineage: Lineage, path: Path) -> None:
    """Write the model's tensors under a lineage's names, in forward order."""
    state, tensors = model.state_dict(), dict[str, Tensor]()
    for ours, theirs in lineage.names(model.variant).items():
        if ours in state:
            tensors[theirs] = lineage.from_warmnet(state[ours], ours).contiguous()
    with replacing(path) as temporary:
        if lineage.name == "keras":
            keras_files.write(temporary, {**_keras_normalization(model), **tensors})
        elif path.suffix == ".safetensors":
            config = json.dumps(_timm_config(model, lineage))
            temporary.write_bytes(safetensors.save(tensors, {"format": "pt", "config": config}))
        else:
            write_pickle(tensors, temporary)


def _timm_config(model: WarmEfficientNet, lineage: Lineage) -> dict[str, Any]:
    """What stands beside the tensors, in the words of the Hub's config.json of timm's models."""
    architecture = f"efficientnet_{variant_name(model.variant)}"
    config: dict[str, Any] = {"architecture": f"tf_{architecture}" if lineage is timm.TF else architecture}
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


def _warn_of_losses(model: WarmEfficientNet, lineage: Lineage, path: Path) -> None:
    """Warn of what a file of this kind has no place for."""
    losses = []
    if model.classes:
        losses.append(f"the names of {len(model.classes)} classes")
    if model.preprocessing not in (None, lineage.preprocessing(variant_name(model.variant), path.stem)):
        losses.append(f"{model.preprocessing} but for mean and std" if lineage.name == "keras" else f"{model.preprocessing}")
    if losses:
        warnings.warn(f"{path} cannot hold {' and '.join(losses)}. A .safetensors can.", WeightsWarning, stacklevel=3)


def _keras_normalization(model: WarmEfficientNet) -> dict[str, Tensor]:
    """Keras' Normalization layer for pictures in 0..1, as it computes: (x - mean) / sqrt(variance)."""
    preprocessing = model.preprocessing or Preprocessing(model.resolution)
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
    return {"normalization/mean": mean, "normalization/variance": std.square(), "normalization/count": torch.tensor(0)}
