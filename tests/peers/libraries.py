"""The peers' EfficientNets, what each asks of warmnet to be followed, and how its tensors line up with ours."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple
from unittest import mock

import torch
from alive import fill, loss
from torch import Tensor, nn

import warmnet
from warmnet.networks.families import NAMES

LIBRARIES = "efficientnet_lite_pytorch", "efficientnet_pytorch", "keras", "timm", "torchvision"
if missing := [name for name in LIBRARIES if find_spec(name) is None]:
    raise ImportError(
        f"tests/peers compares warmnet with its peers, and {', '.join(missing)} cannot be found. Install all of the peers "
        "in constraints.txt, in an environment of their own: a torchvision beside a CPU build of torch breaks others."
    )
os.environ["KERAS_BACKEND"] = "torch"
# torchvision's Python half asks for the schemas of its operators, which it does not have beside a CPU build of torch.
operators = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import efficientnet_lite_pytorch  # noqa: E402
import efficientnet_pytorch  # noqa: E402
import keras  # noqa: E402
import timm  # noqa: E402
import torchvision  # noqa: E402
from keras.src.backend.common import dtypes as keras_dtypes  # noqa: E402


class Peer(NamedTuple):
    """A library: its network by (variant, size, dtype, **settings), and the options that make warmnet follow it."""

    build: Callable[..., nn.Module]
    options: Callable[[str], dict[str, Any]]


def timm_name(variant):
    """What timm calls a network, of EfficientNets the one with TensorFlow's padding."""
    if variant.startswith("resnet"):
        return variant
    if variant.startswith("mobilenetv2-"):
        return f"mobilenetv2_{100 * float(variant.removeprefix('mobilenetv2-')):03.0f}"
    return f"tf_efficientnet{variant.replace('-', '_')}" if variant.startswith("v2-") else f"tf_efficientnet_{variant}"


def from_timm(variant, size, dtype, **settings):
    return timm.create_model(timm_name(variant), **settings).to(dtype)


def from_timm_symmetric(variant, size, dtype):
    return timm.create_model(timm_name(variant).removeprefix("tf_")).to(dtype)


def from_lukemelas(variant, size, dtype):
    """Padded for images of `size`, once and for all."""
    rates = {"dropout_rate": 0.0, "drop_connect_rate": 0.0}
    return efficientnet_pytorch.EfficientNet.from_name(f"efficientnet-{variant}", image_size=size, **rates).to(dtype)


def from_lite_pytorch(variant, size, dtype):
    rates = {"dropout_rate": 0.0, "drop_connect_rate": 0.0}
    return efficientnet_lite_pytorch.EfficientNet.from_name(f"efficientnet-{variant}", image_size=size, **rates).to(dtype)


def from_torchvision(variant, size, dtype, output_stride=32):
    if variant.startswith("resnet"):
        dilated = [output_stride < stride for stride in (8, 16, 32)]
        return getattr(torchvision.models, variant)(replace_stride_with_dilation=dilated).to(dtype)
    if variant == "mobilenetv2-1.0":
        return torchvision.models.mobilenet_v2(dropout=0.0).to(dtype)
    name = f"efficientnet_{variant.replace('-', '_')}"
    return getattr(torchvision.models, name)(dropout=0.0, stochastic_depth_prob=0.0).to(dtype)


class Keras(nn.Module):
    """A Keras application, for images of one `size`, as a torch module: (B, 3, H, W) -> (B, 1000)."""

    def __init__(self, variant, size, dtype):
        super().__init__()
        self.dtype = str(dtype).removeprefix("torch.")
        keras.config.set_floatx(self.dtype)
        keras.config.set_dtype_policy(self.dtype)  # the first network would have settled it for all
        application = getattr(keras.applications, f"EfficientNet{variant.upper().replace('-', '')}")
        pixels = {"include_preprocessing": False} if variant.startswith("v2-") else {}
        self.model = application(weights=None, input_shape=(*size, 3), classifier_activation=None, **pixels)
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
            elif isinstance(layer, keras.layers.Rescaling):  # nor does the Normalization after it do anything as yet
                layer.scale = 1.0

    def forward(self, x):
        with mock.patch.dict(keras_dtypes.BIT64_TO_BIT32_DTYPE, {self.dtype: self.dtype}):  # it computes float64 in float32
            return self.model(x.permute(0, 2, 3, 1), training=self.training)

    def variables(self):
        """Each variable in forward order, and which of its axes are ours."""
        for layer in self.model.layers:
            kernel = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
            if not isinstance(layer, keras.layers.Normalization):
                for variable in layer.weights:
                    yield variable.value, {1: (0,), 2: (1, 0), 4: kernel}[variable.value.ndim]


def torchvision_options(variant):
    """None for MobileNetV2 and ResNet, which follow torchvision as they are."""
    if variant not in warmnet.VARIANTS:
        return {}
    return {"padding": "symmetric"} | ({"eps": 1e-5, "momentum": 0.1} if variant < "b5" else {})


PEERS = {  # their statistics' momentum counts in training alone
    "timm": Peer(from_timm, lambda variant: {"momentum": 0.1}),
    "timm symmetric": Peer(from_timm_symmetric, lambda variant: {"padding": "symmetric", "eps": 1e-5, "momentum": 0.1}),
    "lukemelas": Peer(from_lukemelas, lambda variant: {}),
    "keras": Peer(Keras, lambda variant: {}),
    "torchvision": Peer(from_torchvision, torchvision_options),
    "lite-pytorch": Peer(from_lite_pytorch, lambda variant: {}),
}
OF_V1 = "timm", "lukemelas", "keras", "torchvision"


def tensors(network: nn.Module) -> list[Tensor]:
    """Weights and statistics in forward order, to be read and written."""
    if isinstance(network, Keras):
        return [value.detach().permute(axes) for value, axes in network.variables()]
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def pair(peer: str, variant: str, size, dtype: torch.dtype, **settings) -> tuple[nn.Module, nn.Module]:
    """warmnet's network and the peer's with the same weights and statistics, and nothing random in either."""
    build, options = PEERS[peer]
    ours = NAMES[variant](variant, dropout=0.0, drop_connect=0.0, **options(variant), **settings)
    ours, theirs = fill(ours.to(dtype)), build(variant, size, dtype, **settings)
    for copy, tensor in zip(tensors(theirs), tensors(ours), strict=True):
        assert copy.shape == tensor.shape, (copy.shape, tensor.shape)
        copy.copy_(tensor)
    return ours, theirs


def logits(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return network.eval()(x)


def gradients(network: nn.Module, x: Tensor) -> list[Tensor]:
    """The gradients of `loss` in training mode, in forward order."""
    loss(network.train()(x)).backward()
    if isinstance(network, Keras):
        return [value.grad.permute(axes) for value, axes in network.variables() if value.grad is not None]
    return [parameter.grad for parameter in network.parameters()]
