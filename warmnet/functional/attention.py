"""Attention: every position of a sequence gathers from all others what it asks for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .. import checks
from ..engine.layers import layer
from ..engine.messages import setting_names

setting_names["multi_head_attention"] = "channels", "heads", "channels_y", "dropout", "bias"


def multi_head_attention(
    x: Tensor, heads: int, y: Tensor | None = None, *, mask: Tensor | None = None, padding_mask: Tensor | None = None,
    causal: bool = False, dropout: float = 0.0, bias: bool = True, name: str | None = None, share: bool = False,
) -> Tensor:  # fmt: skip
    """Attention of the positions of `x` to those of `y`: (B, C, L), (B, C2, L2) -> (B, C, L). Default: to those of `x`.

    - `heads`: how many parts the channels have, each of which attends by itself. They must divide C.
    - `mask`: (L, L2), bool: where it is True nothing is seen; or numbers that are added to the scores.
    - `padding_mask`: (B, L2), bool: True where a sequence of `y` has ended. `causal`: no position sees a later one.
    - `dropout`: the rate at which positions are not seen in training. `bias`: as in `torch.nn.MultiheadAttention`.

    >>> import torch, warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return W.multi_head_attention(x, heads=4)
    >>> warmnet.up(Net(), [1, 16, 10])(torch.rand(1, 16, 10)).shape
    torch.Size([1, 16, 10])
    """
    for letter, each in {"x": x, "y": x if y is None else y}.items():
        if not isinstance(each, Tensor) or each.ndim != 3 or each.shape[0] != x.shape[0]:
            shape = tuple(each.shape) if isinstance(each, Tensor) else repr(each)
            raise ValueError(
                f"W.multi_head_attention takes sequences (B, C, L), and {letter} is {shape}. Maps become sequences by "
                f"x.flatten(2)."
            )
    queries = x.mT
    keys = queries if y is None else y.mT
    settings = x.shape[1], heads, keys.shape[2], dropout, bias
    module = layer("multi_head_attention", settings, name, share, _new_attention)
    if causal and mask is not None:
        raise ValueError("Give mask= or causal=True, not both. The causal mask is torch.ones(L, L2, dtype=bool).triu(1).")
    if causal:
        mask = torch.ones(queries.shape[1], keys.shape[1], dtype=torch.bool, device=x.device).triu(1)
    out, _ = module(queries, keys, keys, key_padding_mask=padding_mask, need_weights=False, attn_mask=mask)
    return out.mT


def _new_attention(channels: int, heads: int, channels_y: int, dropout: float, bias: bool) -> nn.Module:
    checks.divisor("heads", heads, {"the channels": channels})
    checks.share("dropout", dropout)
    return nn.MultiheadAttention(channels, heads, dropout, bias, kdim=channels_y, vdim=channels_y, batch_first=True)
