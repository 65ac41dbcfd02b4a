"""Networks as people write them for PyWarm: each has the layers, keywords and patterns of names of one of its examples.

The base class is all that makes them warmnet's: test_vanilla.py runs this very text on PyWarm alone, too, with nn.Module in the
place of WarmModule, and compares.
"""

import torch
import torch.nn.functional as F
import warm
import warm.functional as W
from torch import nn
from warm.engine import namespace

from warmnet import WarmModule


class ConvNet(WarmModule):
    """(B, 1, 28, 28) -> (B, 10): the network of PyWarm's README and of its mnist.py, which is built with a batch of one."""

    def __init__(self):
        super().__init__()
        warm.up(self, [1, 1, 28, 28])

    def forward(self, x):
        for size in (20, 50):
            x = F.max_pool2d(W.conv(x, size, 5, activation="relu"), 2)
        x = W.linear(x.view(-1, 800), 500, activation="relu")
        return F.log_softmax(W.linear(x, 10), dim=1)


# ------------------------------------------------------------------- resnet.py: given names with hyphens, a block as a setting


def two_convolutions(x, size, stride, at):
    y = W.conv(x, size, 3, stride=stride, padding=1, bias=False, name=f"{at}conv1")
    y = W.batch_norm(y, activation="relu", name=f"{at}bn1")
    y = W.conv(y, size, 3, stride=1, padding=1, bias=False, name=f"{at}conv2")
    y = W.batch_norm(y, name=f"{at}bn2")
    if x.shape[1] != size:
        x = W.conv(x, size, 1, stride=stride, bias=False, name=f"{at}downsample-0")
        x = W.batch_norm(x, name=f"{at}downsample-1")
    return F.relu(x + y)


class ResNet(WarmModule):
    """(B, 3, H, W) -> (B, 1000): ResNet-18, its names torchvision's with hyphens."""

    def __init__(self, block=two_convolutions, rows=((2, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 2))):
        super().__init__()
        self.block, self.rows = block, rows
        warm.up(self, [2, 3, 32, 32])

    def forward(self, x):
        x = W.conv(x, 64, 7, stride=2, padding=3, bias=False, name="conv1")
        x = W.batch_norm(x, activation="relu", name="bn1")
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for i, (repeat, size, stride) in enumerate(self.rows, 1):
            for j in range(repeat):
                x = self.block(x, size, 1 if j else stride, f"layer{i}-{j}-")
        x = torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)
        return W.linear(x, 1000, name="fc")


# ------------------------------------------ mobilenet.py: an operator a row, keywords that some of them ignore, y += x in place


def conv_norm(x, size, stride=1, expand=None, kernel=3, groups=1, name=""):
    padding = (kernel - 1) // 2
    x = W.conv(x, size, kernel, padding=padding, stride=stride, groups=groups, bias=False, name=name + "-0")
    return W.batch_norm(x, activation="relu6", name=name + "-1")


def inverted(x, size, stride, expand, name=""):
    middle, parts = x.shape[1] * expand, iter(range(4))
    y = x
    if expand > 1:
        y = conv_norm(y, middle, kernel=1, name=f"{name}-conv-{next(parts)}")
    y = conv_norm(y, middle, stride, groups=middle, name=f"{name}-conv-{next(parts)}")
    y = W.conv(y, size, kernel=1, bias=False, name=f"{name}-conv-{next(parts)}")
    y = W.batch_norm(y, name=f"{name}-conv-{next(parts)}")
    if stride == 1 and size == x.shape[1]:
        y += x
    return y


def last_conv(x, *args, **kw):
    return conv_norm(x, *args, kernel=1, **kw)


def averaged(x, *args, **kw):
    return x.mean([2, 3])


def classes(x, size, *args, **kw):
    x = W.dropout(x, rate=0.2, name="classifier-0")
    return W.linear(x, size, name="classifier-1")


MOBILENET = (  # operator, size, repeat, stride, expand
    (conv_norm, 32, 1, 2, None),
    (inverted, 16, 1, 1, 1),
    (inverted, 24, 2, 2, 6),
    (inverted, 32, 3, 2, 6),
    (inverted, 64, 4, 2, 6),
    (inverted, 96, 3, 1, 6),
    (inverted, 160, 3, 2, 6),
    (inverted, 320, 1, 1, 6),
    (last_conv, 1280, 1, 1, None),
    (averaged, None, 1, None, None),
    (classes, 1000, 1, None, None),
)


class MobileNet(WarmModule):
    """(B, 3, H, W) -> (B, 1000): MobileNetV2, its names torchvision's with hyphens."""

    def __init__(self):
        super().__init__()
        warm.up(self, [2, 3, 64, 64])

    def forward(self, x):
        place = 0
        for operator, size, repeat, stride, expand in MOBILENET:
            for i in range(repeat):
                x = operator(x, size, 1 if i else stride, expand, name=f"features-{place}")
                place += 1
        return x


