"""Grad-CAM: where in an image a network sees signs of a class. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep
Networks via Gradient-based Localization", ICCV 2017, arXiv:1610.02391.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..spelling import did_you_mean, with_choices
from .copying import copy_to_inspect

INTEGERS = torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64  # of labels
OF_MAPS = nn.Conv2d, nn.BatchNorm2d  # layers whose channels come first, whatever the shape


def grad_cam(model: nn.Module, x: Tensor, labels: int | Sequence[int] | Tensor, block: str | None = None) -> Tensor:
    """(B, C, H, W) -> (B, H, W): where a block's maps speak for the class of each image, in logits, never below 0.

    Each map is weighted by the mean gradient of the class's logit, the weighted maps are added up, what speaks against the
    class is cut off, and the rest is enlarged bilinearly to the image's size. It is 0 at every pixel where nothing speaks for
    the class. The network computes in eval mode, and is left as it was, its gradients included.

    - `model`: a network from images to logits (B, classes), on any device; one of torch's own will do. `x`: a batch of images
      there, preprocessed.
    - `labels`: the index of the class, one for all images or one for each.
    - `block`: the path of a block or layer that outputs maps, (B, C, H, W) with the channels first. Default: the last one in
      the forward that holds a convolution or a batch norm, whose maps have more than one pixel and say something about the
      logits, such as 'head' of EfficientNet and 'stage_4' of ResNet. Of a transformer it is the patches' embedding, which says
      little.

    Raises InputError for a block or a class that is not there, for maps with the channels last, for a block that the logits do
    not depend on, and for a forward without gradients.

    >>> import torch, warmnet
    >>> warmnet.grad_cam(warmnet.WarmEfficientNet('b0'), torch.rand(2, 3, 64, 64), 281).shape
    torch.Size([2, 64, 64])
    """
    return block_and_grad_cam(model, x, labels, block)[1]


def block_and_grad_cam(
    model: nn.Module, x: Tensor, labels: int | Sequence[int] | Tensor, block: str | None = None
) -> tuple[str, Tensor]:
    """The path of the block that is looked at, and what `grad_cam` gives."""
    outputs = dict[str, Tensor]()  # the maps, in the order in which they were output

    def note(path: str, module: nn.Module, args: Any, y: Any) -> Any:
        if not path or not _is_map(y, x):
            return y
        outputs.pop(path, None)
        outputs[path] = y
        return y.clone()  # which what comes after may write over

    with copy_to_inspect(model, x) as network:
        for path, module in network.named_modules():
            module.register_forward_hook(partial(note, path))
        logits = network(x.detach().clone().requires_grad_())  # so that there are gradients, though all weights be frozen
        score = _scores(logits, labels).sum()
        paths = _defaults(network, outputs) if block is None else [_checked(network, outputs, block)]
        path, gradient = _last_gradient(score, {path: outputs[path] for path in paths})
        cam = (gradient.mean((2, 3), keepdim=True) * outputs[path]).sum(1, keepdim=True).relu()
        return path, F.interpolate(cam, x.shape[2:], mode="bilinear")[:, 0].detach()


def _is_map(y: Any, x: Tensor) -> bool:
    """Whether an output is a map (B, C, H, W), and not (B, H, W, C), whose first sides alone are in the images' proportion."""
    if not isinstance(y, Tensor) or y.ndim != 4:
        return False
    image = x.shape[2:]
    return _in_proportion(y.shape[2:], image) or not _in_proportion(y.shape[1:3], image)


def _in_proportion(sides: Sequence[int], image: Sequence[int]) -> bool:
    """Whether sides, (height, width), have the proportion of an image's, but for the rounding to a pixel."""
    return abs(sides[0] * image[1] - sides[1] * image[0]) < max(image)


def _defaults(network: nn.Module, outputs: dict[str, Tensor]) -> list[str]:
    """The blocks and layers to look at if none is named: those of more than one pixel that hold layers of maps."""
    paths = [
        path
        for path, y in outputs.items()
        if y.shape[2:].numel() > 1 and any(isinstance(layer, OF_MAPS) for layer in network.get_submodule(path).modules())
    ]
    if not paths:
        raise InputError(
            f"No block or layer of {type(network).__name__} with a convolution or a batch norm outputs maps (B, C, H, W) of "
            f"more than one pixel for this input. Larger images may help."
        )
    return paths


def _last_gradient(score: Tensor, outputs: dict[str, Tensor]) -> tuple[str, Tensor]:
    """The path of the last maps that a score depends on, and its gradient by them."""
    for path, maps in reversed(outputs.items()):
        if score.requires_grad and maps.requires_grad:
            (gradient,) = torch.autograd.grad(score, maps, allow_unused=True, retain_graph=True)
            if gradient is not None:
                return path, gradient
    raise InputError(
        f"The logits do not depend on the maps of '{path}' by gradients. Name a block on the way to them; if the forward "
        f"computes within torch.no_grad or detaches, have it not do so."
    )


def _checked(network: nn.Module, outputs: dict[str, Tensor], block: Any) -> str:
    """The path, if it is one of a block or layer that has output maps."""
    outermost = [path for path, _ in network.named_children() if path in outputs]
    if not isinstance(block, str):
        raise InputError(f"block is of type {type(block).__name__}, and is to be a path. {with_choices('', outermost)}.")
    if block in outputs:
        return block
    problem = "outputs no maps (B, C, H, W)" if block in dict(network.named_modules()) else "is not there"
    choices = with_choices(did_you_mean(block, outputs), outermost)
    raise InputError(f"Block '{block}' of {type(network).__name__} {problem}. {choices}, or what is in one of them.")


def _scores(logits: Any, labels: int | Sequence[int] | Tensor) -> Tensor:
    """(B, classes) and the index of a class for each -> (B,): its logits."""
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise InputError(f"Grad-CAM is for networks that output logits (B, classes); this one outputs {given}.")
    if not logits.isfinite().all():
        raise InputError("The network gives numbers that are not finite; its weights are damaged, or their training diverged.")
    images, classes = logits.shape
    try:
        indices = torch.as_tensor(labels if isinstance(labels, Tensor) else np.asarray(labels), device=logits.device)
    except (TypeError, ValueError):  # of a class's name, of None, or of lists of different length
        indices = torch.empty(0)
    if indices.dtype not in INTEGERS or indices.shape not in ((), (images,)):
        raise InputError(f"labels is {labels!r}. It is the index of a class, or one for each of the {images} images.")
    indices = indices.long()
    if not ((indices >= 0) & (indices < classes)).all():
        raise InputError(f"labels is {labels!r}, and the {classes} classes have the indices 0 to {classes - 1}.")
    return logits.gather(1, indices.expand(images)[:, None])
