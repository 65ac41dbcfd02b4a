"""Every operation against a literal reading of its definition, and against what the official file itself gave on TensorFlow.

The definition is tensorflow/tpu at 7dc921f, models/official/efficientnet/autoaugment.py, with TensorFlow's contrib/image
(std::round to the nearest), cwise_ops.h (shifts end at 7), image_ops_impl.py (grey, float to byte). Arithmetic is in float32.
"""

import math
import random
import zlib
from collections import Counter
from itertools import count, product

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from warmnet.data import autoaugment
from warmnet.data.autoaugment import AUTO, OPERATIONS, RAND, V0, apply, auto_augment, rand_augment
from warmnet.errors import InputError

F = np.float32
CHINA = load_sample_image("china.jpg")[100:324, 150:374]
FLOWER = load_sample_image("flower.jpg")[37:100, 200:331]
IMAGES = {
    "china": CHINA,
    "flower": FLOWER,
    "all but one colour": np.full((40, 30, 3), (255, 0, 7), np.uint8),
    "little contrast": CHINA[:50, :70] // 16 + 100,
    "one pixel": CHINA[:1, :1],
    "two by three": CHINA[:2, :3],
}
for image in IMAGES.values():
    image.flags.writeable = False
LEVELS = (*range(11), 17, 28)  # RandAugment goes to 17 for B5, and to 28 for B7

RECORDED = {  # crc32 of what the official file gave on TensorFlow 2.12.0 and NumPy 1.23.5, in the order of `pictures`
    "AutoContrast": 0xA86F23F0,
    "Equalize": 0xC7E2401D,
    "Invert": 0xA8B2D1C8,
    "Rotate": 0x888B05E1,
    "Posterize": 0xD6F9FAA2,
    "Solarize": 0x36A684E9,
    "SolarizeAdd": 0x2CBC4E49,
    "Color": 0xD912627E,
    "Contrast": 0x63A09129,
    "Brightness": 0x05723ED1,
    "Sharpness": 0xCE479933,
    "ShearX": 0xD446A216,
    "ShearY": 0x89140ECD,
    "TranslateX": 0x61F5E936,
    "TranslateY": 0xA2CC7DBB,
}


def seed_of(sign):
    """A seed whose first random sign is this one."""
    return next(seed for seed in count() if autoaugment.sign(random.Random(seed)) == sign)


SEEDS = {sign: seed_of(sign) for sign in (1, -1)}


def byte(value):
    return np.trunc(np.clip(value, 0, 255)).astype(np.uint8)


def mixed(degenerate, image, factor):
    degenerate, image = np.broadcast_to(degenerate, image.shape).astype(F), image.astype(F)
    return byte(degenerate + F(factor) * (image - degenerate))


def enhancement(level):
    return (level / 10) * 1.8 + 0.1


def grey(image):
    r, g, b = (image[:, :, c].astype(F) * F(1 / 255) for c in range(3))
    return byte((r * F(0.2989) + g * F(0.587) + b * F(0.114)) * F(255.5))


def color(image, level, sign, reach):
    return mixed(np.stack([grey(image)] * 3, 2), image, enhancement(level))


def contrast(image, level, sign, reach):
    counts = np.histogram(grey(image), 256, (0, 256))[0]
    return mixed(byte(F(counts.sum()) / F(256)), image, enhancement(level))


def brightness(image, level, sign, reach):
    return mixed(np.zeros_like(image), image, enhancement(level))


def sharpness(image, level, sign, reach):
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], F) / F(13)
    smooth = image.copy()
    for y, x in product(range(1, image.shape[0] - 1), range(1, image.shape[1] - 1)):
        total = np.zeros(3, F)
        for i, j in product(range(3), repeat=2):
            total = total + kernel[i, j] * image[y + i - 1, x + j - 1].astype(F)
        smooth[y, x] = byte(total)
    return mixed(smooth, image, enhancement(level))


def auto_contrast(image, level, sign, reach):
    result = image.copy()
    for c in range(3):
        low, high = F(image[:, :, c].min()), F(image[:, :, c].max())
        if high > low:
            scale = F(255) / (high - low)
            result[:, :, c] = byte(image[:, :, c].astype(F) * scale + -low * scale)
    return result


