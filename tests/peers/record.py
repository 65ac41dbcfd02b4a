"""Writes the golden logits and gradients of `tests/networks`, as the peers compute them in float64.

It runs in the environment of `tests/peers`.
"""

import alive
import golden
import torch

from .libraries import PEERS, gradients, logits, pair
from .timm_networks import NETWORKS, layers_pair

COMMAND = "cd tests && python -m peers.record"


def rounded(numbers: torch.Tensor) -> list:
    """Without the digits that differ from machine to machine."""
    return [rounded(n) if n.ndim else round(float(n), 13) for n in numbers]


def logit_records() -> dict:
    """The digest of each peer's logits, with the options that make warmnet follow it."""
    records = {}
    for variant in alive.VARIANTS:
        for name, peer in PEERS.items():
            options = {key: value for key, value in peer.options(variant).items() if key != "momentum"}
            for size in alive.sizes(variant):
                _, theirs = pair(name, variant, size, torch.float64)
                found = rounded(alive.digest(logits(theirs, alive.images(*size))))
                record = {"variant": variant, "size": size, "options": options, "logits": found}
                records[f"{variant} {name} {size[0]}x{size[1]}"] = record
    return records


def gradient_records() -> dict:
    """The norm of each parameter's gradient in timm's b0."""
    ours, theirs = pair("timm", "b0", (106, 75), torch.float64)
    norms = torch.stack([gradient.norm() for gradient in gradients(theirs, alive.images(106, 75))])
    return dict(zip(dict(ours.named_parameters()), rounded(norms), strict=True))


def layer_records() -> dict:
    """The digest of timm's logits for each of the networks that show W's layers."""
    records = {}
    for name, (_, side) in NETWORKS.items():
        _, theirs = layers_pair(name, torch.float64)
        records[name] = {"side": side, "logits": rounded(alive.digest(logits(theirs, alive.images(side, side))))}
    return records


def lineage_records() -> dict:
    """The name and shape of each of b0's tensors, as each peer has them."""
    records = {}
    for name, peer in PEERS.items():
        network = peer.build("b0", (64, 64), torch.float32)
        if name == "keras":
            variables = (w for layer in network.model.layers for w in layer.weights if layer.name != "normalization")
            records[name] = {variable.path: list(variable.shape) for variable in variables}
        else:
            records[name] = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    return records


if __name__ == "__main__":
    golden.write("lineages", COMMAND, lineage_records())
    golden.write("layers", COMMAND, layer_records())
    golden.write("logits", COMMAND, logit_records())
    golden.write("gradients", COMMAND, gradient_records())
