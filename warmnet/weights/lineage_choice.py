"""Which lineage and which variant a checkpoint's tensors are of: by their names and shapes, and by what stands beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from .conventions import as_keywords
from .errors import WeightsError
from .lineages import LINEAGES, Lineage, timm
from .reading import Checkpoint


class Choice(NamedTuple):
    """A lineage, a variant, and the tensors without what torch.compile, DDP, ... put before their names.

    - `apart`: in how many blocks and layers the variant differs from them.
    - `prefix`: what was taken off their names, such as 'backbone.'.
    - `notes`: what was taken off.
    """

    lineage: Lineage
    variant: str
    tensors: dict[str, Tensor]
    apart: tuple[int, int]
    prefix: str = ""
    notes: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """What the library calls the network."""
        return self.lineage.architectures[self.variant]

    @property
    def computes(self) -> tuple[object, ...]:
        """What tells it from others of the same tensors."""
        return self.lineage.family, self.variant, self.lineage.options(self.variant)


def choose(checkpoint: Checkpoint, name: str | None = None, by_names_alone: bool = False) -> Choice:
    """The lineage and the variant of a checkpoint without a description.

    - `name`: of the lineage, if that is known. Default: any.
    - `by_names_alone`: of those that differ only in what tensors do not show, the first will do.

    Raises WeightsError if no network has such tensors, and if there are several that would compute otherwise.
    """
    tensors = {key.replace("_orig_mod.", ""): tensor for key, tensor in checkpoint.tensors.items()}
    notes = checkpoint.notes
    if list(tensors) != list(checkpoint.tensors):
        notes += ("'_orig_mod.' was taken off the names",)
    lineages = LINEAGES[name] if name else sum(LINEAGES.values(), ())
    choices = list(_choices(checkpoint.source, tensors, lineages))
    if not choices:
        raise _unknown(checkpoint.source, tensors, lineages)
    least = min(choice.apart for choice in choices)
    nearest = [choice for choice in choices if choice.apart == least]
    if not by_names_alone:
        nearest = _told_by_architecture(checkpoint, nearest, is_given=name is not None)
        if any(choice.computes != nearest[0].computes for choice in nearest):
            raise _undecided(checkpoint.source, nearest)
    return nearest[0]._replace(notes=notes + nearest[0].notes)


def _choices(source: str, tensors: dict[str, Tensor], lineages: Iterable[Lineage]) -> Iterable[Choice]:
    """For each lineage that has names such as the tensors, the variant that is nearest."""
    for lineage in lineages:
        stem = lineage.stem()
        ends = [key.removesuffix(stem) for key in tensors if f".{key}".endswith(f".{stem}")]
        prefixes = [prefix for prefix in ends if lineage.has_first_block(tensors, prefix)]
        if len(prefixes) > 1:
            one = f"{{k.removeprefix('{prefixes[0]}'): v for k, v in ... if k.startswith('{prefixes[0]}')}}"
            under = ", ".join(f"'{prefix}'" for prefix in prefixes)
            raise WeightsError(f"{source} holds {len(prefixes)} networks, under {under}. Pass the tensors of one: {one}")
        for prefix in prefixes:
            if tensors[prefix + stem].ndim != 4:
                raise WeightsError(f"{source} is no network of {lineage.name}: {prefix}{stem} is no kernel of a convolution.")
            named = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
            apart, variant = lineage.nearest(named)
            notes = (f"'{prefix}' was taken off the names",) if prefix else ()
            yield Choice(lineage, variant, named, apart, prefix, notes)


def _told_by_architecture(checkpoint: Checkpoint, choices: list[Choice], is_given: bool) -> list[Choice]:
    """Those of the choices that are what the checkpoint says, or is called; all of them if that tells nothing.

    - `is_given`: whether somebody said of which lineage it is.
    """
    is_called_so = (name for name in timm.OTHERS if is_called(name, checkpoint.architecture))
    stated = checkpoint.config.get("architecture") or next(is_called_so, None)
    if isinstance(stated, str) and choices[0].lineage.name != "warmnet":
        fitting = [choice for choice in choices if stated.lower() == choice.architecture.lower()]
        owners = [
            name for name, lineages in LINEAGES.items() if any(stated in each.architectures.values() for each in lineages)
        ]
        if fitting or (is_given and not owners):
            return fitting or choices
        nearest = " or ".join(f"{choice.lineage.name}'s {choice.architecture}" for choice in choices)
        if is_given:
            raise WeightsError(
                f"{checkpoint.source} says that it is of {stated}, of the lineage {' or '.join(map(repr, owners))}, and "
                f"lineage is {choices[0].lineage.name!r}. Leave out lineage."
            )
        if choices[0].apart != (0, 0):
            raise WeightsError(
                f"{checkpoint.source} says that it is of {stated}, which warmnet has not, and its tensors are not those of "
                f"another network that it has. The nearest is {nearest}."
            )
        raise WeightsError(
            f"{checkpoint.source} says that it is of {stated}, and has the tensors of {nearest}, which may compute otherwise. "
            f"If it is that all the same, say so: lineage={choices[0].lineage.name!r}."
        )
    return [choice for choice in choices if is_called(choice.architecture, checkpoint.architecture)] or choices


def is_called(architecture: str, name: str) -> bool:
    """Whether a file or repository of that name is, by its name, of an architecture: 'tf_efficientnet_b0_ns-c0e6a31c'."""
    name = name.replace("-", "_")
    return re.match(rf"(adv_)?{architecture.replace('-', '_')}([._]|$)", name, re.IGNORECASE) is not None


def _unknown(source: str, tensors: Mapping[str, Tensor], lineages: Iterable[Lineage]) -> WeightsError:
    stems: dict[str, list[str]] = {}
    for lineage in lineages:
        names = stems.setdefault(lineage.stem(), [])
        names += [lineage.name] if lineage.name not in names else []
    known = ", ".join(f"{stem} ({', '.join(names)})" for stem, names in stems.items())
    examples = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in [*tensors.items()][:3])
    return WeightsError(
        f"{source} is of no network that warmnet has: none of its tensors is {known}. It begins with {examples}."
    )


def _undecided(source: str, choices: list[Choice]) -> WeightsError:
    networks = [
        f"{choice.lineage.name!r} for {choice.architecture}, with {as_keywords(choice.lineage.options(choice.variant))}"
        for choice in choices
    ]
    like = "tensors" if choices[0].apart == (0, 0) else "most, but not all, tensors"
    return WeightsError(
        f"{source} has {like} of several networks that compute otherwise, and nothing says which it is of. Pass lineage: "
        f"{'; or '.join(networks)}."
    )
