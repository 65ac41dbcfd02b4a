"""The parts of the training recipe are the peers' parts of the same definition."""

import random
from collections import Counter
from dataclasses import replace
from itertools import count, product

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from warmnet import WarmEfficientNet
from warmnet.data import timm_augment
from warmnet.data.autoaugment import V0, apply, sign
from warmnet.data.crop import SMALLEST, random_resized_crop
from warmnet.training.ema import EMA
from warmnet.training.optimizer import build_optimizer
from warmnet.training.recipe import RECIPES
from warmnet.training.rmsprop import RMSpropTF
from warmnet.training.schedule import timm as timm_rate

from .libraries import timm, torchvision

# isort: off
import timm.optim  # after .libraries, without which torchvision cannot be imported
import timm.scheduler
import timm.utils
from timm.data import auto_augment, create_transform
from torchvision.transforms.functional import resized_crop


noise = np.random.default_rng(0).normal(size=(97, 130, 3)).cumsum(0).cumsum(1)
PICTURE = ((noise - noise.min()) / np.ptp(noise) * 230 + 10).astype(np.uint8)  # neighbours are alike, as on photographs


@pytest.mark.parametrize("weight_decay", [0.0, 1e-5, 1e-2])
def test_rmsprop_is_timms_with_coupled_decay_and_the_rate_in_the_momentum(weight_decay):
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in [(4, 3, 2), (5,), ()]]
    ours, theirs = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    settings = {"lr": 0.1, "alpha": 0.9, "momentum": 0.9, "eps": 1e-3, "weight_decay": weight_decay}
    optimizers = [
        RMSpropTF(ours, **settings),
        timm.optim.RMSpropTF(theirs, **settings, lr_in_momentum=True, decoupled_decay=False),
    ]
    for step in range(300):
        gradients = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in start]
        for params, optimizer in zip((ours, theirs), optimizers):
            optimizer.param_groups[0]["lr"] = 0.1 * 0.97 ** (step // 10)
            for p, gradient in zip(params, gradients):
                p.grad = gradient.clone()
            optimizer.step()
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("warmup", [3, 5])
def test_the_rate_is_timms_at_every_epoch(warmup):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.048)
    scheduler = timm.scheduler.StepLRScheduler(
        optimizer, decay_t=2.4, decay_rate=0.97, warmup_t=warmup, warmup_lr_init=1e-6, warmup_prefix=False
    )
    for epoch in range(450):
        scheduler.step(epoch)
        for step in (epoch * 1668, epoch * 1668 + 1667):
            assert timm_rate(step, 1668, warmup=warmup) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def test_the_average_with_a_constant_decay_is_timms():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).double()
    ours, theirs = EMA(model, 0.99, constant=True), timm.utils.ModelEmaV2(model, 0.99)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        model(torch.randn(4, 3, 5, 5, dtype=torch.float64)).square().mean().backward()
        optimizer.step()
        ours.update()
        theirs.update(model)
    for key, value in theirs.module.state_dict().items():
        if value.is_floating_point():  # timm averages the count of batches as well
            torch.testing.assert_close(ours.average[key], value, rtol=1e-12, atol=1e-12)


def test_the_boxes_are_as_large_as_torchvisions():
    rng, image = random.Random(0), torch.empty(3, 375, 500)
    get_params = torchvision.transforms.RandomResizedCrop.get_params
    theirs = np.array([get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(5000)])
    left, top, right, bottom = np.array([random_resized_crop(500, 375, rng) for _ in range(5000)]).T
    mean, expected = ((right - left) * (bottom - top)).mean() / 187500, (theirs[:, 2] * theirs[:, 3]).mean() / 187500
    assert abs(mean - expected) < 0.022  # five standard deviations of a mean, 0.216 / √5000, times √2


def test_the_policy_is_timms_but_for_the_relative_translation():
    theirs = auto_augment.auto_augment_policy_v0(auto_augment._HPARAMS_DEFAULT)
    assert [[(op.name.removesuffix("Rel"), op.prob, op.magnitude) for op in policy] for policy in theirs] == [[*p] for p in V0]


