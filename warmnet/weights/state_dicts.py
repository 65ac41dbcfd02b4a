"""The tensors of a network in whatever they were saved with: under any keys, beside other networks and optimizers."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from .errors import WeightsError

AVERAGE = re.compile(r"(^|[._])(ema|swa|averaged?|shadow)([._]|$)", re.IGNORECASE)
OPTIMIZER = re.compile(r"(^|[._])optim(izer)?s?([._]|$)", re.IGNORECASE)
DEEPEST = 32  # levels of mappings and lists that are looked into


class StateDict(NamedTuple):
    """A mapping with tensors: the keys that lead to it, and the architecture that is named on the way."""

    keys: tuple[Any, ...]
    tensors: dict[str, Tensor]
    architecture: str

    def __str__(self) -> str:
        return repr(self.path) if self.keys else "no key"

    @property
    def path(self) -> str:
        return ".".join(map(str, self.keys))

    @property
    def has(self) -> int:
        """How surely it is a network: 4 with kernels of convolutions, 2 with matrices, 0 with vectors and numbers alone."""
        most = max(tensor.ndim for tensor in self.tensors.values())
        return 4 if most >= 4 else 2 if most >= 2 else 0


def find_state_dict(content: Any, source: str) -> tuple[StateDict, tuple[str, ...]]:
    """The one network in `content`, and a note on where it was; of several the average, if one is.

    Raises a WeightsError that says what there is if there is none, or cannot be chosen.
    """
    found = [*_state_dicts(content)]
    if not found:
        raise WeightsError(f"{source} holds no tensors by name. {_describe(content)}")
    most = max(each.has for each in found)
    networks = [each for each in found if each.has == most]
    averages = [each for each in networks if AVERAGE.search(each.path)]
    if len(networks) == 1:
        chosen = networks[0]
    elif len(averages) == 1:
        chosen = averages[0]
    else:
        last = "".join(f"[{key!r}]" for key in networks[-1].keys)
        raise WeightsError(
            f"{source} holds {len(networks)} networks, under {', '.join(map(str, networks[:6]))}. Pass the tensors of one, "
            f"such as torch.load(path){last}."
        )
    if not chosen.keys:
        return chosen, ()
    note = f"{chosen} was taken"
    others = [str(each) for each in networks if each is not chosen]
    return chosen, (f"{note}, and not {', '.join(others)}" if others else note,)


def _state_dicts(content: Any) -> Iterator[StateDict]:
    """All mappings with tensors by name in it, but for those of optimizers. What contains itself is looked into once."""
    left: deque[tuple[tuple[Any, ...], Any, str]] = deque([((), content, "")])
    seen: dict[int, Any] = {}  # by their id, which nothing else has while they are here
    while left:
        keys, value, architecture = left.popleft()
        if isinstance(value, nn.Module):
            value = value.state_dict()
        if id(value) in seen or len(keys) > DEEPEST or _is_optimizer(keys, value):
            continue
        seen[id(value)] = value
        if isinstance(value, Mapping):
            items = [*value.items()]
            if isinstance(value.get("arch"), str):
                architecture = value["arch"]
            tensors = {name: each.detach() for name, each in items if isinstance(each, Tensor)}
            if any(isinstance(name, str) for name in tensors):
                yield StateDict(keys, tensors, architecture)
        else:
            items = [*enumerate(value)] if isinstance(value, (list, tuple)) else []
        left += [
            ((*keys, key), each, architecture) for key, each in items if isinstance(each, (Mapping, list, tuple, nn.Module))
        ]


def _is_optimizer(keys: tuple[Any, ...], value: Any) -> bool:
    """Whether it is the state of an optimizer, whose tensors may have the names of a network's."""
    if isinstance(value, Mapping) and "param_groups" in value:
        return True
    return bool(keys) and OPTIMIZER.search(str(keys[-1])) is not None


def _describe(content: Any) -> str:
    """What there is instead."""
    if isinstance(content, Mapping):
        return f"It has {', '.join(f'{key} ({type(value).__name__})' for key, value in [*content.items()][:5]) or 'nothing'}."
    name_them = "Pass them as a state dict: {name: tensor, ...}."
    if isinstance(content, Tensor):
        return f"It is a mere tensor {tuple(content.shape)}. {name_them}"
    if isinstance(content, (list, tuple)):
        return f"It is a {type(content).__name__} of {len(content)}. {name_them}"
    return f"It is of type {type(content).__name__}, and no state dict."
