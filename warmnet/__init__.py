"""EfficientNet as plain forward functions on PyWarm's lazy layers: exact, fast and safe to build on."""

from .efficientnet import (
    STAGES,
    VARIANTS,
    Stage,
    Variant,
    WarmEfficientNet,
    compound,
    conv_bn_act,
    mb_block,
    squeeze_excitation,
    stage,
)
from .module import (
    Block,
    Endpoints,
    MismatchError,
    NameTakenError,
    NotWarmError,
    SealedError,
    WarmError,
    WarmModule,
    block,
    up,
)
from .weights import WeightsError, WeightsWarning, convert, load, save, transplant

__version__ = "0.1.0"

__all__ = [
    "STAGES",
    "VARIANTS",
    "Block",
    "Endpoints",
    "MismatchError",
    "NameTakenError",
    "NotWarmError",
    "SealedError",
    "Stage",
    "Variant",
    "WarmEfficientNet",
    "WarmError",
    "WarmModule",
    "WeightsError",
    "WeightsWarning",
    "block",
    "compound",
    "conv_bn_act",
    "convert",
    "load",
    "mb_block",
    "save",
    "squeeze_excitation",
    "stage",
    "transplant",
    "up",
]
