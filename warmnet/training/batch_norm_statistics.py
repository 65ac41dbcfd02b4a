"""Batch normalization's running statistics, estimated anew for weights that no batch was ever normalized with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..errors import InputError


@torch.no_grad()
def recalibrate_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running means and variances of batch normalization by their plain averages over `batches`.

    Weights that are averages of others (an EMA, several runs) have other statistics than the ones running along: this is what
    makes them fit. Every layer sees its input normalized by the batch, as in training, but nothing is dropped;
    torch.optim.swa_utils.update_bn drops. Batches count the same, whatever their size. All else, torch's random numbers and
    the count of batches included, is as before, and after an error so are the statistics.

    - `batches`: images (B, C, H, W) as the network is trained on, on its device; B * H * W above 1 down to the last layer. A
      few thousand images are plenty.

    Raises InputError if there are none.

    >>> import torch
    >>> from warmnet.training.batch_norm_statistics import recalibrate_batch_norm
    >>> norm = torch.nn.BatchNorm2d(1)
    >>> recalibrate_batch_norm(norm, [torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)])
    >>> norm.running_mean, norm.momentum
    (tensor([0.5000]), 0.1)
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    with _as_before(model, norms), torch.random.fork_rng([]):
        model.eval()
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for the average of all
        count = 0
        for images in batches:
            model(images)
            count += 1
        if not count:
            raise InputError(
                "There are no batches to take statistics of. Pass at least one; an iterator can be read only once."
            )


@contextmanager
def _as_before(model: nn.Module, norms: list[nn.modules.batchnorm._BatchNorm]) -> Iterator[None]:
    """Afterwards all modes, momenta and counts are as before, and after an error the statistics too."""
    modes = [(module, module.training) for module in model.modules()]
    saved = [(norm, norm.momentum, {key: value.clone() for key, value in norm.named_buffers()}) for norm in norms]
    try:
        yield
    except BaseException:
        for norm, _, buffers in saved:
            for key, value in buffers.items():
                norm.get_buffer(key).copy_(value)
        raise
    finally:
        for norm, momentum, buffers in saved:
            norm.momentum = momentum
            norm.get_buffer("num_batches_tracked").copy_(buffers["num_batches_tracked"])
        for module, training in modes:
            module.training = training
