"""Grad-CAM: where in an image a network sees signs of a class. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep
Networks via Gradient-based Localization", ICCV 2017, arXiv:1610.02391.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..spelling import did_you_mean, with_choices
from .copying import copy_to_inspect


def grad_cam(model: nn.Module, x: Tensor, labels: int | Sequence[int] | Tensor, block: str | None = None) -> Tensor:
    """(B, C, H, W) -> (B, H, W): where a block's maps speak for the class of each image, in logits, never below 0.

    Each map is weighted by the mean gradient of the class's logit, the weighted maps are added up, what speaks against the
    class is cut off, and the rest is enlarged bilinearly to the image's size. It is 0 at every pixel where nothing speaks for
    the class. The network computes in eval mode, and is left as it was, its gradients included.

    - `model`: a network from images to logits (B, classes), on any device; one of torch's own will do. `x`: a batch of images
      there, preprocessed.
    - `labels`: the index of the class, one for all images or one for each.
    - `block`: the path of a block or layer that puts out maps. Default: the last one in the forward whose maps have more than
      one pixel, such as 'head' of EfficientNet and 'stage_4' of ResNet.

    Raises InputError for a block or a class that is not there, and for a block that the logits do not depend on.

    >>> import torch, warmnet
    >>> warmnet.grad_cam(warmnet.WarmEfficientNet('b0'), torch.rand(2, 3, 64, 64), 281).shape
    torch.Size([2, 64, 64])
    """
    return block_and_grad_cam(model, x, labels, block)[1]


def block_and_grad_cam(
    model: nn.Module, x: Tensor, labels: int | Sequence[int] | Tensor, block: str | None = None
) -> tuple[str, Tensor]:
    """The path of the block that is looked at, and what `grad_cam` gives."""
    outputs = dict[str, Any]()

    def note(path: str, module: nn.Module, args: Any, y: Any) -> None:
        outputs.pop(path, None)
        outputs[path] = y

    with copy_to_inspect(model, x) as network:
        for path, module in network.named_modules():
            module.register_forward_hook(partial(note, path))
        logits = network(x.detach().clone().requires_grad_())  # so that there are gradients, though all weights be frozen
        path = _last_with_maps(network, outputs) if block is None else _checked(network, outputs, block)
        maps, score = outputs[path], _scores(logits, labels).sum()
        (gradient,) = torch.autograd.grad(score, maps, allow_unused=True)
        if gradient is None:
            raise InputError(f"The logits do not depend on the maps of '{path}'. Name a block on the way to them.")
        cam = (gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).relu()
        return path, F.interpolate(cam, x.shape[2:], mode="bilinear")[:, 0].detach()


def _is_map(y: Any) -> bool:
    return isinstance(y, Tensor) and y.ndim == 4


def _last_with_maps(network: nn.Module, outputs: dict[str, Any]) -> str:
    """The block or layer whose maps, of more than one pixel, were put out last."""
    paths = [path for path, y in outputs.items() if path and _is_map(y) and y.shape[2:].numel() > 1]
    if not paths:
        raise InputError(
            f"No block or layer of {type(network).__name__} puts out maps (B, C, H, W) of more than one pixel for this input. "
            f"Larger images may help."
        )
    return paths[-1]


def _checked(network: nn.Module, outputs: dict[str, Any], block: str) -> str:
    """The path, if it is one of a block or layer that has put out maps."""
    with_maps = [path for path, y in outputs.items() if path and _is_map(y)]
    if block in with_maps:
        return block
    problem = "puts out no maps (B, C, H, W)" if block in dict(network.named_modules()) else "is not there"
    outermost = [path for path, _ in network.named_children() if path in with_maps]
    choices = with_choices(did_you_mean(block, with_maps), outermost)
    raise InputError(f"Block '{block}' of {type(network).__name__} {problem}. {choices}, or what is in one of them.")


def _scores(logits: Any, labels: int | Sequence[int] | Tensor) -> Tensor:
    """(B, classes) and the index of a class for each -> (B,): its logits."""
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise InputError(f"Grad-CAM is for networks that put out logits (B, classes); this one puts out {given}.")
    if not logits.isfinite().all():
        raise InputError("The network gives numbers that are not finite; its weights are damaged, or their training diverged.")
    images, classes = logits.shape
    try:
        indices = torch.as_tensor(labels, device=logits.device)
    except (TypeError, ValueError):  # of a class's name, or of lists of different length
        indices = torch.empty(0)
    if indices.is_floating_point() or indices.shape not in ((), (images,)):
        raise InputError(f"labels is {labels!r}. It is the index of a class, or one for each of the {images} images.")
    if not ((indices >= 0) & (indices < classes)).all():
        raise InputError(f"labels is {labels!r}, and the {classes} classes have the indices 0 to {classes - 1}.")
    return logits.gather(1, indices.long().expand(images)[:, None])