def equalize(image, level, sign, reach):
    result = image.copy()
    for c in range(3):
        counts = [int((image[:, :, c] == value).sum()) for value in range(256)]
        step = (sum(counts) - [n for n in counts if n][-1]) // 255
        if step:
            table = [0] + [(sum(counts[: value + 1]) + step // 2) // step for value in range(255)]
            result[:, :, c] = np.clip(table, 0, 255)[image[:, :, c]]
    return result


def invert(image, level, sign, reach):
    return np.uint8(255) - image


def posterize(image, level, sign, reach):
    shift = min((8 - int((level / 10) * 4)) & 255, 7)
    return image // 2**shift * 2**shift


def solarize(image, level, sign, reach):
    threshold = int((level / 10) * 256) & 255
    return np.where(image.astype(int) < threshold, image, 255 - image.astype(int))


def solarize_add(image, level, sign, reach):
    return np.where(image.astype(int) < 128, np.clip(image.astype(int) + int((level / 10) * 110), 0, 255), image)


def transformed(image, a, b, c, d, e, f):
    """The pixel at (x, y) is the input's nearest to (a x + b y + c, d x + e y + f), and 128 outside."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width).astype(F), np.arange(height).astype(F))
    x, y = (F(p) * x + F(q) * y + F(r) for p, q, r in ((a, b, c), (d, e, f)))
    x, y = (np.copysign(np.floor(np.abs(v).astype(float) + 0.5), v).astype(int) for v in (x, y))  # std::round: ties from zero
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.where(inside[..., None], image[y.clip(0, height - 1), x.clip(0, width - 1)], 128)


def rotate(image, level, sign, reach):
    angle = float(F(sign * (level / 10) * 30) * F(math.pi / 180))
    c, s, h, w = F(math.cos(angle)), F(math.sin(angle)), F(image.shape[0] - 1), F(image.shape[1] - 1)
    return transformed(image, c, -s, (w - (c * w - s * h)) / F(2), s, c, (h - (s * w + c * h)) / F(2))


def shear_x(image, level, sign, reach):
    return transformed(image, 1, sign * (level / 10) * 0.3, 0, 0, 1, 0)


def shear_y(image, level, sign, reach):
    return transformed(image, 1, 0, 0, sign * (level / 10) * 0.3, 1, 0)


def translate_x(image, level, sign, reach):
    return transformed(image, 1, 0, sign * (level / 10) * reach[0], 0, 1, 0)


def translate_y(image, level, sign, reach):
    return transformed(image, 1, 0, 0, 0, 1, sign * (level / 10) * reach[0])


DEFINITIONS = {
    "AutoContrast": auto_contrast, "Equalize": equalize, "Invert": invert, "Rotate": rotate, "Posterize": posterize,
    "Solarize": solarize, "SolarizeAdd": solarize_add, "Color": color, "Contrast": contrast, "Brightness": brightness,
    "Sharpness": sharpness, "ShearX": shear_x, "ShearY": shear_y, "TranslateX": translate_x, "TranslateY": translate_y,
}  # fmt: skip


@pytest.mark.parametrize("operation", DEFINITIONS)
@pytest.mark.parametrize("name", IMAGES)
def test_every_operation_is_its_definition_pixel_for_pixel(operation, name):
    image = IMAGES[name]
    if operation == "Sharpness":  # its definition is a loop over pixels
        image = image[:40, :40]
    signed = operation in ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
    for level, sign in product(LEVELS, (1, -1) if signed else (1,)):
        for reach in (AUTO, RAND) if operation.startswith("Translate") else (AUTO,):
            found = apply(operation, level, image, random.Random(SEEDS[sign]), reach)
            expected = DEFINITIONS[operation](image, level, sign, reach)
            assert found.dtype == np.uint8 and found.shape == image.shape
            assert np.array_equal(found, expected), (level, sign, reach)


@pytest.mark.parametrize("operation", RECORDED)
def test_every_operation_gives_what_the_official_code_gave(operation):
    pictures = (
        apply(operation, level, image, random.Random(SEEDS[sign]), reach)
        for image, reach, level, sign in product((CHINA, FLOWER), (AUTO, RAND), LEVELS, (1, -1))
    )
    crc = 0
    for picture in pictures:
        crc = zlib.crc32(np.ascontiguousarray(picture), crc)
    assert crc == RECORDED[operation]


@pytest.mark.parametrize("level, reach", [(0, AUTO), (3, AUTO), (3, RAND), (10, RAND), (10, AUTO)])
def test_cutout_is_a_grey_square_about_a_pixel_drawn_from_the_whole_image(level, reach):
    half = int((level / 10) * reach.cutout)
    centres = set()
    for seed in range(60):
        found = apply("Cutout", level, np.zeros((31, 41, 3), np.uint8), random.Random(seed), reach)
        draws = random.Random(seed)
        row, column = draws.randrange(31), draws.randrange(41)
        rows, columns = np.arange(31)[:, None], np.arange(41)
        inside = (row - half <= rows) & (rows < row + half) & (column - half <= columns) & (columns < column + half)
        assert np.array_equal(found, np.where(inside[..., None], 128, 0) * np.ones(3))
        centres.add((row < 16, column < 21))
    assert len(centres) == 4


def test_cutout_leaves_the_rest_as_it_is():
    found = apply("Cutout", 2, CHINA, random.Random(0))
    changed = (found != CHINA).any(2)
    assert 0 < changed.sum() <= 40 * 40 and (found[changed] == 128).all()


def test_the_ends_of_the_level_maps_are_where_bytes_end():
    assert np.array_equal(apply("Posterize", 2, CHINA, random.Random(0)), CHINA & 128), "0 bits are 1"
    assert np.array_equal(apply("Solarize", 10, CHINA, random.Random(0)), 255 - CHINA), "256 is 0"
    assert (apply("TranslateY", 9, CHINA, random.Random(0)) == 128).all(), "225 of 224 pixels"
    assert np.array_equal(apply("Color", 5, CHINA, random.Random(0)), CHINA), "a factor of 1"


@pytest.fixture
def applied(monkeypatch):
    """What is applied, in place of being applied: operation, level, reach."""
    calls = []
    for name in OPERATIONS:
        record = lambda x, m, rng, reach, name=name: calls.append((name, round(m * 10, 6), reach)) or x  # noqa: E731
        monkeypatch.setitem(OPERATIONS, name, record)
    return calls


def test_the_sub_policies_are_the_official_ones():
    assert zlib.crc32(repr([[*policy] for policy in V0]).encode()) == 0x8735661C, "of repr(policy_v0()) in the official file"


def test_auto_augment_applies_each_of_its_sub_policies_as_often_as_it_says(applied):
    rng, image, n = random.Random(0), Image.new("RGB", (2, 2)), 20_000
    for _ in range(n):
        auto_augment(image, rng)
    expected = Counter()
    for operation, probability, level in (entry for policy in V0 for entry in policy):
        expected[operation, level, AUTO] += n / 25 * probability
    assert set(applied) == {key for key, value in expected.items() if value}
    assert len(applied) == pytest.approx(sum(expected.values()), rel=0.02)
    for key, times in Counter(applied).items():
        assert abs(times - expected[key]) < 5 * expected[key] ** 0.5, key  # five standard deviations


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_rand_augment_applies_as_many_operations_as_asked_each_as_often_at_one_level(applied, layers):
    rng, image, n = random.Random(0), Image.new("RGB", (2, 2)), 4_000
    for _ in range(n):
        rand_augment(image, rng, 17, layers)
    assert len(applied) == layers * n and {call[1:] for call in applied} == {(17, RAND)}
    times = Counter(call[0] for call in applied)
    assert times.keys() == {*DEFINITIONS, "Cutout"}
    assert all(abs(time - layers * n / 16) < 5 * (layers * n / 16) ** 0.5 for time in times.values())


@pytest.mark.parametrize("augment", [auto_augment, lambda image, rng: rand_augment(image, rng, 10, layers=3)])
def test_a_picture_follows_from_its_seed_alone(augment):
    image, state = Image.fromarray(FLOWER), random.getstate()
    pictures = [augment(image, random.Random(seed)).tobytes() for seed in range(12)]
    assert pictures == [augment(image, random.Random(seed)).tobytes() for seed in range(12)]
    assert len(set(pictures)) > 6
    assert random.getstate() == state and np.array_equal(image, FLOWER)


def test_what_cannot_be_augmented_says_why():
    with pytest.raises(InputError, match=r"'Rotata'.*AutoContrast, .*Cutout"):
        apply("Rotata", 1, CHINA, random.Random(0))
    for level in (-1, math.nan, math.inf):
        with pytest.raises(InputError, match=f"level is {level}"):
            apply("Rotate", level, CHINA, random.Random(0))
    with pytest.raises(InputError, match=r"image is L.*convert\('RGB'\)"):
        auto_augment(Image.new("L", (8, 8)), random.Random(0))
