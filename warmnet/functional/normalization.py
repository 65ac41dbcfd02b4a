"""Normalization: over a batch, or over dimensions of each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .. import checks
from ..engine.layers import layer
from ..engine.messages import setting_names
from ..engine.stand_ins import may_stand_in, register
from ..kernels import normalization as kernels
from ..kernels.normalization import Normalization
from .specs import Size, activated, as_function

NORMALIZATIONS = nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm

setting_names["batch_norm"] = "eps", "momentum", "affine", "track_running_stats", "ndim"
setting_names["group_norm"] = "channels", "groups", "eps", "affine"
setting_names["layer_norm"] = "shape", "eps", "elementwise_affine", "bias"


def batch_norm(
    x: Tensor, *, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Batch normalization over all but dimension 1: (B, C, *) -> (B, C, *).

    - `eps`: added to the variance. `momentum`: the share of the new batch in the running statistics, as in torch; None for the
      plain average of all batches.
    - `affine`: with a scale and a shift for each channel that are learned. `track_running_stats`: with running statistics.

    >>> import warmnet, warmnet.functional as W
    >>> warmnet.tabulate(lambda x: W.batch_norm(x, activation='relu'), (1, 16, 7, 7)).rows[0].shape
    (1, 16, 7, 7)
    """
    settings = eps, momentum, affine, track_running_stats, x.ndim
    norm = layer("batch_norm", settings, name, share, new_batch_norm, x.shape, None)
    normalization = for_kernel(norm)
    if normalization is None:
        return activated(norm(x), activation)
    return kernels.batch_norm(x, normalization, as_function(activation))


def layer_norm(
    x: Tensor, dim: Size = 1, *, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
    activation: Any = None, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Layer normalization over `dim`, one dimension or several together: any shape -> the same.

    - `dim`: default: the channels, as PyWarm has them. `eps`, `elementwise_affine`, `bias`: as in `torch.nn.LayerNorm`.

    >>> import torch, warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return W.layer_norm(x)
    >>> warmnet.up(Net(), [1, 16, 7, 7])(torch.rand(1, 16, 7, 7)).shape
    torch.Size([1, 16, 7, 7])
    """
    dims = tuple(d % x.ndim for d in ((dim,) if isinstance(dim, int) else dim))
    ends = tuple(range(-len(dims), 0))
    y = x.movedim(dims, ends)
    settings = tuple(y.shape[-len(dims) :]), eps, elementwise_affine, bias
    module = layer("layer_norm", settings, name, share, nn.LayerNorm)
    return activated(module(y), activation).movedim(ends, dims)


def group_norm(
    x: Tensor, groups: int, *, eps: float = 1e-5, affine: bool = True, activation: Any = None, name: str | None = None,
    share: bool = False,
) -> Tensor:  # fmt: skip
    """Normalization over each sample's groups of channels: (B, C, *) -> (B, C, *).

    - `groups`: how many groups the channels have; 1 normalizes a sample as a whole, C each channel by itself.
    - `eps`: added to the variance. `affine`: with a scale and a shift for each channel that are learned.

    >>> import warmnet, warmnet.functional as W
    >>> warmnet.tabulate(lambda x: W.group_norm(x, groups=4), (1, 16, 7, 7)).rows[0].shape
    (1, 16, 7, 7)
    """
    if x.ndim < 2:
        raise ValueError(f"W.group_norm takes (B, C, *), not shape {tuple(x.shape)}.")
    settings = x.shape[1], groups, eps, affine
    return activated(layer("group_norm", settings, name, share, _new_group_norm)(x), activation)


def _new_group_norm(channels: int, groups: int, eps: float, affine: bool) -> nn.Module:
    checks.divisor("groups", groups, {"the input channels": channels})
    return nn.GroupNorm(groups, channels, eps, affine)


def for_kernel(norm: Any) -> Normalization | None:
    """The tensors and settings by which a kernel computes what the layer does; None where it has to be called."""
    if not may_stand_in(norm, _BatchNorm):
        return None
    if norm.training and (norm.momentum is None or not norm.track_running_stats or norm.num_batches_tracked is None):
        return None
    tensors, buffers = norm._parameters, norm._buffers
    mean, var, count = buffers.get("running_mean"), buffers.get("running_var"), buffers.get("num_batches_tracked")
    if mean is None or var is None:
        return None
    return tensors["weight"], tensors["bias"], mean, var, count, norm.training, norm.momentum, norm.eps


def new_batch_norm(shape: Sequence[int], size: int | None, *settings: Any) -> nn.Module:
    """A batch normalization of inputs of that shape, or of so many channels."""
    if not 2 <= len(shape) <= 5:
        raise ValueError(f"W.batch_norm takes (B, C, *) with 0 to 3 dimensions in *, not shape {tuple(shape)}.")
    kind = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(shape) - 2]
    return kind(shape[1] if size is None else size, *settings[:-1])


register(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
