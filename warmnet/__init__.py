"""EfficientNet as plain forward functions on PyWarm's lazy layers: exact, fast and safe to build on."""

from . import functional
from .authoring.budgets import within
from .deployment import Predictor, deploy, export, open_exported, predict
from .engine.block import Block, block
from .engine.build import adopt
from .engine.endpoints import Endpoints
from .engine.module import WarmModule
from .engine.pywarm import up
from .errors import MismatchError, NameTakenError, NotWarmError, SealedError, WarmError
from .inspection import explain, gates, grad_cam
from .kernels.memory import keep_memory
from .networks.classifier import Classifier
from .networks.efficientnet import (
    STAGES,
    VARIANTS,
    Stage,
    Variant,
    WarmEfficientNet,
    compound,
    conv_bn_act,
    efficientnet,
    mb_block,
    squeeze_excitation,
    stage,
)
from .networks.efficientnet_v2 import fused_mb_block
from .networks.mobilenet_v2 import WarmMobileNetV2, mobilenet_v2
from .networks.resnet import WarmResNet, resnet
from .summary import diff, draw, receptive_fields, tabulate
from .summary.measuring import table_html
from .version import __version__
from .weights import WeightsError, WeightsWarning, convert, from_pretrained, load, save, transplant
from .weights.listing import pretrained

Classifier.from_pretrained = classmethod(from_pretrained)  # type: ignore[assignment]
Classifier.predict = predict
Classifier._repr_html_ = table_html  # type: ignore[assignment]

__all__ = [
    "STAGES",
    "VARIANTS",
    "Block",
    "Classifier",
    "Endpoints",
    "MismatchError",
    "NameTakenError",
    "NotWarmError",
    "Predictor",
    "SealedError",
    "Stage",
    "Variant",
    "WarmEfficientNet",
    "WarmError",
    "WarmMobileNetV2",
    "WarmModule",
    "WarmResNet",
    "WeightsError",
    "WeightsWarning",
    "__version__",
    "adopt",
    "block",
    "compound",
    "conv_bn_act",
    "convert",
    "deploy",
    "diff",
    "draw",
    "efficientnet",
    "explain",
    "export",
    "functional",
    "fused_mb_block",
    "gates",
    "grad_cam",
    "keep_memory",
    "load",
    "mb_block",
    "mobilenet_v2",
    "open_exported",
    "pretrained",
    "receptive_fields",
    "resnet",
    "save",
    "squeeze_excitation",
    "stage",
    "tabulate",
    "transplant",
    "up",
    "within",
]


def __dir__() -> list[str]:
    return __all__
