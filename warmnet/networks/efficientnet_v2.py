"""EfficientNetV2 as rows beside b0's: Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021,
arXiv:2104.00298. Where the paper and the official code (google/automl, efficientnetv2) differ, the code is followed.

What differs from EfficientNet: the first stages' blocks are `fused_mb_block`, and the tables of stages. A variant's resolution
is that of its evaluation; the published weights were trained on smaller images.
"""

from __future__ import annotations

import torch.nn.functional as F

from .. import functional as W
from ..engine.block import block
from .efficientnet import VARIANTS, Stage, Variant, conv_bn_act


@block
def fused_mb_block(x, size, expand=1, kernel=3, stride=1, dilation=1, se_ratio=0, drop=0.0, act=F.silu, **conv):
    """(B, C, H, W) -> (B, size, H/stride, W/stride): Fused-MBConv, one kernel that sees all channels for MBConv's first two.

    It has no gate: `se_ratio`, which is a whole network's setting, is for its other blocks. If it does not expand, it is one
    convolution.
    """
    size_in = x.shape[1]
    if expand > 1:
        y = conv_bn_act(x, size_in * expand, kernel, stride, dilation=dilation, act=act, name="expand", **conv)
        y = conv_bn_act(y, size, act=None, name="project", **conv)
    else:
        y = conv_bn_act(x, size, kernel, stride, dilation=dilation, act=act, name="project", **conv)
    if stride == 1 and y.shape[1] == size_in:
        y = x + W.drop_connect(y, drop, name="drop_connect")
    return y


BASE = (  # v2_base_block in the official effnetv2_configs.py: of v2-b0 to v2-b3, which are scaled as b0 to b3 are
    Stage(size=16, expand=1, kernel=3, stride=1, repeat=1, block=fused_mb_block),
    Stage(size=32, expand=4, kernel=3, stride=2, repeat=2, block=fused_mb_block),
    Stage(size=48, expand=4, kernel=3, stride=2, repeat=2, block=fused_mb_block),
    Stage(size=96, expand=4, kernel=3, stride=2, repeat=3),
    Stage(size=112, expand=6, kernel=3, stride=1, repeat=5),
    Stage(size=192, expand=6, kernel=3, stride=2, repeat=8),
)
BASE_B3 = (BASE[0]._replace(size=13), *BASE[1:])  # 16 channels: V2 rounds 1.2 * 16 to 16, as it has no rule of 90 %

S = (  # Table 4 of the paper
    Stage(size=24, expand=1, kernel=3, stride=1, repeat=2, block=fused_mb_block),
    Stage(size=48, expand=4, kernel=3, stride=2, repeat=4, block=fused_mb_block),
    Stage(size=64, expand=4, kernel=3, stride=2, repeat=4, block=fused_mb_block),
    Stage(size=128, expand=4, kernel=3, stride=2, repeat=6),
    Stage(size=160, expand=6, kernel=3, stride=1, repeat=9),
    Stage(size=256, expand=6, kernel=3, stride=2, repeat=15),
)
M = (  # v2_m_block, v2_l_block and v2_xl_block in the official effnetv2_configs.py
    Stage(size=24, expand=1, kernel=3, stride=1, repeat=3, block=fused_mb_block),
    Stage(size=48, expand=4, kernel=3, stride=2, repeat=5, block=fused_mb_block),
    Stage(size=80, expand=4, kernel=3, stride=2, repeat=5, block=fused_mb_block),
    Stage(size=160, expand=4, kernel=3, stride=2, repeat=7),
    Stage(size=176, expand=6, kernel=3, stride=1, repeat=14),
    Stage(size=304, expand=6, kernel=3, stride=2, repeat=18),
    Stage(size=512, expand=6, kernel=3, stride=1, repeat=5),
)
L = (
    Stage(size=32, expand=1, kernel=3, stride=1, repeat=4, block=fused_mb_block),
    Stage(size=64, expand=4, kernel=3, stride=2, repeat=7, block=fused_mb_block),
    Stage(size=96, expand=4, kernel=3, stride=2, repeat=7, block=fused_mb_block),
    Stage(size=192, expand=4, kernel=3, stride=2, repeat=10),
    Stage(size=224, expand=6, kernel=3, stride=1, repeat=19),
    Stage(size=384, expand=6, kernel=3, stride=2, repeat=25),
    Stage(size=640, expand=6, kernel=3, stride=1, repeat=7),
)
XL = (
    Stage(size=32, expand=1, kernel=3, stride=1, repeat=4, block=fused_mb_block),
    Stage(size=64, expand=4, kernel=3, stride=2, repeat=8, block=fused_mb_block),
    Stage(size=96, expand=4, kernel=3, stride=2, repeat=8, block=fused_mb_block),
    Stage(size=192, expand=4, kernel=3, stride=2, repeat=16),
    Stage(size=256, expand=6, kernel=3, stride=1, repeat=24),
    Stage(size=512, expand=6, kernel=3, stride=2, repeat=32),
    Stage(size=640, expand=6, kernel=3, stride=1, repeat=8),
)


def _row(stages, resolution, dropout, width=1.0, depth=1.0, stem=32):
    """A variant with those stages; `momentum` is that of the official batch normalization, 0.9 of the past."""
    return Variant(width, depth, resolution, dropout, (("stages", stages), ("stem", stem), ("momentum", 0.1)))


VARIANTS |= {  # the table of all variants
    "v2-b0": _row(BASE, 224, 0.2),
    "v2-b1": _row(BASE, 240, 0.2, width=1.0, depth=1.1),
    "v2-b2": _row(BASE, 260, 0.3, width=1.1, depth=1.2),
    "v2-b3": _row(BASE_B3, 300, 0.3, width=1.2, depth=1.4),
    "v2-s": _row(S, 384, 0.2, stem=24),
    "v2-m": _row(M, 480, 0.3, stem=24),
    "v2-l": _row(L, 480, 0.4),
    "v2-xl": _row(XL, 512, 0.4),
}
