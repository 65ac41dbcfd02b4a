"""`from_pretrained`: the network that a checkpoint is of, with its weights."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from .. import networks
from ..data.preprocessing import Preprocessing
from ..engine.build import starting_from
from ..networks.classifier import Classifier
from ..networks.families import NAMES
from .conventions import family_among
from .description import Description, class_names
from .errors import WeightsError, WeightsWarning
from .fitting import fit, take_description, warn
from .identification import Identified, identify
from .inserted_blocks import close_new_blocks
from .pruned import check_sizes, cut
from .reading import Checkpoint, Source, read
from .tensors import assign, unshare

Network = TypeVar("Network", bound=Classifier)


@torch.inference_mode(False)
def from_pretrained(
    cls: type[Network], source: Source | Checkpoint | float, *, strict: bool = True, lineage: str | None = None,
    revision: str | None = None, device: Any = None, preprocessing: Preprocessing | None = None, **overrides: Any,
) -> Network:  # fmt: skip
    """The network that a checkpoint is of, with its weights, in eval mode; its variant and conventions follow from the source.

    `model.preprocessing` is what its images went through, `model.classes` the names of its outputs where the source has them.
    Whatever is not simply as in the source is said in one `WeightsWarning`. Of `Classifier` itself the network is of the class
    that the source is of, if that is one of warmnet's.

    - `source`: a name such as 'lite0', see `warmnet.pretrained()`; a file (warmnet's, safetensors, torch.save's, Keras' HDF5),
      a run folder, a Hugging Face Hub repository such as 'timm/efficientnet_b0.ra_in1k' (with '@' and a revision, or
      `revision`), a state dict, or a model. A path that is there, or whose folder is, goes before a name.
    - `lineage`: whose layout it has: 'timm', 'timm_tf', 'torchvision', 'lukemelas', 'keras', 'warmnet'. Default: by the
      tensors' names, and for timm's two by what the file or repository is called.
    - `overrides`: of the class, instead of what the source says. With another `num_classes` the classifier is new; for other
      `in_channels` the stem's weights are summed and shared out; 0 classes is no classifier.
    - `strict`: refuse tensors that are left over or missing, and NaN. Without it a block that is new and adds to its input adds
      nothing until it learns.

    Raises `WeightsError` if the source cannot be read, does not fit, or is of another class.

    >>> import tempfile, warmnet
    >>> path = tempfile.mkdtemp() + '/b0.safetensors'
    >>> b0 = warmnet.WarmEfficientNet('b0', seed=0)
    >>> b0.classes = tuple(f'class {n}' for n in range(1000))
    >>> warmnet.save(b0, path)
    >>> model = warmnet.WarmEfficientNet.from_pretrained(path, output_stride=16)
    >>> model.classes[:2], model.training
    (('class 0', 'class 1'), False)
    """
    checkpoint = read(_full_name(cls, source), revision)
    if checkpoint.description is None and cls is not Classifier and family_among(class_names(cls)) is None:
        raise WeightsError(
            f"{checkpoint.source} does not say which {cls.__name__} it is of: files of warmnet.save do. Build the network, and "
            f"put the weights into it: warmnet.load(model, source)."
        )
    identified = identify(checkpoint, lineage)
    network = _find_class(cls, identified, checkpoint.source)
    model = _build(network, identified, checkpoint, device, overrides)
    report, values = fit(identified, model, checkpoint.source, strict)
    if _starts_from_values(network, identified.description):  # all but those of another shape are in the layers already
        values = {row.path: values[row.path] for row in report["reshaped"]}
    assign(model, values)
    report = close_new_blocks(model, report)
    take_description(model, identified)
    model.preprocessing = preprocessing or model.preprocessing
    model.metadata = dict(identified.description.metadata)
    warn(report)
    return model.eval()


def _full_name(cls: type[Classifier], source: Source | Checkpoint | float) -> Source | Checkpoint:
    """The source; of a bare width or depth, such as ResNet's 50 or '50', the name: 'resnet50'.

    Raises WeightsError for the name of another family's network.
    """
    if not isinstance(source, (str, int, float)) or Path(str(source)).exists():
        return source  # type: ignore[return-value]
    name = str(source)
    if re.fullmatch(r"\d*\.?\d+", name):
        named = (each for each, variant in cls.variants.items() if variant == float(name))
        name = next(named, f"{cls.name_prefix}{name}")
    family = NAMES.get(name)
    if family is not None and family_among(class_names(cls)) not in (None, family):
        right = family.__name__
        raise WeightsError(f"{name!r} is of {right}, not of {cls.__name__}. Load it with that class: {right}.from_pretrained.")
    return name


def _find_class(cls: type[Network], identified: Identified, source: str) -> type[Network]:
    """The class to build: the one that was asked, or of `Classifier` itself the one that the source is of."""
    description = identified.description
    network, names = description.network, class_names(cls)
    if network in names:
        return cls
    if names and {network, *description.bases} & {*names}:
        message = (
            f"{source} is of {network}, and may compute otherwise here. Load it with that class: {network}.from_pretrained."
        )
        warnings.warn(message, WeightsWarning, stacklevel=4)
        return cls
    if cls is Classifier:
        for each in _classes_of_warmnet(cls):
            if each.__name__ == network:
                return each
    if identified.doubt:
        raise WeightsError(identified.doubt)
    raise WeightsError(f"{source} is of {network}, not of {cls.__name__}. Load it with that class: {network}.from_pretrained.")


def _classes_of_warmnet(cls: type[Network]) -> Iterator[type[Network]]:
    """The classifiers that warmnet itself has."""
    for each in cls.__subclasses__():
        if _is_of_warmnet(each):
            yield each
        yield from _classes_of_warmnet(each)


def _build(
    network: type[Network], identified: Identified, checkpoint: Checkpoint, device: Any, overrides: dict[str, Any]
) -> Network:
    """The network that was identified, but for the overrides; its layers made of the checkpoint's tensors where that goes."""
    description = identified.description
    for key, text in description.missing.items():
        if key not in overrides:
            raise WeightsError(f"{checkpoint.source} was saved with {key}={text}, which no file can hold. Pass {key}=...")
    settings = {
        "variant": _variant_of(network, description.variant),
        "num_classes": description.num_classes,
        "in_channels": description.in_channels,
        **description.options,
        **overrides,
    }
    values: dict[str, Tensor] = {}
    try:
        if _starts_from_values(network, description):
            values = unshare(identified.tensors, checkpoint.is_shared)
        with starting_from(values):
            model = network(device=device, **settings)
        if description.is_pruned:
            if overrides:
                missing = {key: overrides[key] for key in description.missing}
                check_sizes(model, _variant_of(network, description.variant), {**description.options, **missing})
            cut(model, identified.tensors)
        return model
    except (TypeError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        if overrides or not _is_of_warmnet(network):
            raise
        raise WeightsError(f"{checkpoint.source} holds a description of its model that is damaged: {error}") from error


def _variant_of(network: type[Network], variant: Any) -> Any:
    """The variant of a file as the class has it: a tuple becomes a named one, of the kind of the class's default."""
    parameter = signature(network).parameters.get("variant")
    kind: Any = type(parameter.default) if parameter is not None else object
    if type(variant) is tuple and len(variant) == len(getattr(kind, "_fields", ())):
        return kind(*variant)
    return variant


def _is_of_warmnet(code: Any) -> bool:
    """Whether a class or function is written in `warmnet.networks`."""
    return code.__module__.startswith(f"{networks.__name__}.")


def _starts_from_values(network: type[Classifier], description: Description) -> bool:
    """Whether its layers may be made of a checkpoint's tensors: a user's `__init__` may change weights, or have more."""
    return _is_of_warmnet(network.__init__) and not description.is_pruned
