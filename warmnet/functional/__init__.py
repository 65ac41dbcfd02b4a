"""W: the layers, as functions from `x` to `x`. PyWarm's own under their names, made honest, and those that it lacks.

A built layer is torch's own (`type(layer) is torch.nn.Conv2d`), but for a convolution whose SAME padding is one-sided, which
torch has not. All layers take `name=`, and but for the pair `share=`, which lets a name be used more than once in a forward;
most take `activation=`: a function, its name in `torch.nn.functional`, or (function, keywords). An unknown keyword is an error.
`parameter` is a parameter with no layer around it, and `module` makes a layer of any other class.
"""

from warm.functional import identity

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


def __dir__() -> list[str]:
    return __all__
