"""A tensor in another shape, so that the network computes what it did as far as that can be."""

from __future__ import annotations

from torch import Tensor


def for_channels(kernel: Tensor, channels: int) -> Tensor:
    """(size, C, H, W) -> (size, channels, H, W): the sum over C, shared out; a picture with equal channels gives the same."""
    return kernel.sum(1, keepdim=True).div(channels).expand(-1, channels, -1, -1).contiguous()


def resize(tensor: Tensor, target: Tensor) -> Tensor:
    """`tensor` in the shape of `target`, so that what it computed is computed still, where it was made larger.

    Kernels are cropped, or padded with zeros, around their centre. Of too many outputs and inputs the first are taken. Further
    inputs have weight zero; further outputs are as in `target`: their zero weights further on could not learn from zeros.
    """
    value = target.detach().to(tensor.device, tensor.dtype).clone()
    read, written = [], []
    for axis, (old, new) in enumerate(zip(tensor.shape, target.shape)):
        size = min(old, new)
        is_spatial = axis > 1
        first_read = (old - size) // 2 if is_spatial else 0
        first_written = (new - size) // 2 if is_spatial else 0
        read.append(slice(first_read, first_read + size))
        written.append(slice(first_written, first_written + size))
    if tensor.ndim > 1:
        value[written[0]] = 0
    value[tuple(written)] = tensor[tuple(read)]
    return value
