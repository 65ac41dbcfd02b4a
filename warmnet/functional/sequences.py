"""Layers of sequences: embeddings, recurrent networks and transformers. Sequences are (B, C, L)."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from warm import functional as pywarm

from .. import checks
from ..engine.layers import layer
from ..engine.messages import setting_names
from ..engine.pywarm import permuted
from .specs import activated

setting_names["embedding"] = "vocabulary", "size"


def embedding(
    x: Tensor, size: int, vocabulary: int | None = None, *,
    activation: Any = None, name: str | None = None, share: bool = False, **kw: Any,
) -> Tensor:  # fmt: skip
    """Vectors for indices below `vocabulary`: (*) -> (*, size).

    - `size`: of a vector. `vocabulary`: the number of different indices; it is needed. Other keywords are `nn.Embedding`'s.

    >>> import torch, warmnet, warmnet.functional as W
    >>> class Words(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return W.embedding(x, 4, vocabulary=100)
    >>> words = warmnet.up(Words(), torch.tensor([[3, 7]]))
    >>> words(torch.tensor([[1, 2, 99]])).shape
    torch.Size([1, 3, 4])
    """
    if vocabulary is None:
        raise ValueError("W.embedding needs vocabulary=, the number of different indices: one sample does not show them all.")
    kw = {key: value for key, value in kw.items() if key not in ("in_shape", "out_shape", "base_shape")}
    settings = checks.whole("vocabulary", vocabulary), size, *sorted(kw.items())
    return activated(layer("embedding", settings, name, share, _new_embedding)(x.long()), activation)


def lstm(
    x: Any, size: int, init_weight_hh: Any = "orthogonal_", init_weight_ih: Any = None, init_bias_hh: Any = None,
    init_bias_ih: Any = None, bias: bool = True, num_layers: int = 1, **kw: Any,
) -> Any:  # fmt: skip
    """PyWarm's `lstm`: (B, C, L), or it and (h, c) -> (B, size, L). With `tuple_out=True` it gives that and the last (h, c).

    - `size`: of the state. `init_weight_hh`, ..., `bias`: for every layer and direction.
    - `num_layers`: each of which has the output of the one before as its input.
    - Other keywords are `nn.LSTM`'s.

    >>> import torch, warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return W.lstm(x, 8)
    >>> warmnet.up(Net(), [1, 16, 10])(torch.rand(1, 16, 10)).shape
    torch.Size([1, 8, 10])
    """
    _refuse_batch_first(kw)
    specs = {"weight_hh": init_weight_hh, "weight_ih": init_weight_ih, "bias_hh": init_bias_hh, "bias_ih": init_bias_ih}
    directions = ["", "_reverse"] if kw.get("bidirectional") else [""]
    ends = [f"l{i}{direction}" for i in range(num_layers) for direction in directions]
    with_values = {key: spec for key, spec in specs.items() if bias or "bias" not in key}
    kw["initialization"] = {f"{key}_{end}": spec for key, spec in with_values.items() for end in ends}
    kw["base_kw"] = {"hidden_size": size, "num_layers": num_layers, "bias": bias}
    return pywarm.lstm(x, size, bias=bias, num_layers=num_layers, **kw)


def gru(*args: Any, **kw: Any) -> Any:
    """`lstm` with `nn.GRU`, whose state is `h` alone: (B, C, L), or it and h -> (B, size, L).

    - `size`: of the state. All else is as in `lstm`.

    >>> import torch, warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return W.gru(x, 8)
    >>> warmnet.up(Net(), [1, 16, 10])(torch.rand(1, 16, 10)).shape
    torch.Size([1, 8, 10])
    """
    return lstm(*args, base_name="gru", base_class=nn.GRU, **kw)


def transformer(
    x: Tensor, y: Tensor | None = None, num_encoder: int = 6, num_decoder: int = 6, num_head: int = 8, mask: Any = None,
    causal: bool = False, *, in_shape: str = "BCD", **kw: Any,
) -> Tensor:  # fmt: skip
    """PyWarm's `transformer`, its causal masks on the device of `x`: (B, C, L), (B, C, L2) -> the shape of `y`, or of `x`.

    - `num_encoder`, `num_decoder`: layers. `num_head`: heads of attention. `mask`: `nn.Transformer`'s masks by their names.
    - `causal`: no position sees a later one. `in_shape='BDC'` for (B, L, C). Other keywords are `nn.Transformer`'s.

    >>> import torch, warmnet, warmnet.functional as W
    >>> class Net(warmnet.WarmModule):
    ...     def forward(self, x):
    ...         return W.transformer(x, num_encoder=1, num_decoder=1, num_head=4)
    >>> warmnet.up(Net(), [1, 16, 10])(torch.rand(1, 16, 10)).shape
    torch.Size([1, 16, 10])
    """
    _refuse_batch_first(kw)
    mask = {"src_is_causal": False, "tgt_is_causal": False, **(mask or {})}  # torch would look at the masks, and not compile
    if causal:
        masked = {"src_mask": x, "tgt_mask": x, "memory_mask": x} if y is None else {"src_mask": x, "tgt_mask": y}
        for key, z in masked.items():
            length = z.shape[in_shape.find("D")]
            mask[key] = mask.get(key, 0.0) + torch.full((length, length), -torch.inf, device=x.device, dtype=x.dtype).triu(1)
    return pywarm.transformer(x, y, num_encoder, num_decoder, num_head, mask, in_shape=in_shape, base_class=Transformer, **kw)


def permute(x: Tensor, in_shape: str = "BCD", out_shape: Any = "BCD") -> Tensor:
    """`x` with its dimensions, named by letters as in `in_shape`, in the order of `out_shape`.

    >>> import torch, warmnet.functional as W
    >>> W.permute(torch.rand(1, 16, 10), 'BCD', 'BDC').shape
    torch.Size([1, 10, 16])
    """
    return permuted(x, in_shape, out_shape)


def _new_embedding(vocabulary: int, size: int, *settings: tuple[str, Any]) -> nn.Module:
    return nn.Embedding(vocabulary, size, **dict(settings))


def _refuse_batch_first(kw: dict[str, Any]) -> None:
    if "batch_first" in kw:
        raise TypeError(
            "batch_first is torch's word for (B, L, C). Here sequences are (B, C, L); say in_shape='BDC' for others."
        )


class Transformer(nn.Transformer):
    """torch's, which without a decoder gives what its encoder saw."""

    def __init__(self, *args: Any, custom_decoder: Any = None, **kw: Any):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "enable_nested_tensor")
            super().__init__(*args, custom_decoder=custom_decoder and _memory, **kw)  # type: ignore[misc]


def _memory(y: Tensor, memory: Tensor, **kw: Any) -> Tensor:
    return memory
