"""timm's ConvNeXt and Vision Transformer beside those of `tests/networks`, with the same weights."""

import torch
from alive import fill
from torch import nn

from networks.convnext import ConvNeXt
from networks.vit import VisionTransformer

from .libraries import timm

NETWORKS = {  # timm's name: ours, and the side of its images
    "convnext_atto": (ConvNeXt, 96),
    "vit_tiny_patch16_224": (VisionTransformer, 224),
}


def layers_pair(name: str, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    """Our network and timm's of that name with the same weights, and nothing random in either."""
    ours, theirs = fill(NETWORKS[name][0]().to(dtype)), timm.create_model(name).to(dtype)
    for (path, tensor), copy in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        copy.copy_(as_timms(path, tensor).reshape(copy.shape))
    return ours, theirs


def as_timms(path: str, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of ours of that path as timm has it: tokens are (1, L, C) there, (1, C, L) here."""
    return tensor.mT if path in ("class_token", "position") else tensor
