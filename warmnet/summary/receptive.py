"""Receptive fields: how much of the input a pixel of each map can depend on, followed through a forward on 'meta'."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..errors import InputError
from .following import MapFollower
from .measuring import Network, on_meta
from .meta_shapes import MetaShapes


def receptive_fields(model: Network, input: Any = None) -> dict[str, tuple[int, ...]]:
    """Path of each block and layer that outputs maps -> (height, width) of its receptive field, in pixels of the input.

    That is how much of the input a pixel of the output can depend on, far from the edges; it may be more than the input has.
    Gates and the statistics of normalization are left out: by their means, every pixel depends on all. Of a module that is
    called several times the last call counts. Nothing is computed or allocated, and the network stays as it is.

    - `model`, `input`: as in `tabulate`; the paths are those of its table, and '' is the network itself.

    Raises InputError for a forward that outputs no maps, or does with one what is not followed here, such as to enlarge it, to
    write over a part of it, or to make a list of its pixels and of that a map again.

    >>> import warmnet
    >>> fields = warmnet.receptive_fields('b0')
    >>> fields['stem'], fields['stage_2'], fields['head']
    ((3, 3), (19, 19), (851, 851))
    """
    with MetaShapes():
        network, inputs = on_meta(model, input)
    maps, fields = MapFollower(inputs), dict[nn.Module, tuple[int, ...]]()
    ndims = {x.ndim for x in tree_leaves(inputs)}

    def enter(path: str, module: nn.Module, args: Any) -> None:
        maps.inside.append(path)

    def note(module: nn.Module, args: Any, y: Any) -> None:
        axes = maps.axes_of(y) if isinstance(y, Tensor) else []
        if axes and len(axes) == y.ndim - 2:
            fields[module] = tuple(axis.last - axis.first + 1 for axis in axes)
        elif isinstance(y, Tensor) and y.ndim in ndims and maps.has_lost(y):
            raise maps.refusal("has mixed up the pixels of the maps that are output")
        maps.inside.pop()

    for path, module in network.eval().named_modules():
        module.register_forward_pre_hook(partial(enter, path))
        module.register_forward_hook(note)
    with torch.no_grad(), torch.device("meta"), maps:
        network(*inputs)
    if not fields:
        raise InputError(f"{network._get_name()} outputs no maps, (B, C, H, W), which receptive fields are of.")
    return {path: fields[module] for path, module in network.named_modules() if module in fields}
