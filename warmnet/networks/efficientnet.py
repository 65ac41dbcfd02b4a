"""EfficientNet, top to bottom: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019, arXiv:1905.11946; and EfficientNet-Lite. Where the paper and the official code (tensorflow/tpu,
models/official/efficientnet) differ, the code is followed, as its published weights do. Shapes are (B, C, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch.nn.init import normal_, uniform_

from .. import functional as W
from ..engine.block import block
from .classifier import Classifier
from .settings import check_settings, for_variants, total_stride, unknown_variant


class Stage(NamedTuple):
    """A row of `STAGES`: `repeat` blocks of `size` channels, the first with the stride; all sizes those of b0.

    `block`: the function that computes one. None: the network's.
    """

    size: int
    expand: int
    kernel: int
    stride: int
    repeat: int
    block: Callable[..., torch.Tensor] | None = None


class Variant(NamedTuple):
    """How b0 is scaled: channels by `width`, blocks by `depth`; images of `resolution` pixels a side; dropout's rate.

    `options`: pairs, the keywords of `efficientnet` by which it differs from b0 besides, and their values.
    """

    width: float
    depth: float
    resolution: int
    dropout: float
    options: tuple[tuple[str, Any], ...] = ()


STAGES = (  # Table 1 of the paper, strides as in the official code: b0, which all variants scale
    Stage(size=16, expand=1, kernel=3, stride=1, repeat=1),
    Stage(size=24, expand=6, kernel=3, stride=2, repeat=2),
    Stage(size=40, expand=6, kernel=5, stride=2, repeat=2),
    Stage(size=80, expand=6, kernel=3, stride=2, repeat=3),
    Stage(size=112, expand=6, kernel=5, stride=1, repeat=3),
    Stage(size=192, expand=6, kernel=5, stride=2, repeat=4),
    Stage(size=320, expand=6, kernel=3, stride=1, repeat=1),
)

LITE = ("act", F.relu6), ("se_ratio", 0), ("fixed_ends", True)

VARIANTS = {  # efficientnet_params in the official efficientnet_builder.py, and those of lite/efficientnet_lite_builder.py
    "b0": Variant(width=1.0, depth=1.0, resolution=224, dropout=0.2),
    "b1": Variant(width=1.0, depth=1.1, resolution=240, dropout=0.2),
    "b2": Variant(width=1.1, depth=1.2, resolution=260, dropout=0.3),
    "b3": Variant(width=1.2, depth=1.4, resolution=300, dropout=0.3),
    "b4": Variant(width=1.4, depth=1.8, resolution=380, dropout=0.4),
    "b5": Variant(width=1.6, depth=2.2, resolution=456, dropout=0.4),
    "b6": Variant(width=1.8, depth=2.6, resolution=528, dropout=0.5),
    "b7": Variant(width=2.0, depth=3.1, resolution=600, dropout=0.5),
    "b8": Variant(width=2.2, depth=3.6, resolution=672, dropout=0.5),
    "l2": Variant(width=4.3, depth=5.3, resolution=800, dropout=0.5),
    "lite0": Variant(width=1.0, depth=1.0, resolution=224, dropout=0.2, options=LITE),
    "lite1": Variant(width=1.0, depth=1.1, resolution=240, dropout=0.2, options=LITE),
    "lite2": Variant(width=1.1, depth=1.2, resolution=260, dropout=0.3, options=LITE),
    "lite3": Variant(width=1.2, depth=1.4, resolution=280, dropout=0.3, options=LITE),
    "lite4": Variant(width=1.4, depth=1.8, resolution=300, dropout=0.3, options=LITE),
}


def compound(phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15) -> Variant:
    """The variant that compound scaling gives for `phi` (equation 3): about 2 ** phi times the work of b0.

    Depth grows by `alpha`, width by `beta`, resolution by `gamma` for each step of phi, where alpha * beta² * gamma² ≈ 2.

    >>> import warmnet
    >>> warmnet.compound(0) == warmnet.VARIANTS['b0']
    True
    """
    dropout = min(max(0.2 + 0.3 * phi / 7, 0.0), 0.5)  # "from 0.2 for b0 to 0.5 for b7", section 5.2
    return Variant(beta**phi, alpha**phi, 2 * round(224 * gamma**phi / 2), round(dropout, 2))


def find_variant(variant: str | Variant) -> Variant:
    """The variant of that name, or the variant itself."""
    known = VARIANTS.get(variant) if isinstance(variant, str) else variant
    if not isinstance(known, tuple) or len(known) not in (4, 5):  # which files of weights have of a Variant
        raise unknown_variant(variant, VARIANTS, "a Variant")
    return Variant(**check_settings(**Variant(*known)._asdict()))


def round_filters(size: int, width: float) -> int:
    """`size` scaled by `width`, to a multiple of 8 that is not below 90 % of it."""
    rounded = max(8, int(size * width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * size * width else rounded + 8


def round_repeats(repeat: int, depth: float) -> int:
    return math.ceil(repeat * depth)


def fan_out_normal(weight: torch.Tensor, groups: int = 1) -> None:
    """Fill from N(0, 2 / fan_out), the official initialisation. A depthwise kernel's fan_out is k * k."""
    normal_(weight, std=math.sqrt(2 * groups / weight[:, 0].numel()))


