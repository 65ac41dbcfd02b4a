"""W: the layers, as functions from `x` to `x`. PyWarm's own under their names, made honest, and those that it lacks.

A built layer is torch's own (`type(layer) is torch.nn.Conv2d`), but for a convolution whose SAME padding is one-sided, which
torch has not. All layers take `name=`, and but for the pair `share=`, which lets a name be used more than once in a forward;
most take `activation=`: a function, its name in `torch.nn.functional`, or (function, keywords). An unknown keyword is an error.
`parameter` is a parameter with no layer around it, and `module` makes a layer of any other class.
"""

from inspect import signature
from typing import TYPE_CHECKING, Any

import torch.nn.functional
from warm.functional import identity

from ..spelling import nearest
from .attention import multi_head_attention
from .convolution import SameConv1d as SameConv1d
from .convolution import SameConv2d as SameConv2d
from .convolution import SameConv3d as SameConv3d
from .convolution import conv, conv_batch_norm
from .dropping import DropConnect as DropConnect
from .dropping import drop_connect, dropout
from .linear_maps import linear
from .modules import module, parameter
from .normalization import batch_norm, group_norm, layer_norm
from .pooling import global_average_pool
from .sequences import embedding, gru, lstm, permute, transformer
from .transposed_convolution import conv_transpose

__all__ = [
    "batch_norm", "conv", "conv_batch_norm", "conv_transpose", "drop_connect", "dropout", "embedding", "global_average_pool",
    "group_norm", "gru", "identity", "layer_norm", "linear", "lstm", "module", "multi_head_attention", "parameter", "permute",
    "transformer",
]  # fmt: skip

_SHARED = {  # arguments that mean the same in every layer
    "init_weight": "initial values: a name in `torch.nn.init`, a function that fills the tensor, or (function,\n"
    "      keywords). Default: torch's",
    "init_bias": "as `init_weight`",
    "activation": "what the output goes through: a function, its name in `torch.nn.functional`, or (function,\n      keywords)",
    "name": "what the layer is called in its module. Default: its kind and its number there, as conv_1",
    "share": "True where this name is used again on purpose: the calls are one layer then",
}
_TAKING_THE_LAST_THREE = lstm, gru, transformer  # among their other keywords


def _describe(layer: Any) -> None:
    """Complete a layer's docstring, before its example, with the arguments that mean the same in every layer."""
    names = [*signature(layer).parameters]
    if layer in _TAKING_THE_LAST_THREE:
        names += ["activation", "name", "share"]
    lines = [f"    - `{key}`: {text}." for key, text in _SHARED.items() if key in names]
    if not lines:
        return
    text, example, rest = layer.__doc__.rstrip().partition("\n\n    >>>")
    gap = "\n" if "\n    - " in text else "\n\n"
    layer.__doc__ = text + gap + "\n".join(lines) + example + rest + "\n    "


for _name in __all__:
    if _name != "identity":  # which is PyWarm's own
        _describe(globals()[_name])


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # for which every name would be there

    def __getattr__(name: str) -> Any:
        """Raise AttributeError for a layer that is not here, with the one that was meant, or torch's function."""
        near = nearest(name, __all__)
        cure = f" Did you mean W.{near}?" if near else ""
        if not near and hasattr(torch.nn.functional, name):
            cure = f" It has no parameters: take torch.nn.functional.{name}."
        raise AttributeError(f"W has no layer {name!r}.{cure}", name=name)
