"""b0 as warmnet, timm and torchvision have it, with the same weights, and ResNet-50: who is measured."""

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

import warmnet  # noqa: E402

MINE, TIMM, TORCHVISION, RESNET = "warmnet", "timm tf", "torchvision", "ResNet-50"
STILL: dict[str, Any] = {"dropout": 0.0, "drop_connect": 0.0}


def put(x: Any, settings: Settings) -> Any:
    """A network or images on the device, in channels_last."""
    return x.to(settings.device).to(memory_format=torch.channels_last)


def amp(settings: Settings, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    return torch.autocast(settings.device, dtype) if dtype else nullcontext()


def pair(variant: str) -> dict[str, nn.Module]:
    """warmnet's network and timm's `tf_` one, with the same weights, which keep the signal alive."""
    ours = alive.fill(warmnet.WarmEfficientNet(variant, momentum=0.1, **STILL))
    return {MINE: ours, TIMM: with_weights_of(ours, timm.create_model(f"tf_efficientnet_{variant}"))}


def contenders() -> dict[str, nn.Module]:
    found = pair("b0")
    torch.manual_seed(0)
    symmetric = torchvision.models.efficientnet_b0(dropout=0.0, stochastic_depth_prob=0.0)
    return found | {TORCHVISION: with_weights_of(found[MINE], symmetric), RESNET: torchvision.models.resnet50()}


def with_weights_of(ours: nn.Module, theirs: nn.Module) -> nn.Module:
    """`theirs` with the tensors of `ours`: all of these networks have them in the order of the forward."""
    for copy, tensor in zip(numbers(theirs), numbers(ours), strict=True):
        assert copy.shape == tensor.shape, (copy.shape, tensor.shape)
        copy.copy_(tensor)
    return theirs


def numbers(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def pictures(batch: int, size: int) -> Tensor:
    """(batch, 3, size, size): two pictures in turn."""
    return alive.images(size, size).float().repeat(-(-batch // 2), 1, 1, 1)[:batch]


def apart(found: Tensor, wanted: Tensor) -> float:
    """How far the results of the first pictures are from the wanted, relative to the largest."""
    return alive.error(found.detach()[: len(wanted)].double().cpu(), wanted.detach().double().cpu())
