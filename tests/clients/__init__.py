"""warmnet's networks in other people's programs. These need an environment of their own: CONTRIBUTING.md."""

from importlib.util import find_spec

import torch

CLIENTS = (
    "accelerate", "captum", "fvcore", "opacus", "peft", "ptflops", "pytorch_grad_cam", "pytorch_lightning", "skorch", "thop",
    "timm", "torch_pruning", "torchao", "torchinfo", "torchvision",
)  # fmt: skip
if missing := [name for name in CLIENTS if find_spec(name) is None]:
    raise ImportError(
        f"tests/clients gives warmnet's networks to other people's programs, and {', '.join(missing)} cannot be found. "
        "CONTRIBUTING.md says how to install them all, in an environment of their own."
    )
# torchvision's Python half asks for the schemas of its operators, which it does not have beside a CPU build of torch.
operators = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
