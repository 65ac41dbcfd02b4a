"""Keras' weight files as tensors by name, and back: the legacy HDF5 layout, Keras 3's `.weights.h5` and `.keras`.

The layouts are those of Keras 2 and 3's `legacy_h5_format.py` and `saving_lib.py`; Keras itself is not needed.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import extra
from .errors import WeightsError

VARIABLES = {  # of a layer's class, in the order in which Keras 3 numbers them
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
}
CLASSES = {  # by the names of EfficientNet's layers; all others are convolutions
    "dwconv": "depthwise_conv2d",  # V1's,
    "dwconv2": "depthwise_conv2d",  # and V2's
    "bn": "batch_normalization",
    "normalization": "normalization",
    "predictions": "dense",
}
DEFLATE = 1032  # the most by which it shrinks anything


class Variable(NamedTuple):
    """A variable of a layer, and its path in the file."""

    layer: str
    name: str
    path: str
    values: Any  # h5py.Dataset


def read(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The variables of all layers in a Keras file by 'layer/variable', laid out as in Keras and in the file's dtype.

    'stem_conv/kernel' (3, 3, 3, 32), 'block1a_dwconv/kernel' (3, 3, 32, 1), 'top_bn/moving_mean', 'normalization/mean', ...

    Layers of nested models have their bare name; what two layers would share is keyed by its whole path in the file instead.
    Older versions of Keras 3 name no layers in `.weights.h5`: EfficientNet's are known by their order and shapes, others are
    called by their class, 'dense_1'. The variables of classes that EfficientNet lacks have numbers there: 'lstm/0'. They come
    in the order of the file, which is the forward order in `.h5` alone.

    - `path`: `.h5` or `.hdf5` of `model.save_weights` or `model.save`, `.weights.h5`, or `.keras`.

    A WeightsError if the file is none of these, or not whole.
    """
    with extra("keras"):
        import h5py
    path = Path(path)
    if path.suffix not in (".h5", ".hdf5", ".keras"):
        raise WeightsError(f"{path}: Keras' weights are in files that end in .h5, .hdf5, .weights.h5 or .keras.")
    if not path.is_file():
        raise WeightsError(f"{path} {'is not a file' if path.exists() else 'does not exist'}.")
    try:
        content, config = _unzipped(path) if zipfile.is_zipfile(path) else (path, {})
        with h5py.File(content, "r") as file:
            variables = list(_variables(file, config))
            if not variables:
                raise WeightsError(f"{path} holds no weights of Keras. Save them there with: model.save_weights(path)")
            uses = Counter((variable.layer, variable.name) for variable in variables)
            return {v.path if uses[v.layer, v.name] > 1 else f"{v.layer}/{v.name}": _tensor(v) for v in variables}
    except WeightsError:
        raise
    except Exception as error:  # h5py raises anything from OSError to RuntimeError
        raise WeightsError(
            f"{path} is not a file of Keras' weights, or is not whole: {error}. Download or save it again."
        ) from error


def write(path: str | os.PathLike[str], variables: dict[str, Tensor]) -> None:
    """Write a file that Keras' `EfficientNetB0(weights=path)` and `model.load_weights(path)` accept; bfloat16 becomes float32.

    - `path`: ends in `.h5` or `.hdf5`, the layout of Keras 2 and 3, or in `.weights.h5`, for Keras from 3.8 on.
    - `variables`: as `read` has them, in forward order, and each layer's in the order of `VARIABLES`: Keras goes by it.

    The bytes are the same whenever it is written. A WeightsError if the suffix is another.
    """
    with extra("keras"):
        import h5py
    path = Path(path)
    if path.suffix not in (".h5", ".hdf5"):
        raise WeightsError(f"{path}: Keras loads weights from files that end in .h5, .hdf5 or .weights.h5.")
    layers: dict[str, dict[str, np.ndarray]] = {}
    for key, value in variables.items():
        layer, variable = key.split("/")
        value = value.float() if value.dtype == torch.bfloat16 else value
        layers.setdefault(layer, {})[variable] = value.detach().cpu().numpy()
    with h5py.File(path, "w") as file:
        (_fill_numbered if path.name.endswith(".weights.h5") else _fill_named)(file, layers)