@block
def conv_bn_act(x, size, kernel=1, stride=1, groups=1, dilation=1, act=F.silu, padding="same", eps=1e-3, momentum=0.01):
    """(B, C, H, W) -> (B, size, H/stride, W/stride): convolution, batch normalization, activation."""
    return W.conv_batch_norm(
        x, size, kernel, (fan_out_normal, {"groups": groups}), stride=stride, padding=padding, dilation=dilation, groups=groups,
        eps=eps, momentum=momentum, activation=act, names=("conv", "bn"),
    )  # fmt: skip


@block
def squeeze_excitation(x, size, act=F.silu):
    """(B, C, H, W) -> (B, C, H, W): each channel times a gate in 0..1 that sees all channels' means."""
    gate = W.global_average_pool(x)
    gate = W.conv(gate, size, 1, fan_out_normal, "zeros_", activation=act, name="reduce")
    gate = W.conv(gate, x.shape[1], 1, fan_out_normal, "zeros_", activation=torch.sigmoid, name="expand")
    return x * gate


@block
def mb_block(x, size, expand=1, kernel=3, stride=1, dilation=1, se_ratio=0.25, drop=0.0, act=F.silu, **conv):
    """(B, C, H, W) -> (B, size, H/stride, W/stride): the paper's MBConv, an inverted bottleneck with a gate."""
    size_in = x.shape[1]
    size_mid = size_in * expand
    y = conv_bn_act(x, size_mid, act=act, name="expand", **conv) if expand > 1 else x
    y = conv_bn_act(y, size_mid, kernel, stride, groups=size_mid, dilation=dilation, act=act, name="depthwise", **conv)
    if se_ratio:
        y = squeeze_excitation(y, int(size_in * se_ratio) or 1, act, name="squeeze_excitation")
    y = conv_bn_act(y, size, act=None, name="project", **conv)
    if stride == 1 and y.shape[1] == size_in:
        y = x + W.drop_connect(y, drop, name="drop_connect")
    return y


@block
def stage(x, size, expand, kernel, stride, drops, dilations, block=mb_block, **options):
    """(B, C, H, W) -> (B, size, H/stride, W/stride): a block for each of `drops` and `dilations`; the first has the stride."""
    for drop, dilation in zip(drops, dilations):
        x = block(x, size, expand, kernel, stride, dilation, drop=drop, **options)
        stride = 1
    return x


def scaled(stages, width, depth, drop_connect, stride_in, output_stride, block=mb_block, fixed_ends=False):
    """The settings of each `stage` of a variant. Past `output_stride`, dilated kernels take the place of strides.

    `fixed_ends`: the first and the last stage have b0's number of blocks at any depth.
    """
    stages = [Stage(*row) for row in stages]
    fixed = (0, len(stages) - 1) if fixed_ends else ()
    repeats = [row.repeat if n in fixed else round_repeats(row.repeat, depth) for n, row in enumerate(stages)]
    done, reached, dilation = 0, stride_in, 1
    for row, repeat in zip(stages, repeats):
        dilate = row.stride if output_stride and reached * row.stride > output_stride else 1
        yield dict(
            size=round_filters(row.size, width), expand=row.expand, kernel=row.kernel, stride=row.stride // dilate,
            drops=[drop_connect * i / sum(repeats) for i in range(done, done + repeat)],
            dilations=[dilation] + [dilation * dilate] * (repeat - 1), block=row.block or block,
        )  # fmt: skip
        done, reached, dilation = done + repeat, reached * row.stride // dilate, dilation * dilate
    if output_stride not in (None, reached):
        raise ValueError(f"output_stride={output_stride} cannot be made of these strides. They can make {reached}.")


