"""What a pruner does to a network of `mb_block`s without gates, without a pruner."""

from torch import nn

import warmnet


def pruned(network, ratio=0.75):
    """The first channels of each convolution within a block, and of the last one, as a pruner leaves them."""
    for path, block in network.named_modules():
        if path.rpartition(".")[2].startswith("mb_block"):
            _prune_block(block, ratio)
    kept = int(network.head.conv.out_channels * ratio)
    _keep(network.head.conv, kept), _keep(network.head.bn, kept)
    network.classifier.weight.data = network.classifier.weight.data[:, :kept]
    network.classifier.in_features = kept
    return warmnet.adopt(network)


def _prune_block(block, ratio):
    if not hasattr(block, "expand"):
        return
    kept = int(block.depthwise.conv.out_channels * ratio)
    for part in block.expand, block.depthwise:
        _keep(part.conv, kept), _keep(part.bn, kept)
    block.depthwise.conv.groups = block.depthwise.conv.in_channels = kept
    block.project.conv.weight.data = block.project.conv.weight.data[:, :kept]
    block.project.conv.in_channels = kept


def _keep(layer, kept):
    for tensor in (*layer.parameters(), *layer.buffers()):
        if tensor.ndim:
            tensor.data = tensor.data[:kept].clone()
    name = "out_channels" if isinstance(layer, nn.Conv2d) else "num_features"
    setattr(layer, name, kept)
