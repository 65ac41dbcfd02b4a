"""What has no function of its own: bare parameters, and layers of any class."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from .. import checks
from ..engine.layers import layer
from ..engine.layers import parameter as find_parameter
from ..engine.messages import Arguments, setting_names
from ..engine.pywarm import initialize_, snake_case

setting_names["parameter"] = ("shape",)


def parameter(shape: int | tuple[int, ...], init: Any, *, name: str | None = None, share: bool = False) -> Tensor:
    """A parameter of the module being called, with no layer around it: its `shape`.

    - `shape`: a number for a vector, or a tuple. `init`: initial values, as `init_weight` in `conv`.

    >>> import warmnet, warmnet.functional as W
    >>> class Scaled(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return x * W.parameter(x.shape[1], 'ones_', name='scale')
    >>> dict(warmnet.up(Scaled(), [1, 3]).state_dict())
    {'scale': tensor([1., 1., 1.])}
    """
    if init is None:
        raise ValueError("W.parameter needs initial values: W.parameter(shape, 'zeros_'), or a function that fills the tensor.")
    sides = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    return find_parameter(sides, name, share, functools.partial(initialize_, spec=init))


def module(cls: type[nn.Module], *args: Any, name: str | None = None, share: bool = False, **kw: Any) -> Any:
    """The layer of any class that the dry run makes by `cls(*args, **kw)`. It is a module, to be called: `W.module(...)(x)`.

    - `cls`: torch's, your own, or another library's; also a network, whose values then depend on this one's seed.
    - `args`, `kw`: the class's settings, the same at every call: numbers, texts, functions, and no tensors or modules.

    >>> import torch, warmnet, warmnet.functional as W
    >>> class Doubled(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         x = W.conv(x, 12, 3, padding=1)
    ...         return W.module(torch.nn.PixelShuffle, 2)(x)
    >>> warmnet.up(Doubled(), [1, 3, 8, 8])
    Doubled(
      (conv_1): Conv2d(3, 12, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (pixel_shuffle_1): PixelShuffle(upscale_factor=2)
    )
    """
    args, kw = tree_map(lambda value: value, (args, kw))  # copies of lists, which the user may change
    return layer(_kind(cls), Arguments(args, kw, cls), name, share, _new_module)


def _kind(cls: Any) -> str:
    """What layers of a class are called."""
    if not isinstance(cls, type) or not issubclass(cls, nn.Module):
        raise TypeError(
            f"W.module takes a class of modules and its settings, such as W.module(nn.PixelShuffle, 2)(x), and is given a "
            f"{type(cls).__name__}."
        )
    return snake_case(cls.__name__)


def _new_module(args: tuple[Any, ...], kw: dict[str, Any], cls: type[nn.Module]) -> nn.Module:
    for key, value in Arguments(args, kw, cls).named().items():
        checks.refuse_tensor(str(key), value)
        leaves = tree_leaves(value)
        if any(isinstance(leaf, np.ndarray) for leaf in leaves):
            raise TypeError(
                f"W.module({cls.__name__}, ...) is given an array, {key}. Give its numbers as a list: {key}.tolist()."
            )
        if any(isinstance(leaf, nn.Module) for leaf in leaves):
            raise TypeError(
                f"W.module({cls.__name__}, ...) is given a module, which every call of the forward would make anew. Write a "
                f"class whose __init__ makes it, and pass that class."
            )
    return cls(*args, **kw)