@for_variants(find_variant)
def efficientnet(
    x, variant="b0", num_classes=1000, *, stages=STAGES, stem=32, stem_stride=2, head=1280, fixed_ends=False,
    output_stride=None, dropout=None, drop_connect=0.2, se_ratio=0.25, act=F.silu, block=mb_block, **conv,
):  # fmt: skip
    """(B, C, H, W) -> (B, num_classes), or (B, head) if `num_classes` is 0: the network as a function, for any forward.

    The defaults are b0's. A variant's own options go before them, and what the call gives before these.
    """
    width, depth, _, rate, _ = variant
    ends = 1 if fixed_ends else width
    x = conv_bn_act(x, round_filters(stem, ends), 3, stem_stride, act=act, name="stem", **conv)
    for row in scaled(stages, width, depth, drop_connect, stem_stride, output_stride, block, fixed_ends):
        x = stage(x, **row, se_ratio=se_ratio, act=act, **conv)
    x = conv_bn_act(x, round_filters(head, ends), act=act, name="head", **conv)
    x = W.global_average_pool(x).flatten(1)
    if num_classes:
        bound = num_classes**-0.5
        x = W.dropout(x, rate if dropout is None else dropout, name="dropout")
        x = W.linear(x, num_classes, (uniform_, {"a": -bound, "b": bound}), "zeros_", name="classifier")
    return x


class WarmEfficientNet(Classifier):
    """(B, in_channels, H, W) -> (B, num_classes): EfficientNet of any variant, with random weights.

    - `variant`: a name in `VARIANTS`, such as 'b0', 'lite0', 'v2-s'; or a `Variant`, such as `compound(1.5)`.
    - `num_classes`: 0 for no classifier; the output is then the pooled features.
    - `stages` to `block`: the keywords of `efficientnet`; `padding` to `momentum`: those of `conv_bn_act`. The defaults are
      b0's, and go after the `options` of a variant that has some.
    - `device`: where to build, 'meta' included. Default: torch's default device.
    - `seed`: decides the initial weights. Default: the seed of torch's generator.

    `resolution` is the image size that the variant was made for; any size from `reduction`, the total stride, on will do.

    >>> import torch, warmnet
    >>> model = warmnet.WarmEfficientNet('b0', num_classes=10).eval()
    >>> model(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 10])
    """

    variants: ClassVar = VARIANTS

    def __init__(
        self, variant: str | Variant = "b0", num_classes: int = 1000, in_channels: int = 3, *,
        stages: Sequence[Sequence[Any]] = STAGES, stem: int = 32, stem_stride: int = 2, head: int = 1280,
        fixed_ends: bool = False, output_stride: int | None = None, dropout: float | None = None, drop_connect: float = 0.2,
        se_ratio: float = 0.25, act: Callable[..., torch.Tensor] | str | None = F.silu,
        block: Callable[..., torch.Tensor] = mb_block, padding: Any = "same", eps: float = 1e-3, momentum: float | None = 0.01,
        device: Any = None, seed: int | None = None,
    ):  # fmt: skip
        variant = find_variant(variant)
        options = check_settings(
            stages=stages, stem=stem, stem_stride=stem_stride, head=head, fixed_ends=fixed_ends, output_stride=output_stride,
            dropout=dropout, drop_connect=drop_connect, se_ratio=se_ratio, act=act, block=block, padding=padding, eps=eps,
            momentum=momentum,
        )  # fmt: skip
        super().__init__(variant, num_classes, in_channels, resolution=variant.resolution, **options)
        self.reduction = output_stride or total_stride(self.settings["stages"], self.settings["stem_stride"])
        self.warm_up(device, seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.check_images(x)
        return efficientnet(x, self.variant, self.num_classes, **self.options)