# How far timm's operations, which are Pillow's, are from the official ones: in no byte, in bytes by one, or in the share of the
# pixels that are read from beside the nearest. It is large for shears, which Pillow takes from the edge of the first pixels and
# not from their centres. Contrast is another operation altogether; bits below 1 and thresholds above 255 have no meaning here.
SAME = ["Equalize", "Invert", "Posterize", "Solarize", "SolarizeAdd", "Brightness", "TranslateX", "TranslateY"]
BY_ONE = ["AutoContrast", "Color", "Sharpness"]
MOVED = {"Rotate": 0.002, "ShearX": 0.2, "ShearY": 0.2}
NO_BYTE = {("Posterize", 0), ("Posterize", 1), ("Posterize", 2), ("Solarize", 10)}
SIGNED = ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"]


@pytest.mark.parametrize("operation", [*SAME, *BY_ONE, *MOVED])
def test_every_operation_is_timms_but_for_what_pillow_does_otherwise(operation):
    for level in range(11):
        for way in (1, -1) if operation in SIGNED else (1,):
            if (operation, level) not in NO_BYTE:
                difference = np.abs(ours(operation, level, way) - theirs(operation, level, way)).max(2)
                assert (difference > 0).mean() <= MOVED.get(operation, 1), (level, way)
                assert operation in MOVED or difference.max() <= (operation in BY_ONE), (level, way)


def ours(operation, level, way):
    seed = next(seed for seed in count() if sign(random.Random(seed)) == way)
    return apply(operation, level, PICTURE, random.Random(seed)).astype(int)


def theirs(operation, level, way):
    random.seed(next(seed for seed in count() if (random.Random(seed).random() > 0.5) == (way < 0)))
    settings = {"translate_const": 250, "img_mean": (128, 128, 128), "interpolation": Image.Resampling.NEAREST}
    return np.asarray(auto_augment.AugmentOp(operation, 1.0, level, settings)(Image.fromarray(PICTURE))).astype(int)


# timm's published command for B0. What it leaves out is timm's default.
COMMAND = {"auto_augment": "rand-m9-mstd0.5", "interpolation": "random", "re_prob": 0.2, "re_mode": "pixel"}
PHOTOS = [load_sample_image("china.jpg")[100:324, 150:374], load_sample_image("flower.jpg")[37:100, 200:331]]


def test_the_recipe_is_timms_command():
    recipe = RECIPES["timm-b0"].sized(1_281_167)
    crop, flip, augment, _, normalize, erase = create_transform(224, is_training=True, **COMMAND).transforms
    assert (recipe.sampling, [*crop.scale], [*crop.ratio]) == ("torchvision", [SMALLEST, 1], [3 / 4, 4 / 3])
    assert (recipe.flip, flip.p, crop.size) == (True, 0.5, (recipe.resolution,) * 2)
    assert (recipe.augment, augment.num_layers, augment.choice_weights) == ("randaugment-timm", 2, None)
    assert [op.name.removesuffix("Rel") for op in augment.ops] == [*timm_augment.OPERATIONS]
    for op in augment.ops:
        assert (op.magnitude, op.magnitude_std) == (recipe.magnitude, timm_augment.SPREAD)
        assert (op.prob, op.magnitude_max) == (timm_augment.PROBABILITY, None)
        assert op.kwargs == {"fillcolor": timm_augment.MEAN, "resample": timm_augment.FILTERS}
    evaluated = timm.get_pretrained_cfg("efficientnet_b0.ra_in1k")
    expected = recipe.preprocessing.mean, recipe.preprocessing.std, recipe.preprocessing.interpolation, recipe.crop
    assert (evaluated.mean, evaluated.std, evaluated.interpolation, evaluated.crop_pct) == expected
    assert [*map(tuple, (normalize.mean.tolist(), normalize.std.tolist()))] == [pytest.approx(x) for x in expected[:2]]
    assert (erase.probability, erase.per_pixel, erase.max_count) == (recipe.erase, True, 1)


def test_the_recipes_network_and_optimizer_are_timms_command():
    recipe = RECIPES["timm-b0"].sized(1_281_167)
    network = timm.create_model("efficientnet_b0", drop_rate=0.2, drop_path_rate=0.2)
    theirs = timm.optim.create_optimizer_v2(network, "rmsproptf", lr=0.048, weight_decay=1e-5, momentum=0.9, eps=0.001)
    model = WarmEfficientNet("b0", **recipe.network)
    ours = build_optimizer(model, recipe)
    sizes = [{g["weight_decay"]: sum(p.numel() for p in g["params"]) for g in o.param_groups} for o in (ours, theirs)]
    assert sizes[0] == sizes[1] and sizes[0].keys() == {0, 1e-5}
    for settings in ({key: o.param_groups[0][key] for key in ("alpha", "momentum", "eps")} for o in (ours, theirs)):
        assert settings == {"alpha": 0.9, "momentum": 0.9, "eps": 0.001}
    assert theirs.param_groups[0]["lr"] == pytest.approx(recipe.lr) == 0.048
    assert (recipe.label_smoothing, recipe.epochs, recipe.ema, recipe.mixup, recipe.cutmix) == (0.1, 450, "constant", 0, 0)