def _fill_named(file: Any, layers: dict[str, dict[str, np.ndarray]]) -> None:
    """The legacy layout: every name is written out."""
    file.attrs["keras_version"] = b"2"  # without it Keras 2 takes the file for one of Keras 1, and transposes
    file.attrs["backend"] = b"tensorflow"
    file.attrs["layer_names"] = [layer.encode() for layer in layers]
    for layer, variables in layers.items():
        group = file.create_group(layer)
        group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in variables]
        for name, values in variables.items():
            group[f"{layer}/{name}:0"] = values


def _fill_numbered(file: Any, layers: dict[str, dict[str, np.ndarray]]) -> None:
    """Keras 3's layout: layers are numbered within their class, and variables within their layer."""
    for group, (layer, variables) in zip(_numbered(map(_class, layers)), layers.items()):
        numbers = file.create_group(f"layers/{group}/vars")
        numbers.attrs["name"] = layer
        for i, values in enumerate(variables.values()):
            numbers[str(i)] = values


def _unzipped(path: Path) -> tuple[io.BytesIO, dict[str, Any]]:
    """The weights file in a `.keras` archive, and the description of the model."""
    with zipfile.ZipFile(path) as archive:
        if "model.weights.h5" not in archive.namelist():
            raise WeightsError(f"{path} is a zip archive without model.weights.h5, so not one that Keras' model.save wrote.")
        return io.BytesIO(archive.read("model.weights.h5")), json.loads(archive.read("config.json"))


def _variables(file: Any, config: dict[str, Any]) -> Iterator[Variable]:
    """All variables of layers, in whichever layout."""
    weights = _items(file).get("model_weights", file)
    named = "layer_names" in weights.attrs or "layer_names0" in weights.attrs
    for variable in _from_names(weights) if named else _from_numbers(weights, config):
        # Keras counts these layers, of EfficientNet's the only ones without a name of their own, all session long
        yield variable._replace(layer=re.sub(r"^normalization_\d+$", "normalization", variable.layer))


def _items(group: Any) -> dict[str, Any]:
    """Everything in a group by its path, except behind links: they can lead to other files."""
    items: dict[str, Any] = {}
    group.visititems(items.__setitem__)
    return items


def _from_names(weights: Any) -> Iterator[Variable]:
    """The variables in the legacy layout, whose names are in attributes."""
    items = _items(weights)
    for layer in _strings(weights, "layer_names"):
        for name in _strings(items[layer], "weight_names"):
            path = f"{layer}/{name}"  # name is 'kernel', 'stem_conv/kernel:0' or 'efficientnetb0/stem_conv/kernel'
            *_, owner, variable = path.removesuffix(":0").split("/")
            yield Variable(owner, variable.removeprefix("depthwise_"), path, items[path])


def _strings(group: Any, name: str) -> list[str]:
    """A list of names among a group's attributes, where HDF5's limit on their size has it in parts."""
    parts = [name] if name in group.attrs else takewhile(group.attrs.__contains__, (f"{name}{i}" for i in count()))
    return [n.decode() if isinstance(n, bytes) else str(n) for part in parts for n in group.attrs[part]]


def _from_numbers(weights: Any, config: dict[str, Any]) -> Iterator[Variable]:
    """The variables in Keras 3's layout: 'layers/conv2d_5/vars/0', and maybe the layer's name as an attribute of 'vars'."""
    items = _items(weights)
    groups = {
        path.removesuffix("/vars"): item
        for path, item in items.items()
        if path.endswith("/vars") and not path.startswith(("optimizer/", "metrics/"))
    }
    unnamed = {group: numbers for group, numbers in groups.items() if "name" not in numbers.attrs}
    names = _efficientnet_names(unnamed) | dict(_configured_names(config)) if unnamed else {}
    for group, numbers in groups.items():
        last = group.rpartition("/")[2]
        layer = str(numbers.attrs.get("name", names.get(group, last)))
        known = VARIABLES.get(re.sub(r"_\d+$", "", last), ())
        known = known if len(numbers) in (1, len(known)) else ()  # a batch norm without gamma, say, keeps its numbers
        for number in sorted(numbers, key=int):
            path = f"{group}/vars/{number}"
            yield Variable(layer, known[int(number)] if known else number, path, items[path])


