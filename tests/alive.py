"""Networks and images by formula whose signal stays alive from the first layer to the last, and how far apart two results are.

A freshly built network's logits are almost only the classifier's bias: two networks that differ agree on it. So whoever
compares numbers fills the network here first, the same on every machine and with every version of everything.
"""

import math
import re

import numpy as np
import torch
from torch import Tensor, nn

from warmnet.networks.families import NAMES

VARIANTS = [f"b{n}" for n in range(8)]

OWN_SIZE = ["b0", "b1", "b2", "lite0", "v2-b0", "mobilenetv2-1.0", "resnet18", "resnet50"]  # the others take long

GAINS = {  # how many times a layer makes the variance larger: what activation, gate and zero padding take away on average
    ".squeeze_excitation.": 1 / 4,  # a gate that follows the picture and does not saturate
    ".depthwise.": 2,
    ".project.": 2.5,
    "": 1.5,
}
BLOCK = r"\.(\w*block|bottleneck)_\d+"
BRANCH_END = re.compile(r"(block_\d+\.(project|second)|bottleneck_\d+\.expand)\.bn\.(weight|bias)$")


def sizes(variant: str) -> list[tuple[int, int]]:
    """Small even, odd and non-square image sizes, and for the smallest variants their own.

    Stride 2 pads even and odd sizes differently. On the way down these are even but for the last one; mixed; and mixed in
    another order on each axis. All end at 3x3 or above: batch norm over fewer numbers would make rounding errors large.
    """
    small, own = [(96, 96), (75, 75), (106, 75)], NAMES[variant](variant, device="meta").resolution
    return [*small, (own, own)] if variant in OWN_SIZE else small


def noise(shape, salt: int) -> Tensor:
    """Numbers in -1..1, a hash of their index and `salt`: integer arithmetic, so exactly the same everywhere."""
    n = np.arange(math.prod(shape), dtype=np.uint32) + np.uint32(salt * 0x9E3779B9 % 2**32)
    for factor in (0x7FEB352D, 0x846CA68B):
        n ^= n >> 16
        n *= np.uint32(factor)
        n ^= n >> 15
    return torch.from_numpy(n / 2**31 - 1).reshape(tuple(shape))


def fill(model: nn.Module) -> nn.Module:
    """`model`, its every weight and statistic written by a formula of its position in forward order, its kind and shape."""
    for position, (path, tensor) in enumerate(model.state_dict().items()):
        if tensor.is_floating_point():
            tensor.copy_(_formula(path, noise(tensor.shape, position)))
    return model


def _formula(path: str, n: Tensor) -> Tensor:
    if n.ndim > 1 and n.shape[0] == 1:  # no layer's weight: a token, or the tokens' positions
        return n
    if n.ndim > 1:
        gain = next(gain for part, gain in GAINS.items() if part in path)
        return n * math.sqrt(3 * gain / n[0].numel())  # the variance of n is 1/3
    if path.endswith("running_var"):
        return 1 + n / 2
    is_branch_end = BRANCH_END.search(path)
    if is_branch_end and path.endswith("weight"):  # small: the sum would grow with depth, and rounding errors too
        return (1 + n / 4) * (1 if "block_1." in path else 0.1)
    if path.endswith(".weight"):  # of a normalization
        return 1 + n / 4
    if path.endswith("bn.bias") and not is_branch_end:  # away from silu's minimum, where gradients are mostly rounding
        return 0.5 + n / 10
    return n / 10


def images(height: int, width: int) -> Tensor:
    """(2, 3, height, width): two pictures of noise in opposite colours, which no pooling takes away."""
    colour = noise((1, 3, 1, 1), -2)
    return noise((2, 3, height, width), -1) + torch.cat([colour, -colour])


def logits(model: nn.Module, x: Tensor) -> Tensor:
    """The logits of a network in eval mode; an AssertionError that names the place where its signal is lost.

    They are computed with gradients: without them normalizations are folded, see test_folding.py, and bits differ.
    """
    seen: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda module, args, z, path=path: seen.update({path: z.detach()}))
        for path, module in model.named_modules()
        if re.search(BLOCK + r"$|squeeze_excitation\.expand$", path)
    ]
    y = model.eval()(x).detach()
    for hook in hooks:
        hook.remove()
    for path, z in seen.items():
        if path.endswith("squeeze_excitation.expand"):
            gate = z.sigmoid()
            stuck = ((gate - 0.5).abs() > 0.48).double().mean()
            assert gate.std() > 0.01 and stuck < 0.05, f"{path}: gates differ by {gate.std():.2g}, {stuck:.0%} are stuck"
        else:
            size = z.square().mean().sqrt()
            assert 0.1 < size < 100, f"{path}: the signal has size {size:.2g}"
    apart = error(*y)
    assert apart > 0.05, f"the logits of the two pictures are only {apart:.2g} apart"
    return y


def digest(logits: Tensor) -> Tensor:
    """(B, C) -> (B, 9): the first eight logits and the size of all."""
    return torch.cat([logits[:, :8], logits.square().mean(1, keepdim=True).sqrt()], 1)


def loss(logits: Tensor) -> Tensor:
    """A sum of the logits in which each counts differently."""
    return (logits * noise(logits.shape, -3).to(logits)).sum()


def gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The gradient of `loss` by parameter, in training mode; an AssertionError for one that is 0."""
    model.zero_grad()
    loss(model.train()(x)).backward()
    found = {path: torch.zeros_like(p) if p.grad is None else p.grad for path, p in model.named_parameters()}
    largest = max(gradient.abs().max() for gradient in found.values())
    for path, gradient in found.items():
        assert _cancelled(path) or gradient.abs().max() > 1e-6 * largest, f"{path} has no gradient"
    return found


def stage_norms(gradients: dict[str, Tensor]) -> dict[str, float]:
    """The norm of the gradients of each of a network's stages, stem and head included, in forward order."""
    squares: dict[str, float] = {}
    for path, gradient in gradients.items():
        stage = path.partition(".")[0]
        squares[stage] = squares.get(stage, 0.0) + float(gradient.square().sum())
    return {stage: math.sqrt(square) for stage, square in squares.items()}


def _cancelled(path: str) -> bool:
    """Whether the next batch norm takes away what this parameter adds, a constant: its gradient is 0 up to rounding."""
    return path.endswith("project.bn.bias")


def error(ours: Tensor, theirs: Tensor, scale: Tensor | None = None) -> float:
    """The largest difference, relative to the largest of `theirs`, or to `scale`."""
    return float(((ours - theirs).abs().max() / (theirs.abs().max() if scale is None else scale)).detach())


def gradient_errors(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, float]:
    """The `error` of each parameter's gradient. That of a gradient that should be 0 is relative to the largest of all."""
    largest = torch.stack([gradient.abs().max() for gradient in theirs.values()]).max()
    return {path: error(ours[path], theirs[path], largest if _cancelled(path) else None) for path in ours}
