"""ConvNeXt, top to bottom: Liu et al., "A ConvNet for the 2020s", CVPR 2022, arXiv:2201.03545. Shapes are (B, C, H, W)."""

from torch.nn.init import constant_

import warmnet
import warmnet.functional as W
from warmnet import block

VARIANTS = {  # channels and blocks of each stage; tiny is the paper's, atto timm's
    "atto": ((40, 80, 160, 320), (2, 2, 6, 2)),
    "tiny": ((96, 192, 384, 768), (3, 3, 9, 3)),
}


@block
def convnext_block(x, drop=0.0):
    """(B, C, H, W) -> (B, C, H, W): a wide depthwise convolution and an inverted bottleneck, at a scale that is learned."""
    size = x.shape[1]
    y = W.conv(x, size, 7, padding=3, groups=size, name="depthwise")
    y = W.layer_norm(y, eps=1e-6, name="norm")
    y = W.conv(y, 4 * size, 1, activation="gelu", name="expand")
    y = W.conv(y, size, 1, name="project")
    y = y * W.parameter((size, 1, 1), (constant_, {"val": 1e-6}), name="scale")
    return x + W.drop_connect(y, drop, name="drop_connect")


@block
def stage(x, size, drops):
    """(B, C, H, W) -> (B, size, H/2, W/2), or (B, C, H, W) if the size is the same: a block for each of `drops`."""
    if x.shape[1] != size:
        x = W.layer_norm(x, eps=1e-6, name="downsample_norm")
        x = W.conv(x, size, 2, stride=2, name="downsample")
    for drop in drops:
        x = convnext_block(x, drop)
    return x


def convnext(x, variant="atto", num_classes=1000, drop_connect=0.0):
    """(B, C, H, W) -> (B, num_classes)."""
    sizes, repeats = VARIANTS[variant]
    x = W.conv(x, sizes[0], 4, stride=4, name="stem")
    x = W.layer_norm(x, eps=1e-6, name="stem_norm")
    done, last = 0, sum(repeats) - 1
    for size, repeat in zip(sizes, repeats):
        x = stage(x, size, [drop_connect * i / last for i in range(done, done + repeat)])
        done += repeat
    x = W.layer_norm(x.mean((2, 3)), eps=1e-6, name="head_norm")
    return W.linear(x, num_classes, name="classifier")


class ConvNeXt(warmnet.WarmModule):
    """(B, 3, H, W) -> (B, num_classes); `options` are those of `convnext`."""

    def __init__(self, variant="atto", **options):
        super().__init__()
        self.variant, self.options = variant, options
        warmnet.up(self, [1, 3, 64, 64])

    def forward(self, x):
        return convnext(x, self.variant, **self.options)
