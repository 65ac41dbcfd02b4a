"""Every operation against its definition, and what is drawn against what it says. Beside timm itself: tests/peers."""

import math
import random
from collections import Counter
from itertools import product

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from warmnet.data.preprocessing import Preprocessing
from warmnet.data.timm_augment import OPERATIONS, apply, timm_rand_augment
from warmnet.errors import InputError

CHINA = load_sample_image("china.jpg")[100:163, 150:281]
COLOUR = [round(255 * mean) for mean in Preprocessing(224).mean]
LEVELS = 0, 2.4, 5, 7.49, 8.6, 9, 9.4, 10
WIDTH, HEIGHT = 120, 90
PLACES = np.stack([*np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), np.zeros((HEIGHT, WIDTH))], 2).astype(np.uint8)
X, Y = PLACES[..., 0] + 0.5, PLACES[..., 1] + 0.5  # a pixel's centre


def results(operation, level, picture, seeds):
    return [np.asarray(apply(operation, level, Image.fromarray(picture), random.Random(seed))) for seed in range(seeds)]


def result(operation, level, picture=CHINA):
    return results(operation, level, picture, 1)[0].astype(int)


def grey(picture):
    return (picture * (0.299, 0.587, 0.114)).sum(2)[..., None].round()


def smooth(picture):
    result, (height, width) = picture.astype(float), picture.shape[:2]
    parts = [picture[i : height - 2 + i, j : width - 2 + j].astype(float) for i, j in product(range(3), repeat=2)]
    result[1:-1, 1:-1] = (sum(parts) + 4 * parts[4]) / 13
    return result.round()


STARTS = {  # what an enhancement begins with, of which 1 is the picture itself
    "Color": grey,
    "Contrast": lambda picture: grey(picture).mean().round(),
    "Brightness": np.zeros_like,
    "Sharpness": smooth,
}


@pytest.mark.parametrize("operation", STARTS)
@pytest.mark.parametrize("level", LEVELS)
def test_enhancements_go_from_a_tenth_to_nearly_twice_the_picture(operation, level):
    start = STARTS[operation](CHINA).astype(float)
    expected = (start + (0.1 + 0.18 * level) * (CHINA - start)).clip(0, 255)
    assert np.abs(result(operation, level) - expected).max() <= 2  # bytes: the fraction is cut off, and a start is rounded


@pytest.mark.parametrize("level", LEVELS)
def test_colours_are_mapped_as_defined(level):
    bits, threshold, addition = math.floor(level * 0.4), math.floor(level * 25.6), math.floor(level * 11)
    byte = CHINA.astype(int)
    assert np.array_equal(result("Posterize", level), byte - byte % 2 ** (8 - bits))
    assert np.array_equal(result("Solarize", level), np.where(byte < threshold, byte, 255 - byte))
    assert np.array_equal(result("SolarizeAdd", level), np.where(byte < 128, byte + addition, byte))
    assert np.array_equal(result("Invert", level), 255 - byte)


def test_contrast_is_stretched_and_evened_out_by_colour_at_every_level():
    flat = CHINA // 4 + 90
    low, high = flat.min((0, 1)).astype(int), flat.max((0, 1)).astype(int)
    for level in 0, 9:
        assert np.abs(result("AutoContrast", level, flat) - (flat - low) * 255 / (high - low)).max() <= 1
        evened = np.sort(result("Equalize", level).reshape(-1, 3), axis=0)
        assert np.abs(evened - np.linspace(0, 255, len(evened))[:, None]).max() < 25  # most pixels have a common colour


def where(operation, level):
    """Where each pixel of the result is from, in (x, y) of the picture."""
    turn, shear, share = math.radians(3 * level), 0.03 * level, 0.045 * level
    x, y = X - WIDTH / 2, Y - HEIGHT / 2
    if operation == "Rotate":
        return WIDTH / 2 + x * math.cos(turn) - y * math.sin(turn), HEIGHT / 2 + x * math.sin(turn) + y * math.cos(turn)
    return {
        "ShearX": (X + shear * Y, Y), "ShearY": (X, Y + shear * X),
        "TranslateX": (X + share * WIDTH, Y), "TranslateY": (X, Y + share * HEIGHT),
    }[operation]  # fmt: skip


MOVES = "Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"


