"""Who takes part: each library's network with warmnet's weights, the images they are given, and what they must make of them."""

import functools
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1])]
from alive import error, fill, images  # noqa: E402
from peers.libraries import PEERS, pair, timm  # noqa: E402

# isort: off
import warmnet  # noqa: E402
from warmnet.networks.families import NAMES  # noqa: E402
from warmnet.weights.lineages.timm import NATIVE  # noqa: E402

MINE = "warmnet"
LIBRARIES = {"timm tf": "timm", "timm": None, "torchvision": "torchvision", "lukemelas": "lukemelas", "Keras": "keras"}
COLUMNS = MINE, *LIBRARIES
V1 = {f"b{n}" for n in range(8)}
V2 = {"v2-s", "v2-m", "v2-l"}
HAS = {  # the networks that a library has
    "timm tf": {*NAMES},
    "timm": V1,
    "torchvision": {*V1, *V2, "mobilenetv2-1.0", *(name for name in NAMES if name.startswith("resnet"))},
    "lukemelas": V1,
    "Keras": {*V1, *V2, *(f"v2-b{n}" for n in range(4))},
}
STILL: dict[str, Any] = {"dropout": 0.0, "drop_connect": 0.0}
TOLERANCE = 1e-4  # in float32, of the largest logit


class Refused(Exception):
    """A contender that computes something else than warmnet does with the same weights."""


class Absent(Exception):
    """A library that has no such network."""


class Contender(NamedTuple):
    """A network, and warmnet's with the same weights and that library's options, which says what it must compute."""

    network: nn.Module
    reference: nn.Module
    size: int


def check_has(library: str, variant: str) -> None:
    """Raise Absent if a library has no such network."""
    if variant not in HAS[library] and library == "timm":
        raise Absent(f"timm's one {variant} is in the column before")
    if variant not in HAS[library]:
        raise Absent(f"{library} has no {variant}")


def build(column: str, variant: str, size: int) -> nn.Module:
    """A library's network with weights of its own making."""
    if column == MINE:
        return NAMES[variant](variant, **STILL)
    check_has(column, variant)
    if column == "timm":
        return timm.create_model(f"efficientnet_{variant}")
    return PEERS[LIBRARIES[column]].build(variant, (size, size), torch.float32)


@functools.cache
def resolution(variant: str) -> int:
    """The side of the images that a network of warmnet's is made for."""
    return NAMES[variant](variant, device="meta").resolution


def contender(column: str, variant: str, size: int | None = None) -> Contender:
    """A network for images of `size`, default the variant's own."""
    size = size or resolution(variant)
    if column == MINE:
        network = fill(build(column, variant, size))
        return Contender(network, network, size)
    check_has(column, variant)
    reference, network = pair(LIBRARIES[column] or "timm", variant, (size, size), torch.float32)
    if column == "timm":  # its tensors have the names of its tf_ networks
        native = build(column, variant, size)
        native.load_state_dict(network.state_dict())
        options = {**NATIVE.options(variant), **STILL}
        ours = warmnet.WarmEfficientNet(variant, **options)
        ours.load_state_dict(reference.state_dict())
        reference, network = ours, native
    return Contender(network, reference, size)


def pictures(batch: int, size: int) -> Tensor:
    """(batch, 3, size, size): two pictures in turn, so that one alone or two together say what a batch must give."""
    return images(size, size).float().repeat(-(-batch // 2), 1, 1, 1)[:batch]


@torch.no_grad()
def expected(reference: nn.Module, x: Tensor, training: bool = False) -> Tensor:
    """The logits of the first pictures of `x`, two at most; of two in turn, a batch has their mean and variance."""
    return reference.train(training)(x[:2]).clone()


def difference(found, wanted: Tensor) -> float:
    """How far logits of the first pictures are from the wanted, relative to the largest."""
    found = torch.as_tensor(found).detach().float().cpu()
    return error(found[: len(wanted)], wanted.float().cpu())
