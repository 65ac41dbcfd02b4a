"""RMSProp as TensorFlow has it, which the paper trained with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError


class RMSpropTF(torch.optim.Optimizer):
    """Steps of the learning rate times the gradient over its running root mean square, with momentum.

        ms = alpha * ms + (1 - alpha) * g²          from 1
        mom = momentum * mom + lr * g / √(ms + eps)  from 0
        w = w - mom

    This is tf.train.RMSPropOptimizer (TensorFlow 1, python/training/rmsprop.py). torch.optim.RMSprop has ms start at 0, eps
    outside of the root and lr outside of the momentum: with the paper's rates its first 30 steps are 200 times as long.

    - `params`: float32 or float64 parameters, or groups of them, each with settings of its own; for speed, use torch.autocast.
    - `lr`: the learning rate; a schedule may set it before every step.
    - `alpha`, `momentum`, `eps`: the paper's by default.
    - `weight_decay`: how much of a weight is added to its gradient, which is the gradient of weight_decay / 2 * w² in the loss.
      The paper's is 1e-5, on all but batch normalization.

    >>> import torch
    >>> from warmnet.training.rmsprop import RMSpropTF
    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> (weight * 2).sum().backward()
    >>> RMSpropTF([weight], lr=0.1).step()
    >>> round(weight.item(), 6)  # 1 - 0.1 * 2 / √(0.9 * 1 + 0.1 * 2² + 0.001)
    0.824656
    """

    def __init__(
        self, params: Any, lr: float, *, alpha: float = 0.9, momentum: float = 0.9, eps: float = 1e-3, weight_decay: float = 0.0
    ):
        super().__init__(params, {"lr": lr, "alpha": alpha, "momentum": momentum, "eps": eps, "weight_decay": weight_decay})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        try:
            _check(self.param_groups[-1])
        except InputError:
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """The loss that `closure` computes, if given, after a step along the gradients."""
        with torch.enable_grad():
            loss = closure() if closure else None
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._move(params, [p.grad for p in params], group)
        return loss

    def _move(self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]) -> None:
        if any(grad.is_sparse for grad in grads):
            raise InputError("RMSpropTF takes no sparse gradients. Build the embedding with sparse=False.")
        for p in params:
            if not self.state[p]:
                self.state[p] = {"mean_square": torch.ones_like(p), "momentum": torch.zeros_like(p)}
        squares = [self.state[p]["mean_square"] for p in params]
        momenta = [self.state[p]["momentum"] for p in params]
        if group["weight_decay"]:
            grads = torch._foreach_add(grads, params, alpha=group["weight_decay"])  # type: ignore[assignment]
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, grads, grads, 1 - group["alpha"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_addcdiv_(momenta, grads, roots, group["lr"])
        torch._foreach_sub_(params, momenta)


def _check(group: dict[str, Any]) -> None:
    for name in ("lr", "eps", "weight_decay"):
        if not 0 <= group[name] < math.inf:
            raise InputError(f"{name} is {group[name]}; it must be 0 or more, and finite.")
    for name in ("alpha", "momentum"):
        if not 0 <= group[name] < 1:
            raise InputError(f"{name} is {group[name]}; it is the share that is kept at each step, from 0 to below 1.")
    coarse = {p.dtype for p in group["params"]} - {torch.float32, torch.float64}
    if coarse:
        raise InputError(f"Parameters are {', '.join(map(str, coarse))}, too coarse to add up small steps. Keep them float32.")
