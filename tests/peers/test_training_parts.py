"""The parts of the training recipe are the peers' parts of the same definition."""

import random
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image

from warmnet.training.autoaugment import V0, apply, sign
from warmnet.training.crop import random_resized_crop
from warmnet.training.ema import EMA
from warmnet.training.rmsprop import RMSpropTF
from warmnet.training.schedule import timm as timm_rate

from .libraries import timm, torchvision

# isort: off
import timm.optim  # after .libraries, without which torchvision cannot be imported
import timm.scheduler
import timm.utils
from timm.data import auto_augment


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
