"""Which settings a network can have, and which of them count: those of a call, its variant's, the defaults."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

from .. import checks
from .names import choose_one, find_family_name

ROW = "size", "expand", "kernel", "stride", "repeat"  # of a table of stages
WHOLE = dict.fromkeys((*ROW, "resolution", "in_channels", "stem", "stem_stride", "head"), 1) | {"num_classes": 0}
POSITIVE = "width", "depth"
NOT_NEGATIVE = ("se_ratio",)
SHARES = "dropout", "drop_connect"


def check_settings(**settings: Any) -> dict[str, Any]:
    """The settings, if there is none that no network can have, as far as their names are known here."""
    for name, value in settings.items():
        if name == "stages":
            _check_stages(value)
        elif name == "options":
            _check_options(value)
        elif name in WHOLE:
            checks.whole(name, value, WHOLE[name])
        elif name in POSITIVE:
            checks.positive(name, value)
        elif name in NOT_NEGATIVE:
            checks.not_negative(name, value)
        elif name in SHARES and not (name == "dropout" and value is None):  # which the variant decides
            checks.share(name, value)
    return settings


def _check_stages(stages: Any) -> None:
    """Refuse what is no table of stages."""
    rows: Any = stages if isinstance(stages, (list, tuple)) and stages else [None]
    if any(not isinstance(row, (list, tuple)) or len(row) - len(ROW) not in (0, 1) for row in rows):
        raise TypeError(
            f"stages={stages!r} must be a tuple of stages, each of {len(ROW)} numbers: {', '.join(ROW)}; and of the function "
            f"that computes a block, if it is not the network's."
        )
    for row in rows:
        check_settings(**dict(zip(ROW, row)))
        if len(row) > len(ROW) and not (row[-1] is None or callable(row[-1])):
            raise TypeError(f"block={row[-1]!r} of a stage must be a function, or None for the network's own.")


def _check_options(options: Any) -> None:
    """Refuse what cannot be the options of a variant, which has to be hashable."""
    pairs = options if isinstance(options, tuple) else (None,)
    if not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise TypeError(
            f"options={options!r} of a variant must be a tuple of pairs, each of a keyword of the network and its value, such "
            f"as (('se_ratio', 0),)."
        )
    check_settings(**dict(pairs))


def total_stride(stages: Iterable[Sequence[Any]], stem_stride: int) -> int:
    """By how much smaller the last map of a network with these stages is than its image, along a side."""
    return math.prod([stem_stride, *(row[ROW.index("stride")] for row in stages)])


def for_variants(find: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Of a function `network(x, variant, num_classes, **options)` one that takes a variant's name, too.

    What `find` makes of the name has `options`. They go before the function's defaults, and what a call gives before them.
    """

    def decorate(network: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(network)
        def call(x: Any, variant: Any = "b0", num_classes: int = 1000, **options: Any) -> Any:
            variant = find(variant)
            return network(x, variant, num_classes, **{**dict(variant.options), **options})

        call.__kwdefaults__ = network.__kwdefaults__  # type: ignore[attr-defined] # the same dict: a change counts
        return call

    return decorate


def unknown_variant(variant: Any, names: Iterable[str], other: str) -> ValueError:
    """The error for a variant that there is not, which offers the one that is meant; `other`: what else there may be."""
    names = list(names)
    family = find_family_name(str(variant))
    if family not in (None, find_family_name(names[0])):
        return ValueError(
            f"Unknown variant {variant!r}: it is one of {family}'s. Choose one of {', '.join(names)}, or pass {other}."
        )
    return ValueError(f"Unknown variant {variant!r}. {choose_one(str(variant), names)}, or pass {other}.")
