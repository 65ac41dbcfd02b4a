"""The networks that the clients get: warmnet's b0 beside timm's or torchvision's, and a network of one's own beside torch's
layers in a row. Both of a pair have the same weights, the same order of layers, and nothing random.
"""

import timm
import torch
import torch.nn.functional as F
import torchvision
from alive import fill, images
from torch import Tensor, nn

import warmnet
import warmnet.functional as W

PEERS = "timm", "torchvision", "torch"
IMAGES, LABELS = images(64, 64).float(), torch.tensor([1, 2])
# The block whose maps are pooled, in warmnet's network and in the peer's
LAST = {"timm": ("head", "bn2"), "torchvision": ("head", "features.8"), "torch": ("unit_2", "5")}


@warmnet.block
def unit(x, size, stride=1):
    x = W.conv(x, size, 3, stride=stride, padding=1, bias=False, name="conv")
    return W.batch_norm(x, activation=F.relu, name="bn")


class Own(warmnet.WarmModule):
    """(B, 3, H, W) -> (B, 10)"""

    def forward(self, x):
        x = unit(x, 16)
        x = unit(x, 32, stride=2)
        return W.linear(x.mean((2, 3)), 10)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def in_a_row() -> nn.Sequential:
    """`Own`, as torch's layers one after the other."""
    first = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    second = nn.Conv2d(16, 32, 3, 2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
    return nn.Sequential(*first, *second, Mean(), nn.Linear(32, 10))


def b0(**options) -> warmnet.WarmEfficientNet:
    return warmnet.WarmEfficientNet("b0", 10, dropout=0.0, drop_connect=0.0, momentum=0.1, **options)


def pair(peer: str) -> tuple[nn.Module, nn.Module]:
    """warmnet's network and the peer's, in eval mode."""
    if peer == "timm":
        ours, theirs = b0(), timm.create_model("tf_efficientnet_b0", num_classes=10)
    elif peer == "torchvision":
        ours = b0(padding="symmetric", eps=1e-5)
        theirs = torchvision.models.efficientnet_b0(num_classes=10, dropout=0.0, stochastic_depth_prob=0.0)
    else:
        ours, theirs = warmnet.up(Own(), [1, 3, 16, 16]), in_a_row()
    for copy, tensor in zip(theirs.state_dict().values(), fill(ours).state_dict().values(), strict=True):
        copy.copy_(tensor)
    return ours.eval(), theirs.eval()


def layers(network: nn.Module, *kinds: type) -> dict[str, nn.Module]:
    """The layers of these kinds by path, in an order that is the same in both of a pair."""
    return {path: layer for path, layer in network.named_modules() if isinstance(layer, kinds)}


def convs_and_norms(network: nn.Module) -> list[list[str]]:
    """The paths of each convolution that a normalization follows, and of that."""
    convs = [path for path, layer in layers(network, nn.Conv2d).items() if layer.bias is None]
    return [list(paths) for paths in zip(convs, layers(network, nn.BatchNorm2d), strict=True)]


def train(network: nn.Module, optimizer: torch.optim.Optimizer | None = None, steps: int = 3) -> list[float]:
    """The loss of each of some training steps."""
    optimizer = optimizer or torch.optim.SGD(network.parameters(), 0.001)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(network.train()(IMAGES), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def logits(network: nn.Module) -> Tensor:
    return network.eval()(IMAGES).detach()
