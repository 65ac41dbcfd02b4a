"""Writes the golden logits and gradients of `tests/networks`, as the peers compute them in float64.

It runs in the environment of `tests/peers`.
"""

import alive
import golden
import torch

from .libraries import OF_V1, PEERS, gradients, logits, pair
from .timm_networks import NETWORKS, layers_pair

COMMAND = "cd tests && python -m peers.record"
RELATIVES = {  # whose numbers are recorded
    "lite0": "lite-pytorch",
    "v2-b0": "timm",
    "v2-b3": "keras",
    "mobilenetv2-1.0": "torchvision",
    "resnet18": "torchvision",
    "resnet50": "timm",
}


def rounded(numbers: torch.Tensor) -> list:
    """Without the digits that differ from machine to machine."""
    return [rounded(n) if n.ndim else round(float(n), 13) for n in numbers]


def logit_records() -> dict:
    """The digest of each peer's logits, with the options that make warmnet follow it."""
    records = {}
    for variant in alive.VARIANTS:
        for name in OF_V1:
            peer = PEERS[name]
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


def relative_records() -> dict:
    """The digest of a peer's logits for each of `RELATIVES`, and the norm of the gradients of each stage."""
    records, size = {}, (106, 75)
    for variant, name in RELATIVES.items():
        ours, theirs = pair(name, variant, size, torch.float64)
        x = alive.images(*size)
        found = rounded(alive.digest(logits(theirs, x)))
        by_path = dict(zip(dict(ours.named_parameters()), gradients(theirs, x), strict=True))
        norms = {stage: round(norm, 13) for stage, norm in alive.stage_norms(by_path).items()}
        options = {key: value for key, value in PEERS[name].options(variant).items() if key != "momentum"}
        records[variant] = {"peer": name, "size": size, "options": options, "logits": found, "gradients": norms}
    return records


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
    for name in OF_V1:
        peer = PEERS[name]
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
    golden.write("relatives", COMMAND, relative_records())
    golden.write("logits", COMMAND, logit_records())
    golden.write("gradients", COMMAND, gradient_records())
