"""The Vision Transformer, top to bottom: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv:2010.11929.

Images are (B, C, H, W), sequences of tokens (B, C, L).
"""

import torch
from torch.nn.init import normal_

import warmnet
import warmnet.functional as W
from warmnet import block

VARIANTS = {  # channels, blocks, heads; base is the paper's, tiny DeiT's, arXiv:2012.12877
    "tiny": (192, 12, 3),
    "base": (768, 12, 12),
}


@block
def encoder_block(x, heads):
    """(B, C, L) -> (B, C, L): attention among tokens, then two linear layers for each token, each added to what it saw."""
    size = x.shape[1]
    y = W.layer_norm(x, eps=1e-6, name="attention_norm")
    x = x + W.multi_head_attention(y, heads, name="attention")
    y = W.layer_norm(x, eps=1e-6, name="norm")
    y = W.linear(y, 4 * size, activation="gelu", name="expand")
    return x + W.linear(y, size, name="project")


def vit(x, variant="tiny", num_classes=1000, patch=16):
    """(B, C, H, W) -> (B, num_classes)."""
    size, depth, heads = VARIANTS[variant]
    x = W.conv(x, size, patch, stride=patch, name="patches").flatten(2)
    token = W.parameter((1, size, 1), (normal_, {"std": 1e-6}), name="class_token")
    x = torch.cat([token.expand(x.shape[0], -1, -1), x], 2)
    x = x + W.parameter((1, *x.shape[1:]), (normal_, {"std": 0.02}), name="position")
    for _ in range(depth):
        x = encoder_block(x, heads)
    x = W.layer_norm(x, eps=1e-6, name="norm")
    return W.linear(x[:, :, 0], num_classes, name="classifier")


class VisionTransformer(warmnet.WarmModule):
    """(B, 3, resolution, resolution) -> (B, num_classes); `options` are those of `vit`."""

    def __init__(self, variant="tiny", resolution=224, **options):
        super().__init__()
        self.variant, self.options = variant, options
        warmnet.up(self, [1, 3, resolution, resolution])

    def forward(self, x):
        return vit(x, self.variant, **self.options)
