"""Weights into networks, out of them, and from one to another: `from_pretrained`, `load`, `transplant`, `convert`."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import torch as safetensors
from torch import Tensor, nn

from ..data.files import replacing, write_pickle
from ..data.preprocessing import Preprocessing
from ..engine.build import starting_from
from ..engine.module import WarmModule
from ..functional import SameConv2d
from ..networks.efficientnet import VARIANTS, WarmEfficientNet, conv_bn_act, efficientnet
from . import h5
from .identification import LINEAGES, Origin, origin
from .lineages import timm
from .lineages.lineage import Lineage
from .matching import CLASSIFIER, STEM, check_finite, check_fits, for_channels, moved_names, planned
from .reading import Checkpoint, Source, read
from .report import SHOWN, Report
from .saving import WeightsError, save

Network = TypeVar("Network", bound=WarmEfficientNet)
LIBRARIES = "timm", "torchvision", "lukemelas", "keras", "warmnet"
DEFAULTS = {key: signature(conv_bn_act).parameters[key].default for key in ("padding", "eps", "act")}


class WeightsWarning(UserWarning):
    """What was done to weights so that they fit, or had to be assumed about them."""


@torch.inference_mode(False)
def from_pretrained(
    cls: type[Network], source: Source, *, strict: bool = True, lineage: str | None = None,
    revision: str | None = None, device: Any = None, preprocessing: Preprocessing | None = None, **overrides: Any,
) -> Network:  # fmt: skip
    """The network that a checkpoint is of, with its weights, in eval mode; its variant and conventions follow from the source.

    `model.preprocessing` is what its images went through, `model.classes` the names of its outputs where the source has them.
    Whatever is not simply as in the source is told in one `WeightsWarning`.

    - `source`: a file (warmnet's, safetensors, torch.save's, Keras' HDF5), a run folder, a Hugging Face Hub repository such
      as 'timm/tf_efficientnet_b0.ns_jft_in1k' (with '@' and a revision, or `revision`), a state dict, or a model.
    - `lineage`: whose layout it has: 'timm', 'timm_tf', 'torchvision', 'lukemelas', 'keras', 'warmnet'. Default: told from
      the tensors' names, and for timm's two from what the file or repository is called.
    - `overrides`: of `WarmEfficientNet`, instead of what the source says. With another `num_classes` the classifier is new;
      for other `in_channels` the stem's weights are summed and shared out; 0 classes is no classifier.
    - `strict`: refuse tensors that are left over or missing, and NaN.

    Raises `WeightsError` if the source cannot be read or does not fit.

    >>> import tempfile, warmnet
    >>> path = tempfile.mkdtemp() + '/b0.safetensors'
    >>> b0 = warmnet.WarmEfficientNet('b0', seed=0)
    >>> b0.classes = tuple(f'class {n}' for n in range(1000))
    >>> warmnet.save(b0, path)
    >>> model = warmnet.WarmEfficientNet.from_pretrained(path, output_stride=16)
    >>> model.classes[:2], model.training
    (('class 0', 'class 1'), False)
    """
    checkpoint = read(source, revision)
    found = origin(checkpoint, lineage)
    if cls is WarmEfficientNet and (network := found.facts.get("network")):
        message = (
            f"{checkpoint.where} is of {network}, and may compute otherwise here. Load it with that class: Net.from_pretrained."
        )
        warnings.warn(message, WeightsWarning, stacklevel=3)
    for key, value in (checkpoint.about or {}).get("ask_again", {}).items():
        if key not in overrides:
            raise WeightsError(f"{checkpoint.where} was saved with {key}={value}, which no file can hold. Pass {key}=...")
    settings = {"variant": found.variant, "num_classes": found.num_classes, "in_channels": found.in_channels, **found.options}
    settings |= overrides
    values = _alone(found.tensors, checkpoint.shared)
    if STEM in values and values[STEM].shape[1] != settings["in_channels"]:
        values[STEM] = for_channels(values[STEM], settings["in_channels"])
    known = cls.__init__ is WarmEfficientNet.__init__  # another may change the weights, or have some of its own
    with starting_from(values if known else {}):
        model = cls(device=device, **settings)
    report, values = _planned(found, model, checkpoint, strict)
    if not known:
        _put(model, report, values)
    _describe(model, found)
    model.preprocessing = preprocessing or model.preprocessing
    model.metadata = dict(found.facts)
    _tell(report)
    return model.eval()


@torch.inference_mode(False)
def load(
    model: nn.Module, source: Source, *, strict: bool = True, lineage: str | None = None, revision: str | None = None
) -> Report:
    """Put a checkpoint's weights into a network that is there, and report on every tensor. It is all or nothing.

    The arguments are those of `WarmEfficientNet.from_pretrained`. A model with another number of classes keeps its classifier;
    one with another number of channels gets the stem's weights summed and shared out; both are told in a `WeightsWarning`.

    Raises `WeightsError` if the source cannot be read, does not fit, or comes from networks that pad or normalize otherwise.

    >>> import warmnet
    >>> model, other = (warmnet.WarmEfficientNet('b0', num_classes=10, seed=seed) for seed in (0, 1))
    >>> warmnet.load(model, other.state_dict()).share
    1.0
    """
    while isinstance(wrapped := getattr(model, "_orig_mod", getattr(model, "module", None)), nn.Module):
        model = wrapped  # of torch.compile and DistributedDataParallel
    checkpoint = read(source, revision)
    computes = _conventions(model)
    likely = timm.NATIVE if computes.get("padding") == "symmetric" else timm.TF
    found = origin(checkpoint, lineage, likely.name)
    report, values = _planned(found, model, checkpoint, strict)
    stated = {**DEFAULTS, **found.options} if checkpoint.about else found.options
    differ = {key: stated[key] for key, value in computes.items() if stated.get(key, value) != value}
    if differ:
        said = f"{report.source} is from networks with {_keywords(differ)}, and the model has {_keywords(computes)}"
        if strict:
            raise WeightsError(
                f"{said}: its outputs would be others. Build it with {_keywords(differ)}, or take "
                f"WarmEfficientNet.from_pretrained(source). strict=False loads it all the same."
            )
        report = replace(report, notes=(*report.notes, said))
    _put(model, report, values)
    if isinstance(model, WarmEfficientNet):
        _describe(model, found, keep=True)
    _tell(report)
    return report


def transplant(source: Source, target: nn.Module, *, moved: Mapping[str, str] | None = None, reshape: bool = False) -> Report:
    """Put every tensor of `source` whose path and shape still fit into `target`, an edited network; a report on all of them.

    - `source`: the network before the edit, or anything else that `load` takes.
    - `moved`: where blocks or tensors that were renamed or moved are now: {'stage_3.mb_block_2': 'stage_3.mb_block_3'}.
    - `reshape`: put tensors of another shape in, too. Kernels are cropped, or padded with zeros, around their centre; of too
      many channels the first are taken. Weights of further inputs are zero and further outputs stay as they were initialised,
      so a network made wider computes what it did. A stem for other pictures gets its weights summed and shared out.

    >>> import warmnet
    >>> b0 = warmnet.WarmEfficientNet('b0', 10)
    >>> warmnet.transplant(b0, warmnet.WarmEfficientNet('b0', 10, se_ratio=0)).share
    1.0
    """
    checkpoint = read(source)
    if isinstance(source, WarmModule) or (checkpoint.tensors.keys() & target.state_dict().keys()) - set(CLASSIFIER):
        tensors, names = checkpoint.tensors, {name: name for name in checkpoint.tensors}
    else:
        found = origin(checkpoint)
        tensors, names = found.tensors, found.names
    places = moved_names(tensors, moved or {}, target.state_dict())
    tensors, names = ({places[path]: value for path, value in of.items()} for of in (tensors, names))  # type: ignore[assignment]
    report, values = planned(tensors, names, target, checkpoint.where, picture=reshape, reshape=reshape)
    _put(target, report, values)
    return report


def convert(source: Source, path: str | os.PathLike[str], to: str = "warmnet", **settings: Any) -> str:
    """Write a checkpoint as another library's; the Python that loads it there.

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
    endings = {"warmnet": (".safetensors",), "keras": (".h5", ".hdf5")}.get(to, (".safetensors", ".pth", ".pt"))
    if to not in LIBRARIES:
        raise WeightsError(f"Unknown library {to!r}. Choose one of {', '.join(LIBRARIES)}.")
    if path.suffix not in endings:
        raise WeightsError(f"{path} must end in {' or '.join(endings)}.")
    model = from_pretrained(WarmEfficientNet, source, **settings)
    if to == "warmnet":
        save(model, path)
        return f"warmnet.WarmEfficientNet.from_pretrained({str(path)!r})"
    lineage = timm.TF if to == "timm" and _conventions(model)["padding"] == "same" else LINEAGES[to]
    tensors, config = _theirs(model, lineage), _config(model, lineage)
    with replacing(path) as temporary:
        if to == "keras":
            h5.write(temporary, {**_normalization(model), **tensors})
        elif path.suffix == ".safetensors":
            temporary.write_bytes(safetensors.save(tensors, {"format": "pt", "config": json.dumps(config)}))
        else:
            write_pickle(tensors, temporary)
    if path.suffix != ".safetensors":
        _tell_what_is_lost(model, lineage, path)
    return lineage.loading(_name(model), model.num_classes, model.in_channels, str(path))


def _planned(found: Origin, model: nn.Module, checkpoint: Checkpoint, strict: bool) -> tuple[Report, dict[str, Tensor]]:
    """What moves from a checkpoint into a model, and the model's new values; or the error that says why it does not fit."""
    report, values = planned(found.tensors, found.names, model, checkpoint.where, picture=True, reshape=False)
    report = replace(report, notes=(*found.notes, *report.notes))
    if not strict:
        return report, values
    advice = "strict=False loads what fits."
    if isinstance(model, WarmEfficientNet) and model.variant != found.variant:
        advice = (
            f"The source is of {_name(found)} in the layout of {found.lineage}, the model is {_name(model)}. "
            f"WarmEfficientNet.from_pretrained(source) builds the one that it is of. {advice}"
        )
    check_fits(report, () if getattr(model, "num_classes", None) == found.num_classes else CLASSIFIER, advice)
    check_finite(report)
    return report, values


def _put(model: nn.Module, report: Report, values: Mapping[str, Tensor]) -> None:
    """Write the values into the model's own tensors, which optimizers and others may hold."""
    state = model.state_dict()
    if any(tensor.is_meta for tensor in state.values()):
        raise WeightsError(f"The {report.model} is on 'meta' and has no values. Build it on a device first.")
    with torch.no_grad():
        for path, value in values.items():
            state[path].copy_(value)


def _alone(tensors: Mapping[str, Tensor], shared: bool) -> dict[str, Tensor]:
    """The tensors, none of which shares its memory with another, or, if they are `shared`, with the source."""
    seen: set[int] = set()
    values = {}
    for path, value in tensors.items():
        part = value.untyped_storage().nbytes() != value.nbytes or value.data_ptr() in seen
        seen.add(value.data_ptr())
        values[path] = value.clone() if shared or part else value
    return values


def _describe(model: WarmEfficientNet, found: Origin, keep: bool = False) -> None:
    """Give a model the classes and the preprocessing of what was loaded, as far as they are its own.

    - `keep`: what it has already, unless the source itself says otherwise of outputs and images that the model has.
    """
    same = model.num_classes == found.num_classes
    if not keep or (same and found.classes):
        model.classes = found.classes if same else ()
    if not keep or (model.in_channels == 3 and (found.told or model.preprocessing is None)):
        model.preprocessing = found.preprocessing if model.in_channels == 3 else None


def _tell(report: Report) -> None:
    """Warn of everything that is not simply as in the source, at the line that called `load` or `from_pretrained`."""
    parts = [*report.notes]
    for fate in "reshaped", "new", "dropped":
        rows = [str(row) for row in report[fate] if row.matters]
        parts += rows[:SHOWN] + [f"and {len(rows) - SHOWN} more are {fate}"] * (len(rows) > SHOWN)
    if parts:
        warnings.warn("\n  ".join([f"{report.source}:", *parts]), WeightsWarning, stacklevel=4)


def _conventions(model: nn.Module) -> dict[str, Any]:
    """What a model computes with that tensors do not show: its padding, where it has strides, its BN's eps, its activation."""
    modules = [*model.modules()]
    strided = [m for m in modules if isinstance(m, nn.Conv2d) and max(m.stride) > 1]
    eps = next((m.eps for m in modules if isinstance(m, nn.BatchNorm2d)), None)
    padding = "same" if any(isinstance(m, SameConv2d) for m in strided) else "symmetric"
    act = {"act": model.options.get("act", DEFAULTS["act"])} if isinstance(model, WarmEfficientNet) else {}
    return ({"padding": padding} if strided else {}) | ({} if eps is None else {"eps": eps}) | act


def _theirs(model: WarmEfficientNet, lineage: Lineage) -> dict[str, Tensor]:
    """The model's tensors under a lineage's names, in forward order; or the error that says what it has no way to hold."""
    name, defaults, computes = _name(model), signature(efficientnet).parameters, _conventions(model)
    options = lineage.options(name) if name in lineage.variants else {}
    if name not in lineage.variants:
        raise WeightsError(f"{lineage.name} has no {name}. It has {', '.join(lineage.variants)}.")
    differ = {key: options[key] for key, value in computes.items() if options.get(key, value) != value}
    if differ:
        raise WeightsError(
            f"{lineage.name} computes with {_keywords(differ)} and this {name} with {_keywords(computes)}: its outputs would "
            f"be others there. A network for {lineage.name} is built, and trained, with {_keywords(differ)}."
        )
    for key, value in model.options.items():
        if key in defaults and key not in ("dropout", "drop_connect") and value != defaults[key].default:
            raise WeightsError(f"{lineage.name}'s {name} has nothing like {key}={getattr(value, '__name__', value)}.")
    if not lineage.takes(model.num_classes, model.in_channels):
        raise WeightsError(f"{lineage.name} has no networks with {model.num_classes} classes and {model.in_channels} channels.")
    paths, state = lineage.paths(model.variant), model.state_dict()
    return {theirs: lineage.to_theirs(state[path], path).contiguous() for path, theirs in paths.items() if path in state}


def _config(model: WarmEfficientNet, lineage: Lineage) -> dict[str, Any]:
    """What stands beside the tensors, in the words of the Hub's config.json of timm's models."""
    config: dict[str, Any] = {"architecture": "tf_" * (lineage is timm.TF) + f"efficientnet_{_name(model)}"}
    if model.classes:
        config["label_names"] = list(model.classes)
    if (scale := model.preprocessing) is not None:
        size, colours = [3, scale.resolution, scale.resolution], {"mean": list(scale.mean), "std": list(scale.std)}
        config["pretrained_cfg"] = {"input_size": size, "crop_pct": scale.crop, "interpolation": scale.interpolation, **colours}
    return config


def _tell_what_is_lost(model: WarmEfficientNet, lineage: Lineage, path: Path) -> None:
    """Warn of what a file of this kind has no place for."""
    lost = [f"the names of {len(model.classes)} classes"] * bool(model.classes)
    if model.preprocessing not in (None, lineage.preprocessing(_name(model), path.stem)):
        lost.append(f"{model.preprocessing}" + " but for mean and std" * (lineage.name == "keras"))
    if lost:
        warnings.warn(f"{path} cannot hold {' and '.join(lost)}. A .safetensors can.", WeightsWarning, stacklevel=3)


def _normalization(model: WarmEfficientNet) -> dict[str, Tensor]:
    """Keras' Normalization layer for pictures in 0..1, as it computes: (x - mean) / sqrt(variance)."""
    scale = model.preprocessing or Preprocessing(model.resolution)
    mean, std = torch.tensor(scale.mean), torch.tensor(scale.std)
    return {"normalization/mean": mean, "normalization/variance": std.square(), "normalization/count": torch.tensor(0)}


def _name(model: WarmEfficientNet | Origin) -> str:
    return next((name for name, variant in VARIANTS.items() if variant == model.variant), str(model.variant))


def _keywords(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={getattr(value, '__name__', repr(value))}" for key, value in options.items())
