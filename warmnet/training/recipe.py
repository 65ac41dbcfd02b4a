"""Recipes: every setting of a training run in one place, each named recipe a row with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from inspect import signature
from typing import Any

from ..checks import within
from ..data.augmentation import Augmentation
from ..data.files import is_json
from ..data.policy import Policy, as_policy
from ..data.policy_file import check_found
from ..data.preprocessing import INTERPOLATIONS, Preprocessing
from ..data.samples import Data
from ..errors import InputError
from ..networks.classifier import Classifier
from ..networks.families import NAMES
from ..spelling import choose_one
from . import schedule
from .resolution import STRIDE, choose_area, choose_crop, choose_resolution, network_resolution


@dataclass(frozen=True)
class Recipe:
    """How to train. Where a default is None, `sized` fills it in for a data set and a network.

    The run:

    - `epochs`, `batch_size`: passes over the images; images in a step of all processes together.
    - `lr`: the peak learning rate; default: `base_lr` for 256 images in a step, and in proportion.
    - `optimizer`: 'adamw'; 'rmsprop', TensorFlow's; or 'sgd', with Nesterov's momentum 0.9.
    - `schedule`: 'cosine', up for the share `warmup` of the run, then down; or 'paper' or 'timm', see schedule.py, whose
      epochs shrink in proportion in runs that are shorter than theirs.
    - `weight_decay`, `decay_biases`: of kernels, and of biases too; never of normalization.
    - `ema`: 'paper' or 'constant', see ema.py: the average is evaluated and saved.
    - `patience`: stop after so many epochs without a lower held-out loss; the best epoch's weights are the run's.

    The images:

    - `resolution`, `crop`, `interpolation`: of `Preprocessing`. With the interpolation 'random', images that are trained on are
      bilinear or bicubic, and the others bicubic.
    - `sampling`, `area`, `shift`, `flip`, `augment`, `magnitude`, `erase`: of `Augmentation`.
    - `found`: where those come from, if a search has found them; it changes nothing. Default: {}.
    - The defaults of `resolution`, `crop` and `area` depend on the size of the images, see resolution.py.
    - `mixup`, `cutmix`: their alpha, each for half of the steps if both.

    The network:

    - `network`: options of the network. `zero_classifier`: start the classifier at zero.
    - `label_smoothing`; `class_weights`: rare classes count more in the loss, in inverse proportion to their images.
    - `frozen_norm`: batch normalization keeps its statistics. `layer_decay`: each stage learns so much slower than the next.
    - `freeze`: the last part of the network that keeps its weights and statistics, such as 'stage_3', and all before it do;
      with 'all' the classifier alone learns. Default: none.
    - `unfreeze`: epochs until all stages learn; before, one after the other from the last. 0: all at once.
    """

    name: str
    epochs: int | None
    resolution: int | None = None
    crop: float | None = None
    interpolation: str = "bicubic"
    batch_size: int | None = None
    lr: float | None = None
    base_lr: float = 0.04
    optimizer: str = "adamw"
    schedule: str = "cosine"
    warmup: float = 0.1
    weight_decay: float = 0.01
    decay_biases: bool = False
    ema: str | None = None
    patience: int | None = None
    label_smoothing: float = 0.1
    sampling: str = "shift"
    area: tuple[float, float] | None = None
    shift: float = 0.0
    flip: bool = False
    augment: str | Policy | None = None
    magnitude: int = 10
    mixup: float = 0.0
    cutmix: float = 0.0
    erase: float = 0.0
    found: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    zero_classifier: bool = False
    class_weights: bool = False
    frozen_norm: bool = False
    layer_decay: float = 1.0
    freeze: str | None = None
    unfreeze: int = 0

    def __post_init__(self) -> None:
        if is_json(self.augment):
            read = f"recipe.with_settings(read_policy({str(self.augment)!r}))"
            raise InputError(f"augment is {str(self.augment)!r}, a file. Read it, by warmnet.data.read_policy: {read}.")
        object.__setattr__(self, "augment", as_policy(self.augment))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}. {choose_one(getattr(self, name), choices)}.")
        for name, (kind, least, most) in RANGES.items():
            _check_number(name, getattr(self, name), kind, least, most)
        for name in ("decay_biases", "zero_classifier", "class_weights", "frozen_norm"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be True or False.")
        for name in ("name", "freeze"):
            if not isinstance(getattr(self, name), str) and not (name == "freeze" and self.freeze is None):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be text.")
        _check_network(self.network)
        check_found(self.found)
        self._augmentation((1, 1) if self.area is None else self.area)  # or an error
        if self.epochs is not None and self.unfreeze > self.epochs:
            raise InputError(f"unfreeze is {self.unfreeze}: after {self.epochs} epochs some stages would not have learned.")
        if self.freeze is not None and self.unfreeze:
            raise InputError(
                f"freeze is {self.freeze!r} and unfreeze {self.unfreeze}: one keeps stages as they are, by the other all learn "
                f"in the end. Choose one."
            )

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are evaluated."""
        if self.resolution is None:
            raise InputError("The recipe's resolution is not chosen yet. Call sized() first.")
        return Preprocessing(self.resolution, self.crop, "bicubic" if self.interpolation == "random" else self.interpolation)

    @property
    def augmentation(self) -> Augmentation:
        """How images are trained on."""
        if self.area is None:
            raise InputError("The recipe's area is not chosen yet. Call sized() first.")
        return self._augmentation(self.area)

    def _augmentation(self, area: tuple[float, float]) -> Augmentation:
        return Augmentation(
            self.sampling, area, self.shift, self.interpolation == "random",
            self.flip, self.augment, self.magnitude, self.erase,
        )  # fmt: skip

    def sized(
        self, images: int, short_side: float = 375, resolution: int = 224, stride: int = STRIDE, from_weights: bool = False
    ) -> Recipe:
        """This recipe for training on so many images, its defaults filled in. The recipe's own settings go before.

        - `short_side`: the median of the images' short sides. Default: as ImageNet's.
        - `resolution`, `stride`: what the network is for, and its total stride. Defaults: those of b0.
        - `from_weights`: the network starts from weights, and `resolution` is theirs: it is kept.

        >>> from warmnet.training import RECIPES
        >>> recipe = RECIPES['paper'].sized(images=1_281_167)
        >>> recipe.batch_size, recipe.lr, recipe.resolution
        (4096, 0.256, 224)
        >>> RECIPES['small'].sized(images=60_000, short_side=28).resolution
        64
        """
        batch_size = min(self.batch_size or min(64, max(8, images // 8)), images)
        steps = max(1, round(images / batch_size))
        if not from_weights:
            resolution = choose_resolution(short_side, resolution, stride)
        resolution = self.resolution or resolution
        return replace(
            self,
            resolution=resolution,
            crop=choose_crop(short_side, resolution) if self.crop is None else self.crop,
            area=choose_area(short_side) if self.area is None else self.area,
            batch_size=batch_size,
            epochs=self.epochs or min(40, max(8, round(2500 / steps))),
            lr=self.base_lr * batch_size / 256 if self.lr is None else self.lr,
        )

    def sized_for(self, model: Classifier, data: Data, from_weights: bool) -> Recipe:
        """This recipe for training the model on the data, its defaults filled in."""
        resolution = network_resolution(model)
        return self.sized(len(data.train), data.median_short_side, resolution, model.reduction, from_weights)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """This recipe with other settings. Raises InputError for one that recipes do not have."""
        known = [field.name for field in fields(self) if field.name != "name"]  # which says where the others come from
        unknown = settings.keys() - {*known}
        if unknown:
            name = min(unknown)
            cure = f"{choose_one(name, known)}."
            if any(name in signature(family).parameters for family in NAMES.values()):
                cure = f"It may be an option of the network: network={{{name!r}: {settings[name]!r}}}."
            raise InputError(f"{name}: recipes have no such setting. {cure}")
        return replace(self, **settings)

    def rate(self, step: int, steps: int, images: int) -> float:
        """The learning rate of a step, of so many in all."""
        assert self.lr is not None and self.epochs is not None and self.batch_size is not None  # sized
        if self.schedule == "cosine":
            return schedule.cosine(step, steps, self.lr, self.warmup * steps)
        if self.schedule == "timm":
            shorter = min(1.0, self.epochs / 450)
            return schedule.staircase(step * self.epochs // steps, self.lr, 5 * shorter, 2.4 * shorter, start=1e-6)
        epoch = images / self.batch_size * min(1.0, self.epochs / 350)
        return schedule.staircase(step, self.lr, int(5 * epoch), 2.4 * epoch)

    def __str__(self) -> str:
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs or 'so many'} epochs"
        rate = f"{self.base_lr:.2g} for 256 images" if self.lr is None else f"{self.lr:.2g}"
        batch = self.batch_size or "by the data"
        text = f"Recipe {self.name}: {epochs}, batch {batch}, {self.optimizer} {rate} ({self.schedule})"
        settings = {name: getattr(self, name) for name in ("augment", "ema", "mixup", "cutmix", "erase", "patience", "freeze")}
        for name, value in {**settings, **self.network}.items():
            if value:
                text += f", {name} {value}"
        return f"{text}."


def _check_number(name: str, value: Any, kind: type, least: float, most: float) -> None:
    """Raise if the value is not a number of the kind in the range, or None where the setting may be."""
    if value is None and Recipe.__dataclass_fields__[name].default in (None, MISSING):
        return
    within(name, value, least, most, kind)


def check_is_recipe(recipe: Any) -> None:
    """Raise InputError for what is no recipe."""
    if not isinstance(recipe, Recipe):
        raise InputError(f"recipe is {recipe!r:.60}, and not a Recipe. By its name it is training.RECIPES['small'].")


def _check_network(options: Any) -> None:
    """Raise if they are no options of a network, or decided elsewhere."""
    if not isinstance(options, Mapping):
        raise InputError(f"network is {options!r}; it must be options of the network, {{'dropout': 0.5}}.")
    for name in options.keys() & ELSEWHERE.keys():
        raise InputError(f"network has {name!r}, which is no option of a recipe: {ELSEWHERE[name]}.")


CHOICES: dict[str, tuple[str | None, ...]] = {
    "optimizer": ("adamw", "rmsprop", "sgd"),
    "schedule": ("cosine", "paper", "timm"),
    "ema": (None, "paper", "constant"),
    "interpolation": (*INTERPOLATIONS, "random"),
}

RANGES: dict[str, tuple[type, float, float]] = {
    "epochs": (int, 1, 1e6), "resolution": (int, 1, 1e4), "batch_size": (int, 2, 1e9), "lr": (float, 0, 1e6),
    "base_lr": (float, 0, 1e6), "warmup": (float, 0, 1), "weight_decay": (float, 0, 1e6), "patience": (int, 1, 1e6),
    "label_smoothing": (float, 0, 1), "mixup": (float, 0, 1e6),
    "cutmix": (float, 0, 1e6), "crop": (float, 1e-6, 1), "layer_decay": (float, 1e-6, 1),
    "unfreeze": (int, 0, 1e6),
}  # fmt: skip

ELSEWHERE = {  # keywords of every network that no recipe sets, and what decides them
    "variant": "it is chosen by --variant (variant=)", "num_classes": "there are as many as the images have",
    "in_channels": "images have 3", "device": "it is chosen by --device (execution=)", "seed": "it is chosen by --seed (seed=)",
}  # fmt: skip

# From scratch on hundreds or thousands of images, in minutes. Two things decide how so short a run ends, and differ from the
# paper. Batch normalization evaluates with running averages, of which the paper's momentum 0.01 replaces 1 % at a step: after
# 220 steps, ten epochs of digits, 11 % of each is still its start at 0 or 1, layer upon layer; the same weights that get 99.2 %
# of the held-out digits right with 0.1 get 88.5 % with 0.01. And the classifier starts at zero: the official start,
# U(-1, 1) / sqrt(classes), fits 1,000 classes; for 10 it is ten times as large, and the first epochs go into undoing it.
#
# What the size of the images decides, see resolution.py, was measured by benchmarks/resolution.py: accuracy in %, ± the
# standard error of so many test images, of one seed where no other number is given. From scratch by
# Variant(0.25, 0.3, 224, 0.2), with area (0.7, 1) and nothing cut off:
#
#   side                                          32    64    128   224
#   digits, 8x8                                   99.2  99.2              ± 0.5
#   Fashion-MNIST, 28x28, 50 a class              75.2  78.8  78.2        ± 1.3
#   Fashion-MNIST, 20 a class                           73.1        72.2  ± 1.4
#   Fashion-MNIST, 50 a class, b0                 75.0  77.2              ± 1.3
#   stamps, short side 109, two seeds             56.4  61.6  64.5  69.7  ± 1.8
#
# So twice the short side is best or equal to the best wherever both are there, as far as the errors let one see.
# All of the image instead of 0.875 of it: digits +7.4 at 32; Fashion-MNIST at 64 +1.3 and +2.5; stamps at 224 +3.4 and +3.4.
# The paper's crop, resolution / (resolution + 32), at 64 instead of all: Fashion-MNIST -22 and -19. Area from 0.7 instead of
# from 0.25, each with its better crop: Fashion-MNIST at 64 +3.1 and +5.0; stamps +1.1 at 64 and -0.8 at 128 (± 2). Images with
# a short side of 128 and more were not measured: 0.875 is the paper's crop at 224, and an area from 0.35 lies between.
DIGITS = Recipe("small", epochs=16, shift=1 / 16, network={"momentum": 0.1}, zero_classifier=True)
PHOTOS = replace(DIGITS, epochs=30, sampling="part", flip=True)

# The paper's, to the constants of tensorflow/tpu, models/official/efficientnet: main.py, utils.py, preprocessing.py.
PAPER = Recipe(
    "paper", epochs=350, batch_size=4096, base_lr=0.016, optimizer="rmsprop", schedule="paper", weight_decay=1e-5,
    decay_biases=True, ema="paper", sampling="official", flip=True, augment="autoaugment",
)  # fmt: skip

# timm's published command for b0, 77.7 % (hfdocs/source/training_script.mdx), of two processes with 384 images each.
TIMM_B0 = Recipe(
    "timm-b0", epochs=450, crop=0.875, batch_size=768, base_lr=0.016, optimizer="rmsprop", schedule="timm",
    weight_decay=1e-5, ema="constant", interpolation="random", sampling="torchvision", flip=True, augment="randaugment-timm",
    magnitude=9, erase=0.2, network={"padding": "symmetric", "eps": 1e-5, "momentum": 0.1},
)  # fmt: skip

# Plain SGD with a cosine, to compare with.
SGD = Recipe(
    "sgd", epochs=100, batch_size=256, base_lr=0.1, optimizer="sgd", weight_decay=5e-5, warmup=0.05, sampling="torchvision",
    flip=True,
)  # fmt: skip

# From weights that are there, on 50 to 50,000 images. keras-io's guide and Kornblith et al. (arXiv:1805.08974): the whole
# network learns, its statistics are kept, and the classifier is new. The learning rate is the same for any batch: in proportion
# to the batch of 8 that 50 images come in, it would be too low to get anywhere. It was 0.002, tuned on 8x8 digits: too fast for
# ImageNet's weights, and for wide layers, whose weights are small beside Adam's steps. With 0.0005, 0.001 and 0.002, after 8
# epochs of 152 stamps at 128, lite0's of ImageNet got 81.5, 82.9 and 79.7 % right and mobilenetv2's 81.5, 79.4 and 75.4 % (two
# splits, by benchmarks/finetune.py, which has the other settings, too); a resnet18 that had got 98.6 % of the digits right,
# after 8 steps on 72 of the same, 95, 95 and 76 %, and 78 % with 0.002 and a warm-up over all 8.
# The side is that of the weights, however small the images. lite0's of ImageNet, ten epochs, at 32, 64, 128 and 224: 77.0,
# 79.8, 82.7 and 84.5 % of Fashion-MNIST, 20 a class (± 1.2); stamps at 64, 128 and 224: 81.6, 85.0, 86.7 % (± 1.9); one seed,
# with the learning rate 0.002.
FINETUNE = Recipe(
    "finetune", epochs=None, lr=0.001, weight_decay=0.01, sampling="part", flip=True, patience=8,
    zero_classifier=True, class_weights=True, frozen_norm=True, layer_decay=0.75,
)  # fmt: skip

RECIPES = {recipe.name: recipe for recipe in (PHOTOS, PAPER, TIMM_B0, SGD, FINETUNE)}
