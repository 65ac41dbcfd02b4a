"""A small network of each family, with every kind of block that it has."""

from functools import partial

import warmnet
from warmnet.networks import efficientnet_v2, mobilenet_v2
from warmnet.networks.resnet import basic_block, bottleneck

LITE = warmnet.VARIANTS["lite0"]._replace(width=0.5)
V2 = warmnet.VARIANTS["v2-b0"]._replace(width=0.5)
SMALL = {
    "lite": partial(warmnet.WarmEfficientNet, LITE, stages=warmnet.STAGES[:2], head=64),
    "v2": partial(warmnet.WarmEfficientNet, V2, stages=efficientnet_v2.BASE[:5:2], head=64),
    "mobilenet_v2": partial(warmnet.WarmMobileNetV2, 0.5, stages=mobilenet_v2.STAGES[:2], head=64),
    "resnet": partial(
        warmnet.WarmResNet,
        50,
        stem=16,
        stages=(warmnet.Stage(16, 1, 3, 1, 1, basic_block), warmnet.Stage(64, 4, 3, 2, 2, bottleneck)),
    ),
}