# ---------------------- efficientnet.py: names by engine.namespace, padding computed from the input, an activation of its own


def swish(x):
    return x * x.sigmoid()


def padded_conv(x, size, kernel=1, stride=1, **kw):
    padding = 0
    if (kernel, stride) != (1, 1):
        n, s, k = (torch.as_tensor(v) for v in (x.shape[2:], stride, kernel))
        zeros = torch.max(((n + s - 1) // s - 1) * s + k - n, torch.tensor(0))
        before, after = zeros // 2, zeros - zeros // 2
        if torch.equal(before, after):
            padding = tuple(before.tolist())
        else:
            x = F.pad(x, sum(zip(before.tolist()[::-1], after.tolist()[::-1]), ()))
    return W.conv(x, size, kernel, stride=stride, padding=padding, **kw)


@namespace
def conv_norm_act(x, size, kernel=1, stride=1, groups=1, bias=False, eps=1e-3, momentum=1e-2, act=swish, name="", **kw):
    x = padded_conv(x, size, kernel, stride=stride, groups=groups, bias=bias, name=f"{name}-conv")
    return W.batch_norm(x, eps=eps, momentum=momentum, activation=act, name=f"{name}-bn")


@namespace
def bottleneck(x, size, expand=1, kernel=1, stride=1, se_ratio=0.25, drop=0.2, **kw):
    middle = x.shape[1] * expand
    y = conv_norm_act(x, middle, 1, **kw) if expand > 1 else x
    y = conv_norm_act(y, middle, kernel, stride=stride, groups=middle, **kw)
    y = excitation(y, int(x.shape[1] * se_ratio), **kw)
    y = conv_norm_act(y, size, 1, act=None, **kw)
    if stride == 1 and size == x.shape[1]:
        y = dropped(y, drop)
        y += x
    return y


@namespace
def excitation(x, size, name="", **kw):
    """As the example has it: it does not multiply its input."""
    if size == 0:
        return x
    y = F.adaptive_avg_pool2d(x, 1)
    y = W.conv(y, size, 1, activation=swish, name=f"{name}-conv1")
    return W.conv(y, x.shape[1], 1, activation=swish, name=f"{name}-conv2")


def dropped(x, rate):
    """As the example has it: in eval mode, too."""
    if rate == 0:
        return x
    kept = (torch.rand([len(x), 1, 1, 1], device=x.device, requires_grad=False) + 1 - rate).floor()
    return x / (1 - rate) * kept


B0 = (  # size, expand, kernel, stride, repeat
    (16, 1, 3, 1, 1),
    (24, 6, 3, 2, 2),
    (40, 6, 5, 2, 2),
    (80, 6, 3, 2, 3),
    (112, 6, 5, 1, 3),
    (192, 6, 5, 2, 4),
    (320, 6, 3, 1, 1),
)


class EfficientNet(WarmModule):
    """(B, 3, H, W) -> (B, 1000)"""

    def __init__(self, drop=0.2):
        super().__init__()
        self.drop = drop
        warm.up(self, [2, 3, 32, 32])

    def forward(self, x):
        x = conv_norm_act(x, 32, kernel=3, stride=2, name="head")
        for size, expand, kernel, stride, repeat in B0:
            for i in range(repeat):
                x = bottleneck(x, size, expand, kernel, 1 if i else stride, 0.25, self.drop)
        x = conv_norm_act(x, 1280, name="tail")
        x = W.dropout(F.adaptive_avg_pool2d(x, 1), 0.2)
        return W.linear(x.view(x.shape[0], -1), 1000)


# ------------------------------------------------------------------ lstm.py: a sample of indices, a sentence and not a batch


class Tagger(WarmModule):
    """(L,) -> (L, tags)"""

    def __init__(self, size=6, hidden=6, words=9, tags=3):
        super().__init__()
        self.settings = size, hidden, words, tags
        warm.up(self, torch.tensor([0, 1], dtype=torch.long))

    def forward(self, x):
        size, hidden, words, tags = self.settings
        y = W.embedding(x, size, words)
        y = W.lstm(y.T[None, ...], hidden)
        y = F.log_softmax(W.linear(y, tags), dim=1)
        return y[0].T


# ------------------------------------- transformer.py: two inputs, layers passed as functions, masks, and products in place


def attention(x, y=None, heads=8, dropout=0.1, mask=None, **kw):
    y = x if y is None else y
    size = x.shape[1]

    def heads_of(z):
        return z.reshape(len(z), heads, size // heads, z.shape[-1])

    query, key, value = (heads_of(W.linear(z, size)) for z in (x, y, y))
    query *= (size // heads) ** -0.5
    weights = query.transpose(2, 3).contiguous().matmul(key)
    if mask is not None:
        weights += mask
    weights = W.dropout(F.softmax(weights, dim=-1), dropout)
    z = value.matmul(weights.transpose(2, 3).contiguous())
    return W.linear(z.reshape(len(z), -1, z.shape[-1]), size)


def wide(x, size_wide=2048, dropout=0.1, **kw):
    y = W.dropout(W.linear(x, size_wide, activation="relu"), dropout)
    return W.linear(y, x.shape[1])


def added(x, layer, dropout=0.1, **kw):
    return x + W.dropout(layer(W.layer_norm(x), **kw), dropout)


class Transformer(WarmModule):
    """(B, C, L), (B, C, L2) -> (B, C, L2)"""

    def __init__(self, *shapes, **kw):
        super().__init__()
        self.kw = kw
        warm.up(self, *(shapes or ([2, 16, 5], [2, 16, 5])))

    def forward(self, x, y):
        kw = {"num_encoder": 2, "num_decoder": 2, "size_wide": 32, **self.kw}
        mask = torch.full((y.shape[2], y.shape[2]), -torch.inf, device=y.device).triu(1)
        for _ in range(kw["num_encoder"]):
            x = added(added(x, attention, **kw), wide, **kw)
        x = W.layer_norm(x)
        for _ in range(kw["num_decoder"]):
            y = added(y, attention, mask=mask, **kw)
            y = added(x, attention, y=y, mask=None, **kw)
            y = added(y, wide, **kw)
        return W.layer_norm(y)


# ------------------------------------------------ the tutorial: what the examples leave out; built outside of its constructor


HALF = nn.init.constant_, {"val": 0.5}


class Tutorial(WarmModule):
    """{"sound": (L, B, C), "film": (B, C, T, H, W)} -> (B, 7)"""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(2, 6, 3, padding=1)

    def forward(self, inputs):
        film = W.conv(F.relu(self.first(inputs["film"])), 5, 3, activation=nn.ReLU(inplace=True), base_name="filter")
        film = W.conv(film, 4, 1, init_weight="kaiming_uniform_", init_bias=HALF, base_name="filter")
        film = W.dropout(W.batch_norm(film).mean(2), 0.3, by_channel=True)
        sound = W.conv(inputs["sound"], 6, 3, in_shape="DBC", padding=1, activation=(F.leaky_relu, {"negative_slope": 0.3}))
        sound = W.gru(sound, 5, num_layers=2, init_weight_ih="xavier_uniform_", out_shape="DBC", activation="tanh")
        sound = W.permute(sound, "DBC", "BCD")
        sound = W.transformer(sound, None, 1, 0, 1, dim_feedforward=8) + W.identity(sound, 3)
        sound = W.layer_norm(sound, [1, -1])
        y = torch.cat([film.mean([2, 3]), W.linear(sound, 8, bias=False)[..., -1]], 1)
        return W.linear(y, 7, init_weight=nn.init.xavier_normal_, name="out")


def tutorial():
    return warm.up(Tutorial(), {"sound": [9, 2, 4], "film": [2, 2, 5, 6, 6]})


NETWORKS = {
    "README": ConvNet,
    "resnet": ResNet,
    "mobilenet": MobileNet,
    "efficientnet": EfficientNet,
    "lstm": Tagger,
    "transformer": Transformer,
    "tutorial": tutorial,
}


def sample(name):
    """Inputs of that network, the same at every call."""
    of = torch.Generator().manual_seed(0)
    pictures = [torch.randn(3, 3, 64, 64, generator=of)]
    return {
        "README": [torch.randn(3, 1, 28, 28, generator=of)],
        "lstm": [torch.tensor([3, 1, 4, 1, 5, 8])],
        "transformer": [torch.randn(3, 16, 5, generator=of), torch.randn(3, 16, 5, generator=of)],
        "tutorial": [{"sound": torch.randn(9, 3, 4, generator=of), "film": torch.randn(3, 2, 5, 6, 6, generator=of)}],
    }.get(name, pictures)


def filled(model):
    """`model` with weights and statistics that keep the signal alive, the same for every network of these shapes."""
    of = torch.Generator().manual_seed(0)
    for name, x in model.state_dict().items():
        if x.is_floating_point():
            noise = torch.randn(x.shape, generator=of)
            x.copy_(noise * (2 / x[0].numel()) ** 0.5 if x.ndim > 1 else 1 + noise.abs() / 4 if "var" in name else noise / 2)
    return model


def results(name, model):
    """What there is to compare of a network: shapes by path, outputs in eval mode and in training, and gradients."""
    x = sample(name)
    filled(model)
    torch.manual_seed(1)
    y = model.eval()(*x).detach()
    torch.manual_seed(1)
    z = model.train()(*x)
    (z * torch.randn(z.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    gradients = {path: p.grad.norm() for path, p in model.named_parameters() if p.grad is not None}
    shapes = {path: tuple(x.shape) for path, x in model.state_dict().items()}
    return {"shapes": shapes, "y": y, "z": z.detach(), "gradients": gradients}