LEVELS = 0, 3, 5.37, 7.5, 8.3, 9, 9.61, 10
PAIRS = [pair for pair in product(timm_augment.OPERATIONS, LEVELS) if pair != ("Posterize", 0)]  # an error of Pillow 13's


@pytest.mark.parametrize("operation, level", PAIRS)
def test_timms_operations_are_timms_in_every_byte_of_every_outcome(operation, level):
    by_command = create_transform(224, is_training=True, **COMMAND).transforms[2].ops
    op = by_command[[*timm_augment.OPERATIONS].index(operation)]
    op.prob, op.magnitude, op.magnitude_std = 1, level, 0
    for photo in map(Image.fromarray, PHOTOS):
        found, expected = set(), set()
        for seed in range(24 if operation in SIGNED else 1):
            found.add(timm_augment.apply(operation, level, photo, random.Random(seed)).tobytes())
            random.seed(seed)
            expected.add(op(photo).tobytes())
        assert found == expected and len(found) == (4 if operation in SIGNED and level else 1), "two ways, two filters"


def test_timms_operations_are_applied_as_often_as_timm_does_and_at_such_levels(monkeypatch):
    """Each operation is replaced by one that notes its name and level, and timm's by one that notes its strength."""
    n, image, rng = 20_000, Image.new("RGB", (1, 1)), random.Random(0)
    ours, theirs = [], []  # of each image (operation, level)
    for name in timm_augment.OPERATIONS:
        note = lambda image, m, rng, name=name: ours[-1].append((name, 10 * m)) or image  # noqa: E731
        monkeypatch.setitem(timm_augment.OPERATIONS, name, note)
    transform = create_transform(224, is_training=True, **COMMAND).transforms[2]
    for op, name in zip(transform.ops, timm_augment.OPERATIONS):
        op.level_fn = lambda level, settings: (level,)
        op.aug_fn = lambda image, level, name=name, **_: theirs[-1].append((name, level)) or image
    random.seed(1)
    np.random.seed(1)
    for _ in range(n):
        ours.append([])
        timm_augment.timm_rand_augment(image, rng)
        theirs.append([])
        transform(image)
    for what in (len, lambda applied: tuple(name for name, _ in applied[:1])):
        times, expected = (Counter(map(what, images)) for images in (ours, theirs))
        assert times.keys() == expected.keys()
        assert all(abs(times[key] - expected[key]) < 5 * (2 * expected[key]) ** 0.5 for key in expected)
    levels = [np.sort([level for applied in images for _, level in applied]) for images in (ours, theirs)]
    shares = [np.searchsorted(of, np.linspace(7, 10, 61)) / len(of) for of in levels]
    assert np.abs(shares[0] - shares[1]).max() < 0.025  # Kolmogorov and Smirnov: 1.95 * √(2 / 20,000) = 0.0195 one time in 1000
    assert levels[0][-1] == levels[1][-1] == 10


def test_what_is_cut_out_and_resized_is_timms_to_the_byte_with_either_filter():
    recipe = replace(RECIPES["timm-b0"], augment=None, flip=False, resolution=64).sized(1000)
    transform = create_transform(64, is_training=True, **COMMAND).transforms[0]
    photo, filters = Image.fromarray(PHOTOS[0]), Counter()
    for seed in range(40):
        left, top, right, bottom = random_resized_crop(*photo.size, random.Random(seed))
        box = top, left, bottom - top, right - left
        found = recipe.augmentation.pixels(photo, recipe.preprocessing, random.Random(seed))
        matches = [mode for mode in transform.interpolation if resized_crop(photo, *box, [64, 64], mode) == found]
        assert len(matches) == 1
        filters[matches[0]] += 1
    assert min(filters.values()) > 8 and len(filters) == 2
