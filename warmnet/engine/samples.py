"""Sample inputs of a dry run: tensors from shapes, arrays and tensors, and what is wrong with them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import nn


def make_sample(data: Any, device: torch.device) -> Any:
    """`data` on `device`, with random tensors for shapes."""
    if isinstance(data, torch.Tensor) and data.is_meta and device.type != "meta":
        return torch.zeros_like(data, device=device)
    if isinstance(data, (np.ndarray, torch.Tensor)):
        return torch.as_tensor(data).to(device)
    if isinstance(data, (list, tuple)) and all(isinstance(n, (int, float)) for n in data):
        return torch.randn(*_checked_shape(data), device=device)
    if isinstance(data, (list, tuple)):
        return [make_sample(d, device) for d in data]
    if isinstance(data, dict):
        return {key: make_sample(d, device) for key, d in data.items()}
    raise TypeError(f"A sample is a tensor, an array, a shape, or a list or dict of these, not {data!r}.")


def _checked_shape(shape: list[Any] | tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
    if not shape:
        raise ValueError(f"{shape!r} is no shape of a sample. Give one such as [1, 3, 32, 32].")
    if any(isinstance(n, float) for n in shape):
        raise TypeError(f"The shape of a sample is of whole numbers, not {shape!r}. Divide by //, or round with int().")
    return shape


def sample_form(x: torch.Tensor) -> Any:
    """What a sample was: its shape, or if it was of whole numbers their kind, too."""
    return [*x.shape] if x.is_floating_point() else torch.empty_like(x, device="meta")


def check_inputs(model: nn.Module, sample: list[Any]) -> None:
    """Refuse a sample that has more or fewer inputs than the model's forward takes."""
    signature = inspect.signature(model.forward)
    try:
        signature.bind(*sample)
    except TypeError as error:
        needed = [key for key, parameter in signature.parameters.items() if parameter.default is parameter.empty]
        shapes = ", ".join(["[1, 3, 32, 32]"] * len(needed))
        raise TypeError(
            f"up takes a sample of each input of {type(model).__name__}.forward({', '.join(signature.parameters)}) and was "
            f"given {len(sample)}: {error}. Give each by its shape: warmnet.up(model, {shapes})."
        ) from None