def _configured_names(model: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Each group of a weights file with the name of its layer, as a model's configuration lists them."""
    layers = model.get("config", {}).get("layers", [])
    classes = (re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", layer["class_name"]).lower() for layer in layers)
    for group, layer in zip(_numbered(classes), layers):
        yield f"{path}layers/{group}", layer["config"]["name"]
        yield from _configured_names(layer, f"{path}layers/{group}/")


def _efficientnet_names(groups: dict[str, Any]) -> dict[str, str]:
    """Each group with the name of its layer, for each model among the groups whose convolutions are EfficientNet's."""
    names: dict[str, str] = {}
    for parent in {group.rpartition("/")[0] for group in groups}:
        convs = takewhile(groups.__contains__, (f"{parent}/{name}" for name in _numbered("conv2d" for _ in count())))
        layers = _layers([groups[group]["0"].shape for group in convs])
        layers += ["predictions"] if f"{parent}/dense" in groups else []
        numbered = [f"{parent}/{group}" for group in _numbered(map(_class, layers))]
        if groups.keys() >= {*numbered}:
            names |= dict(zip(numbered, layers))
    return names


def _layers(kernels: list[tuple[int, ...]]) -> list[str]:
    """EfficientNet's layers in forward order, by the shapes (height, width, in, out) of its convolutions but the depthwise.

    V2 is told by its first block, which is fused: one large kernel. Its Normalization has no variables.
    """
    is_v2 = len(kernels) > 1 and _is_fused(kernels[1])
    names = ["stem_conv", "stem_bn"] if is_v2 else ["normalization", "stem_conv", "stem_bn"]
    depthwise = ["dwconv2" if is_v2 else "dwconv", "bn", "se_reduce", "se_expand"]
    stage, block, width = 0, 0, 0
    convs = iter(kernels[1:-1])
    for first in convs:
        parts = ["project_conv", "project_bn"] if _is_fused(first) else [*depthwise, "project_conv", "project_bn"]
        if first[3] > first[2]:  # else it is the only kernel of its block, or squeeze and excitation's reduce
            parts = ["expand_conv", "expand_bn", *parts]
        *_, project = first, *islice(convs, sum(_class(part) == "conv2d" for part in parts) - 1)
        stage, block = (stage, block + 1) if project[3] == width else (stage + 1, 0)
        width = project[3]
        names += [f"block{stage}{chr(ord('a') + block)}_{part}" for part in parts]
    return [*names, "top_conv", "top_bn"]


def _is_fused(kernel: tuple[int, ...]) -> bool:
    """Whether a block that begins with this kernel is a Fused-MBConv."""
    return kernel[0] > 1


def _class(layer: str) -> str:
    return CLASSES.get(layer.rpartition("_")[2], "conv2d")


def _numbered(classes: Iterable[str]) -> Iterator[str]:
    """Classes as Keras 3 tells their layers apart: conv2d, conv2d_1, ..."""
    seen: Counter[str] = Counter()
    for name in classes:
        yield f"{name}_{seen[name]}" if seen[name] else name
        seen[name] += 1


def _tensor(variable: Variable) -> Tensor:
    dataset = variable.values
    if dataset.external or dataset.nbytes > DEFLATE * dataset.id.get_storage_size():
        raise ValueError(f"the values of {variable.path} are not in it")
    values = np.asarray(dataset[()])
    if values.dtype.kind == "V":  # numpy has no bfloat16
        return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(values)
