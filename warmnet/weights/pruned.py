"""A pruned network made anew: built as it was before it was pruned, then cut to the sizes that its tensors have."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.build import adopt
from ..networks.classifier import CLASSIFIER, STEM, Classifier
from .errors import WeightsError


def cut(model: Classifier, tensors: Mapping[str, Tensor]) -> None:
    """Make each layer of a model, as its class builds it, as large as the pruned network's tensors of its path; and adopt it.

    It keeps its own number of classes, and of channels of the images. Of its values those remain that still have a place.
    Raises WeightsError if a layer is larger than it was built, or of a kind that cannot be cut.
    """
    weight = model.state_dict().get(CLASSIFIER[0])
    if weight is not None and CLASSIFIER[0] not in tensors:  # then it has as many inputs as the network without it has outputs
        features = type(model)(model.variant, 0, model.in_channels, device=weight.device, **model.options)
        cut(features, tensors)
        tensors = {**tensors, CLASSIFIER[0]: torch.empty(len(weight), features._channels or 0, device="meta")}
    for path, module in model.named_modules():
        for name, own in chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False)):
            shape = _shape(f"{path}.{name}", own, tensors)
            if shape != own.shape:
                own.data = own.data[tuple(map(slice, shape))].clone()
                if name == "weight":
                    _set_sizes(module, path, shape)
    adopt(model)


def rebuilt(model: Classifier, num_classes: int, device: Any, seed: int | None = None) -> Classifier:
    """A network as the class of `model` builds it, for so many classes and with initial values; as small, if that is pruned."""
    new = type(model)(model.variant, num_classes, model.in_channels, device=device, seed=seed, **model.options)
    if model._is_adopted:
        cut(new, model.state_dict())
    return new


def check_sizes(model: Classifier, variant: Any, options: Mapping[str, Any]) -> None:
    """Raise WeightsError if a model has other layers than its class builds with the options that the pruned network had."""
    device = next(model.parameters()).device
    before = type(model)(variant, model.num_classes, model.in_channels, device=device, **options)
    was, now = ({path: tuple(x.shape) for path, x in each.state_dict().items()} for each in (before, model))
    for path in {**was, **now}:
        if was.get(path) != now.get(path):
            raise WeightsError(
                f"The source is pruned, and with these options {path} would be {now.get(path, 'left out')} where it was "
                f"{was.get(path, 'not there')} before pruning. A pruned network keeps its layers: leave out what changes them, "
                f"or change the network first and prune it then."
            )


def _shape(path: str, own: Tensor, tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """What shape the tensor of that path shall have."""
    shape = [*tensors[path].shape] if path in tensors else [*own.shape]
    if path in CLASSIFIER:
        shape[0] = own.shape[0]
    if path == STEM:
        shape[1] = own.shape[1]
    if len(shape) != own.ndim or any(new > old for new, old in zip(shape, own.shape)):
        raise WeightsError(f"{path} of the pruned network is {tuple(shape)}, and before it was pruned {tuple(own.shape)}.")
    return tuple(shape)


def _set_sizes(layer: nn.Module, path: str, shape: tuple[int, ...]) -> None:
    """Let a layer say of itself what it is with a weight of that shape."""
    if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        is_depthwise = layer.groups == layer.in_channels > 1
        groups = shape[0] * layer.groups // layer.out_channels if is_depthwise else layer.groups
        layer.groups, layer.in_channels, layer.out_channels = groups, shape[1] * groups, shape[0]
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = shape
    elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
        (layer.num_features,) = shape
    else:
        raise WeightsError(
            f"{path} was pruned, and a {type(layer).__name__} cannot be made anew at another size than it was built. Save all "
            f"of the network: torch.save(model, 'model.pt'), and torch.load('model.pt', weights_only=False)."
        )
