"""Lineages: the libraries whose checkpoints of EfficientNet are read and written, one a file, and the table of them."""

from . import keras, lukemelas, timm, torchvision, warmnet

LINEAGES = {
    lineage.name: lineage
    for lineage in (timm.TF, timm.NATIVE, torchvision.LINEAGE, lukemelas.LINEAGE, keras.LINEAGE, warmnet.LINEAGE)
}
