"""What another library's live network shows of how it computes, and a file of its tensors does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from .conventions import as_keywords, difference
from .errors import WeightsError
from .lineage_choice import Choice

ACTIVATIONS = {  # names of modules -> of functions
    "SiLU": "silu", "Swish": "silu", "SwishMe": "silu", "MemoryEfficientSwish": "silu", "ReLU": "relu", "ReLU6": "relu6",
}  # fmt: skip
USUAL = {  # modules without parameters that every network has, or that change nothing once it is trained
    "AdaptiveAvgPool2d", "DeQuantStub", "Dropout", "DropPath", "FastAdaptiveAvgPool", "Flatten", "Identity", "MaxPool2d",
    "QuantStub", "Sequential", "Sigmoid", "StochasticDepth", "ZeroPad2d",
}  # fmt: skip
TOTAL_STRIDE = 32  # of all of the families


def check_computes(network: nn.Module, choice: Choice, source: str) -> None:
    """Raise by what a live network computes otherwise than the one that its tensors are taken for."""
    start, head = choice.prefix.rstrip("."), choice.prefix + re.sub(r"\.\d+$", "", choice.lineage.layers["classifier"])
    modules = [
        module
        for name, module in network.named_modules()
        if _plain(name).startswith(start) and not _plain(name).startswith(head)
    ]
    theirs = f"{choice.lineage.name}'s {choice.architecture}"
    expected = choice.lineage.conventions(choice.variant)
    unknown = {type(module).__name__ for module in _leaves(modules)} - USUAL - ACTIVATIONS.keys()
    strides = _total_stride(modules)
    if unknown or strides != TOTAL_STRIDE:
        has = f"has {', '.join(sorted(unknown))}" if unknown else f"has a total stride of {strides}"
        raise WeightsError(
            f"{source} {has}, unlike {theirs}, whose tensors it has: its outputs would be others here. If they are to be all "
            f"the same, pass model.state_dict()."
        )
    for conventions in _conventions(modules):
        different = difference(conventions, expected)
        if different:
            own = as_keywords({key: conventions[key] for key in different})
            raise WeightsError(
                f"{source} computes with {own}, and {theirs}, whose tensors it has, with {as_keywords(different)}: its outputs "
                f"would be others here. Pass model.state_dict(), and {own} where the network is built."
            )


def _plain(name: str) -> str:
    return name.replace("_orig_mod.", "")


def _leaves(modules: list[nn.Module]) -> Iterator[nn.Module]:
    """Those that compute something without parameters."""
    for module in modules:
        if not [*module.children()] and not [*module.parameters()]:
            yield module


def _conventions(modules: list[nn.Module]) -> Iterator[Mapping[str, Any]]:
    """What each module shows of padding, eps and activation."""
    for module in modules:
        name = type(module).__name__
        if name in ACTIVATIONS:
            yield {"act": ACTIVATIONS[name]}
        elif "running_var" in dict(module.named_buffers(recurse=False)):
            yield {"eps": module.eps}
        elif isinstance(module, nn.Conv2d) and _side(module.stride) > 1 and _side(module.kernel_size) > 1:
            is_symmetric = tuple(module.padding) == tuple((kernel - 1) // 2 for kernel in module.kernel_size)
            yield {"padding": "same" if "Same" in name else "symmetric" if is_symmetric else module.padding}


def _total_stride(modules: list[nn.Module]) -> int:
    """By how much smaller the last map is than the image; those of one pixel are shortcuts beside other kernels."""
    strides = 1
    for module in modules:
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d)) and _side(module.kernel_size) > 1:
            strides *= _side(module.stride)
    return strides


def _side(size: Any) -> int:
    """The number of pixels along the longer side of a size, which may be one number for both."""
    return size if isinstance(size, int) else max(size)
