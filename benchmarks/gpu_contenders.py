"""Networks as warmnet, timm and torchvision have them, with the same weights: who is measured."""

import copy
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
if torch.version.cuda is None and torch.version.hip is None and "torchvision" not in sys.modules:
    # torchvision's Python half asks for the schemas of its operators, which it does not have beside a CPU build of torch.
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import alive  # noqa: E402
import timm  # noqa: E402
import torchvision  # noqa: E402
from gpu_run import Settings  # noqa: E402

from warmnet.networks.families import NAMES  # noqa: E402

MINE, NCHW, TIMM, TORCHVISION = "warmnet", "warmnet, NCHW", "timm tf", "torchvision"
OF_TIMM = {
    "b0": "tf_efficientnet_b0", "b4": "tf_efficientnet_b4", "lite0": "tf_efficientnet_lite0", "v2-s": "tf_efficientnetv2_s",
    "mobilenetv2-1.0": "mobilenetv2_100", "resnet50": "resnet50",
}  # fmt: skip
STILL: dict[str, Any] = {"dropout": 0.0, "drop_connect": 0.0}
OF_TORCHVISION: dict[str, Any] = {
    "b0": lambda: torchvision.models.efficientnet_b0(dropout=0.0, stochastic_depth_prob=0.0),
    "v2-s": lambda: torchvision.models.efficientnet_v2_s(dropout=0.0, stochastic_depth_prob=0.0),
    "mobilenetv2-1.0": lambda: torchvision.models.mobilenet_v2(dropout=0.0),
    "resnet50": torchvision.models.resnet50,
}


def put(x: Any, settings: Settings, name: str = MINE) -> Any:
    """A network or images on the device, in channels_last but for the contender that shows what that gains."""
    return x.to(settings.device).to(memory_format=torch.contiguous_format if name == NCHW else torch.channels_last)


def amp(settings: Settings, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    return torch.autocast(settings.device, dtype) if dtype else nullcontext()


def pair(variant: str) -> dict[str, nn.Module]:
    """warmnet's network and timm's, with the same weights, which keep the signal alive."""
    ours = alive.fill(NAMES[variant](variant, momentum=0.1, **STILL))
    return {MINE: ours, TIMM: with_weights_of(ours, timm.create_model(OF_TIMM[variant]))}


def contenders(variant: str) -> dict[str, nn.Module]:
    """Those, warmnet's in torch's own layout, and torchvision's where there is one; it pads EfficientNets on both sides."""
    found = pair(variant)
    found[NCHW] = copy.deepcopy(found[MINE])
    if variant in OF_TORCHVISION:
        found[TORCHVISION] = with_weights_of(found[MINE], OF_TORCHVISION[variant]())
    return found


def with_weights_of(ours: nn.Module, theirs: nn.Module) -> nn.Module:
    """`theirs` with the tensors of `ours`: all of these networks have them in the order of the forward."""
    for into, tensor in zip(numbers(theirs), numbers(ours), strict=True):
        assert into.shape == tensor.shape, (into.shape, tensor.shape)
        into.copy_(tensor)
    return theirs


def numbers(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def pictures(batch: int, size: int) -> Tensor:
    """(batch, 3, size, size): two pictures in turn."""
    return alive.images(size, size).float().repeat(-(-batch // 2), 1, 1, 1)[:batch]


def apart(found: Tensor, wanted: Tensor) -> float:
    """How far the results of the first pictures are from the wanted, relative to the largest."""
    return alive.error(found.detach()[: len(wanted)].double().cpu(), wanted.detach().double().cpu())
