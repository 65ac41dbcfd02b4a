"""Lineages: the libraries whose checkpoints are read and written, one a file, and the table of them."""

from . import keras, lukemelas, timm, torchvision, warmnet
from .lineage import Lineage

LINEAGES: dict[str, tuple[Lineage, ...]] = {  # a lineage for each family of networks, by the library's name
    "timm_tf": (timm.TF,),
    "torchvision": (torchvision.EFFICIENTNET, torchvision.MOBILENET_V2, torchvision.RESNET),
    "timm": (timm.NATIVE, timm.MOBILENET_V2, timm.RESNET),
    "lukemelas": (lukemelas.LINEAGE,),
    "keras": (keras.V1, keras.V2),
    "warmnet": warmnet.LINEAGES,
}
