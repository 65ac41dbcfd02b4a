"""The small networks that the contract of `warmnet.module` is tested on, at module level so that they pickle and spawn."""

import torch
import torch.nn.functional as F
import warm
import warm.functional as V  # vanilla PyWarm

import warmnet
import warmnet.functional as W
from warmnet import WarmModule, block


@block
def unit(x, size, kernel=1, stride=1, groups=1, act=F.silu):
    x = W.conv(x, size, kernel, stride=stride, padding="same", groups=groups, bias=False, name="conv")
    return W.batch_norm(x, activation=act, name="bn")


@block
def residual(x, size, stride=1, drop=0.2):
    y = unit(x, 2 * size, name="widen")
    y = unit(y, 2 * size, 3, stride, groups=2 * size, name="depthwise")
    y = unit(y, size, act=None, name="narrow")
    return x + W.drop_connect(y, drop) if y.shape == x.shape else y


class Small(WarmModule):
    """(B, 3, H, W) -> (B, 10), with every kind of layer that EfficientNet has."""

    def __init__(self, seed=None, device=None, sample=(2, 3, 32, 32), extra=False, drop=0.2):
        super().__init__()
        self.extra, self.drop = extra, drop
        warm.up(self, list(sample), seed=seed, device=device)

    def forward(self, x):
        x = unit(x, 8, 3, 2, name="stem")
        x = residual(x, 8, drop=self.drop)
        if self.extra:
            x = residual(x, 8, name="inserted")
        x = residual(x, 16, 2)
        return W.linear(x.mean((2, 3)), 10, name="classifier")


def images(batch=2, height=32, width=32, seed=0):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


class ConvNet(WarmModule):
    """The ConvNet of PyWarm's README, on PyWarm's own functions."""

    def __init__(self):
        super().__init__()
        warm.up(self, [2, 1, 28, 28])

    def forward(self, x):
        x = V.conv(x, 20, 5, activation="relu")
        x = F.max_pool2d(x, 2)
        x = V.conv(x, 50, 5, activation="relu")
        x = F.max_pool2d(x, 2)
        x = x.view(-1, 800)
        x = V.linear(x, 500, activation="relu")
        x = V.linear(x, 10)
        return F.log_softmax(x, dim=1)


def basic(x, size, stride, stack_index, block_index):
    """A residual block in the style of PyWarm's ResNet example: named layers, no module of its own."""
    prefix = f"layer{stack_index + 1}_{block_index}_"
    y = V.conv(x, size, 3, stride=stride, padding=1, bias=False, name=prefix + "conv1")
    y = V.batch_norm(y, activation="relu", name=prefix + "bn1")
    y = V.conv(y, size, 3, padding=1, bias=False, name=prefix + "conv2")
    y = V.batch_norm(y, name=prefix + "bn2")
    if y.shape[1] != x.shape[1]:
        x = V.conv(x, size, 1, stride=stride, bias=False, name=prefix + "downsample")
    return F.relu(x + y)


class ResNet(WarmModule):
    """A ResNet in the style of PyWarm's example."""

    def __init__(self):
        super().__init__()
        warm.up(self, [2, 3, 32, 32])

    def forward(self, x):
        x = V.conv(x, 16, 3, padding=1, bias=False)
        x = V.batch_norm(x, eps=1e-3, momentum=0.01, activation="relu")
        for stack_index, size in enumerate((16, 32)):
            for block_index in range(2):
                x = basic(x, size, 2 if stack_index and not block_index else 1, stack_index, block_index)
        return V.linear(x.mean((2, 3)), 10)


class LSTM(WarmModule):
    """The tagger of PyWarm's examples: embedding, LSTM, linear."""

    def __init__(self):
        super().__init__()
        warm.up(self, torch.arange(12).reshape(2, 6))

    def forward(self, x):
        x = V.embedding(x, 8, 20, in_shape="BC", out_shape="BCD").permute(0, 2, 1)
        x = V.lstm(x, 16)
        return F.log_softmax(V.linear(x, 5), dim=1)


class Nested(WarmModule):
    """A finished network inside another forward."""

    def __init__(self):
        super().__init__()
        self.backbone = Small(seed=1)
        warmnet.up(self, [2, 3, 32, 32], seed=2)

    def forward(self, x):
        return W.linear(torch.cat([self.backbone(x), unit(x, 4, name="stem").mean((2, 3))], 1), 3)
