"""A classifier without its weights: all that it takes to build and to use it, as files of weights hold it in JSON."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..data.files import parse_json
from ..data.preprocessing import Preprocessing
from ..networks.classifier import Classifier
from .errors import WeightsError
from .option_values import NotForFilesError, decode, encode, since_version_2

VERSION = 3
KINDS = {
    "network": str, "bases": list, "num_classes": int, "in_channels": int, "options": dict, "classes": list, "metadata": dict,
    "missing": dict, "is_pruned": bool,
}  # fmt: skip
DICT = "dict"  # the key of a variant that is a dict, beside which the fields of a named tuple are one


class Description(NamedTuple):
    """What a network is, but for its weights.

    - `network`: its class's name; `bases`: those of the classifiers that this class inherits from.
    - `variant`: its name, or what it stands for: a (named) tuple. `options`: the settings that are no defaults.
    - `metadata`: what else was saved with it.
    - `missing`: the options that the file could not hold, as text.
    - `is_pruned`: whether its layers are smaller than these settings make them, as `adopt` takes them; see pruned.py.
    """

    network: str
    bases: tuple[str, ...]
    variant: Any
    num_classes: int
    in_channels: int
    options: dict[str, Any]
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    metadata: dict[str, Any] = {}  # noqa: RUF012
    missing: dict[str, str] = {}  # noqa: RUF012
    is_pruned: bool = False


def describe(model: Classifier) -> Description:
    """The description of a model, with the very objects that the model has."""
    network, *bases = class_names(type(model))
    return Description(
        network, tuple(bases), model.variant, model.num_classes, model.in_channels, model.options, tuple(model.classes),
        model.preprocessing, model.metadata, is_pruned=model._is_adopted,
    )  # fmt: skip


def class_names(network: type[Classifier]) -> list[str]:
    """The names of a class and of the classifiers that it inherits from, itself first."""
    return [each.__name__ for each in network.__mro__ if issubclass(each, Classifier) and each is not Classifier]


def to_json(description: Description, crc32: int) -> str:
    """A description and the checksum of the tensors. Options that JSON cannot hold are `missing`, as text."""
    options, missing = _held(description.options)
    variant, preprocessing = description.variant, description.preprocessing
    if getattr(variant, "options", None):
        held, missing_of_variant = _held(dict(variant.options))
        variant = variant._replace(options=tuple(pair for pair in variant.options if pair[0] in held))
        missing = {**missing_of_variant, **missing}
    content = {
        "version": VERSION,
        **description._asdict(),
        "variant": _variant_in_json(variant),
        "options": options,
        "missing": {**description.missing, **missing},
        "preprocessing": preprocessing and preprocessing.to_dict(),
        "crc32": crc32,
    }
    return json.dumps(content)


def _held(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Options as JSON has them, and as text those that it cannot hold."""
    held, missing = {}, {}
    for key, value in options.items():
        try:
            held[key] = encode(value)
        except NotForFilesError:
            missing[key] = repr(value)
    return held, missing


def _variant_in_json(variant: Any) -> Any:
    """A variant as JSON has it: a named tuple as its fields, by name; a WeightsError if that cannot hold it."""
    try:
        if hasattr(variant, "_asdict"):
            return encode(variant._asdict())
        return {DICT: encode(variant)} if isinstance(variant, dict) else encode(variant)
    except NotForFilesError as error:
        raise WeightsError(f"No file can hold {error}, of which the model's variant is made.") from None


def from_json(text: str, source: str) -> tuple[Description, int | None]:
    """What `to_json` was given, a variant's fields as a tuple; a WeightsError if it is damaged, or from a newer warmnet."""
    try:
        content = parse_json(text)
        if content["version"] > VERSION:
            raise WeightsError(f"{source} was written by a newer warmnet. Update it: pip install -U warmnet")
        if content["version"] < 3:
            content |= _since_version_2(content)
        content = {"is_pruned": False, **content}  # which older files do not say
        values = {key: content[key] for key in Description._fields}
        _check_kinds(values)
        variant, preprocessing = values["variant"], values["preprocessing"]
        if isinstance(variant, dict):
            variant = variant[DICT] if DICT in variant else [*variant.values()]
        values["variant"] = decode(variant)
        values["bases"], values["classes"] = tuple(values["bases"]), tuple(values["classes"])
        values["options"] = decode(values["options"])
        values["preprocessing"] = preprocessing and Preprocessing.from_dict(preprocessing)
        return Description(**values), content.get("crc32")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{source} holds a description of its model that is damaged: {error!r}.") from error


def _check_kinds(values: dict[str, Any]) -> None:
    """Raise ValueError unless the values of a description are of the kinds that `to_json` writes."""
    for key, kind in KINDS.items():
        if type(values[key]) is not kind:
            raise ValueError(f"{key} is {values[key]!r:.100}")
    texts = [*values["bases"], *values["classes"], *values["missing"].values(), values["metadata"].get("network") or ""]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name in it is no text")
    if values["num_classes"] < 0 or values["in_channels"] < 1:
        raise ValueError(f"it is of {values['num_classes']} classes and {values['in_channels']} channels")
    if len({*values["classes"]}) not in (0, values["num_classes"]) or len(values["classes"]) > values["num_classes"]:
        raise ValueError(f"{len(values['classes'])} names are not those of {values['num_classes']} classes")


def _since_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """What was called otherwise in files of version 2, or was not in them: all were of EfficientNets."""
    options = {key: since_version_2(value) for key, value in content["options"].items()}
    known = {"network": "WarmEfficientNet", "bases": [], "metadata": content["facts"], "missing": content["ask_again"]}
    return {**known, "options": options}
