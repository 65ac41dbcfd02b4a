"""Random numbers of one's own: torch's functions draw from generators that nobody else has."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode


class OwnDraws(TorchDispatchMode):
    """Within it, in this thread, whatever draws by torch draws from its generators, and torch's own stay as they are.

    It is entered for this thread alone: `TorchDispatchMode` would also set flags that all threads read.
    """

    def __enter__(self) -> OwnDraws:
        _push_mode(self)
        return self

    def __exit__(self, *error: object) -> None:
        _pop_mode()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # which would import torch's compiler, for a second

    def __init__(self, seed: int):
        super().__init__()
        self.operations = 0  # of torch's so far
        self.restart(seed)

    def restart(self, seed: int, skip: bool = False) -> None:
        """Draw the numbers of that seed from here on; or none, and leave tensors that are to be filled as they are."""
        self._seed, self._skips = seed, skip
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kw: Any = None) -> Any:
        kw = kw or {}
        self.operations += 1
        drawing = _with_generator(function)
        if drawing is None and torch.Tag.nondeterministic_seeded in function.tags:  # such as native_dropout
            with torch.random.fork_rng():
                return function(*args, **kw)
        if drawing is None or kw.get("generator") is not None:
            return function(*args, **kw)
        given = args[0].device if args and isinstance(args[0], torch.Tensor) else kw.get("device")
        device = torch.device("cpu" if given is None else given)
        if (self._skips or device.type == "meta") and function._schema.is_mutable:
            return args[0]
        if device.type == "meta":  # which draws nothing
            return function(*args, **kw)
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return drawing(*args, **{**kw, "generator": self._generators[device]})


@functools.cache
def _with_generator(function: Any) -> Callable[..., Any] | None:
    """The form of a torch function that takes a generator; None if it draws nothing."""
    if torch.Tag.nondeterministic_seeded not in function.tags:
        return None
    names = {argument.name for argument in function._schema.arguments}
    if "generator" in names:
        return function
    for overload in function.overloadpacket.overloads():
        form = getattr(function.overloadpacket, overload)
        if {argument.name for argument in form._schema.arguments} == names | {"generator"}:
            return form
    return None
