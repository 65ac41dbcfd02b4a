"""Whether settings are what they must be: each error names the setting, its value and what is allowed."""

from __future__ import annotations

import math
import operator
from typing import Any

from torch import Tensor

from .errors import InputError


def whole(name: str, value: Any, least: int = 1) -> int:
    """`value`, a whole number of any kind, as an int."""
    refuse_tensor(name, value)
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        cure = " Divide by //, or round it." if isinstance(value, float) else ""
        raise TypeError(f"{name}={value!r} must be a whole number, at least {least}, and is a {type(value).__name__}.{cure}")
    if number < least:
        raise ValueError(f"{name}={value!r} must be at least {least}.")
    return number


def positive(name: str, value: Any) -> None:
    """Refuse what is no finite number above 0."""
    _number(name, value, 0 < value < math.inf if _is_number(value) else False, "above 0")


def not_negative(name: str, value: Any) -> None:
    """Refuse what is no finite number, at least 0."""
    _number(name, value, 0 <= value < math.inf if _is_number(value) else False, "at least 0")


def share(name: str, value: Any) -> None:
    """Refuse what is no number at least 0 and below 1."""
    _number(name, value, 0 <= value < 1 if _is_number(value) else False, "at least 0 and below 1")


def within(name: str, value: Any, least: float, most: float, kind: type = float) -> None:
    """Raise InputError for what is no number from `least` to `most`, or with the kind int no whole one."""
    fits = _is_number(value) and (kind is float or isinstance(value, int))
    if not fits or not least <= value <= most:
        expected = "a whole number" if kind is int else "a number"
        raise InputError(f"{name} is {value!r}; it must be {expected} from {least:g} to {most:g}.")


def spread(name: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """A setting's whole number for each of `count` dimensions."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    if len(values) != count:
        raise ValueError(f"{name}={value!r} has {len(values)} numbers and must have one, or {count}, one for each dimension.")
    return tuple(whole(name, each, least) for each in values)


def divisor(name: str, value: Any, wholes: dict[str, int]) -> None:
    """Refuse what is no whole number that divides these, which are given by name."""
    refuse_tensor(name, value)
    if not isinstance(value, int) or value < 1 or any(number % value for number in wholes.values()):
        texts = [f"{each} (={number})" for each, number in wholes.items()]
        raise ValueError(
            f"{name} (={value}) must divide {' and '.join(texts)}. Choose a divisor of {math.gcd(*wholes.values())}."
        )


def refuse_tensor(name: str, value: Any) -> None:
    """Refuse a tensor, which was computed from the sample of the dry run and would be kept for all other inputs."""
    if any(isinstance(each, Tensor) for each in (value if isinstance(value, (tuple, list)) else [value])):
        same = " TensorFlow's rule is padding='same', which is computed from every input's size." if name == "padding" else ""
        raise TypeError(
            f"{name}={value!r} is a tensor, computed from one input, and a layer keeps its settings for all inputs. It must be "
            f"a plain number, or a tuple of such.{same}"
        )


def _number(name: str, value: Any, fits: bool, allowed: str) -> None:
    refuse_tensor(name, value)
    if not _is_number(value):
        raise TypeError(f"{name}={value!r} must be a number {allowed}, and is a {type(value).__name__}.")
    if not fits:
        raise ValueError(f"{name}={value!r} must be {allowed}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