@pytest.mark.parametrize("operation", MOVES)
@pytest.mark.parametrize("level", LEVELS)
def test_pixels_are_moved_as_far_as_the_level_says_one_way_or_the_other(operation, level):
    ways = set()
    for found in results(operation, level, PLACES, 12):
        errors = []
        for way in (1, -1):
            x, y = where(operation, way * level)
            inside = (x > 3) & (x < WIDTH - 3) & (y > 3) & (y < HEIGHT - 3)  # of the filters' reach as well
            outside = (x < 0) | (x >= WIDTH) | (y < 0) | (y >= HEIGHT)
            moved = np.abs(found[..., :2] + 0.5 - np.stack([x, y], 2))[inside].max()
            errors.append(max(moved, np.abs(found[outside].astype(int) - COLOUR).max(initial=0)))
        ways.add(int(np.argmin(errors)))
        assert min(errors) <= 1.01  # bytes hold whole pixels, and rounded weights add one
    assert len(ways) == 1 + (level > 0)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_moved_has_four_outcomes_two_ways_by_two_filters_and_all_else_one(operation):
    assert len({found.tobytes() for found in results(operation, 7.3, CHINA, 30)}) == (4 if operation in MOVES else 1)


@pytest.fixture
def applied(monkeypatch):
    """What is applied, in place of being applied: operation, level."""
    calls = []
    for name in OPERATIONS:
        record = lambda image, m, rng, name=name: calls.append((name, m * 10)) or image  # noqa: E731
        monkeypatch.setitem(OPERATIONS, name, record)
    return calls


def test_two_operations_of_any_are_applied_half_of_the_time_at_levels_about_the_magnitude(applied):
    rng, image, n, counts = random.Random(0), Image.new("RGB", (2, 2)), 20_000, Counter()
    for _ in range(n):
        before = len(applied)
        timm_rand_augment(image, rng)
        counts[len(applied) - before] += 1
    for count, share in {0: 1 / 4, 1: 1 / 2, 2: 1 / 4}.items():
        assert abs(counts[count] - n * share) < 5 * (n * share) ** 0.5  # five standard deviations
    times = Counter(name for name, _ in applied)
    assert times.keys() == OPERATIONS.keys() and len(times) == 15
    assert all(abs(time - n / 15) < 5 * (n / 15) ** 0.5 for time in times.values())
    levels = np.array([level for _, level in applied])
    assert np.median(levels) == pytest.approx(9, abs=5 * 0.5 * 1.25 / n**0.5)
    assert np.percentile(levels, 84.13) - np.percentile(levels, 15.87) == pytest.approx(1, rel=0.05)
    assert (levels == 10).mean() == pytest.approx(0.02275, abs=5 * 0.15 / n**0.5) and levels.max() == 10


@pytest.mark.parametrize("magnitude, at_the_end, end", [(0, 0.5, 0), (10, 0.5, 10), (30, 1, 10)])
def test_no_level_is_below_0_or_above_10(applied, magnitude, at_the_end, end):
    rng = random.Random(0)
    for _ in range(3000):
        timm_rand_augment(Image.new("RGB", (2, 2)), rng, magnitude)
    levels = np.array([level for _, level in applied])
    assert (levels == end).mean() == pytest.approx(at_the_end, abs=0.05) and levels.min() >= 0 and levels.max() <= 10


def test_a_picture_follows_from_its_seed_alone_and_keeps_its_size():
    image, state = Image.fromarray(CHINA), random.getstate()
    pictures = [timm_rand_augment(image, random.Random(seed)) for seed in range(40)]
    assert pictures == [timm_rand_augment(image, random.Random(seed)) for seed in range(40)]
    assert len({picture.tobytes() for picture in pictures}) > 20
    assert {(picture.size, picture.mode) for picture in pictures} == {((131, 63), "RGB")}
    assert random.getstate() == state and np.array_equal(image, CHINA)


def test_what_cannot_be_augmented_says_why():
    image = Image.new("RGB", (8, 8))
    with pytest.raises(InputError, match=r"'Cutout'.*AutoContrast, .*TranslateY"):
        apply("Cutout", 1, image, random.Random(0))
    for level in (-1, 10.1, math.nan):
        with pytest.raises(InputError, match=f"level is {level}"):
            apply("Rotate", level, image, random.Random(0))
    with pytest.raises(InputError, match=r"image is L.*convert\('RGB'\)"):
        apply("Rotate", 1, image.convert("L"), random.Random(0))
