"""What is said of a name that no checkpoint has: which was meant, and how what it stands for elsewhere differs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..networks.names import choose_one, did_you_mean, find_meant
from ..spelling import nearest
from ..text import first_ten
from .checkpoints import CHECKPOINTS, NamedCheckpoint

OWN_TRAINING = {  # timm's architectures that are other weights of a network here -> the tag of those that timm takes by default
    "efficientnet_b0": "ra_in1k",
    "efficientnet_b1": "ra4_e3600_r240_in1k",
    "efficientnet_b2": "ra_in1k",
    "efficientnet_b3": "ra2_in1k",
    "efficientnet_b4": "ra2_in1k",
    "efficientnet_b5": "sw_in12k_ft_in1k",
    "efficientnet_lite0": "ra_in1k",
    "mobilenetv2_100": "ra_in1k",
}


def explain_unknown(name: str) -> str:
    """What to write instead of a name that no checkpoint has, and how that differs; or all the names."""
    if re.fullmatch(r"\w+\.\w*in\d+k\w*", name):
        return f"timm's weights with a tag go by their id on the Hugging Face Hub: 'timm/{name}'."
    meant = find_meant(name, CHECKPOINTS)
    if meant:
        return f"{did_you_mean(name, CHECKPOINTS)} {_difference(name, CHECKPOINTS[meant])}"
    return f"{choose_one(name, CHECKPOINTS)}; or give a file, a run folder, or an id on the Hugging Face Hub."


def explain_missing(path: Path) -> str:
    """That a path does not exist, and which one beside it was meant; or what there is in its folder."""
    folder = path.parent
    names = sorted(name for name in os.listdir(folder) if not name.startswith(".")) if folder.is_dir() else []
    near = nearest(path.name, names)
    if near:
        return f"{path} does not exist. Did you mean {str(folder / near)!r}?"
    return f"{path} does not exist.{f' {folder} holds {first_ten(names)}.' if names else ''}"


def _difference(architecture: str, checkpoint: NamedCheckpoint) -> str:
    """What weights a name stands for, and which others go by the `architecture` elsewhere."""
    others = []
    if architecture in OWN_TRAINING:
        others.append(f"'timm/{architecture}.{OWN_TRAINING[architecture]}', timm's own training")
    if re.fullmatch(r"efficientnet_b[0-7]", architecture):
        others.append("torchvision's, by their file")
    here = f"Its weights here are {'the package ' if checkpoint.file else ''}{checkpoint.source}"
    if not others:
        return f"{here}."
    if architecture.startswith("efficientnet"):
        return f"{here}, ported from TensorFlow. Those with symmetric padding are {', and '.join(others)}."
    return f"{here}. Others are {', and '.join(others)}."
