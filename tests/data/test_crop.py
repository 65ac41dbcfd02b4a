import random

import numpy as np
import pytest

from warmnet.data.crop import official_crop, random_resized_crop

SIZES = [(500, 375), (375, 500), (640, 200), (120, 600), (1000, 100), (30, 20), (8, 8), (3, 2), (1, 1), (1, 50)]


def boxes(crop, width, height, n):
    rng = random.Random(0)
    return np.array([crop(width, height, rng) for _ in range(n)]).T


@pytest.mark.parametrize("crop", [official_crop, random_resized_crop])
@pytest.mark.parametrize("width, height", SIZES)
def test_a_box_is_inside_the_image_and_not_empty(crop, width, height):
    left, top, right, bottom = boxes(crop, width, height, 3000)
    assert (left >= 0).all() and (top >= 0).all() and (right <= width).all() and (bottom <= height).all()
    assert (right > left).all() and (bottom > top).all()


@pytest.mark.parametrize(
    "crop, width, height, share",
    [  # of 200,000 boxes by TensorFlow 2.12.0's sample_distorted_bounding_box for the first line, of 20,000 for the next three
        (official_crop, 500, 375, 0.3874),
        (official_crop, 375, 500, 0.3723),
        (official_crop, 640, 200, 0.2029),
        (official_crop, 120, 600, 0.1474),
        (random_resized_crop, 500, 375, 0.434),  # shared/reference/recipe.md
    ],
)
def test_the_mean_share_of_the_area_is_the_originals(crop, width, height, share):
    left, top, right, bottom = boxes(crop, width, height, 40_000)
    shares = (right - left) * (bottom - top) / (width * height)
    assert abs(shares.mean() - share) < 0.005  # a standard deviation of the mean of 20,000 is 0.0015


@pytest.mark.parametrize("crop, least", [(official_crop, 0.1), (random_resized_crop, 0.08)])
def test_shares_and_shapes_are_as_wide_as_allowed_and_no_wider(crop, least):
    left, top, right, bottom = boxes(crop, 500, 375, 40_000)
    shares, shapes = (right - left) * (bottom - top) / (500 * 375), (right - left) / (bottom - top)
    assert least - 0.001 < shares.min() < least + 0.005 and shares.max() > 0.97
    assert 0.74 < shapes.min() < 0.76 and 1.32 < shapes.max() < 1.35  # sides are whole numbers
    assert top.min() == left.min() == 0 and bottom.max() == 375 and right.max() >= 499


def test_the_official_height_is_drawn_evenly():
    _, top, _, bottom = boxes(official_crop, 1000, 1000, 40_000)
    heights = bottom - top  # at any width / height, all from 366 to 750 fit, and are enough
    middle = heights[(heights >= 370) & (heights < 741)]
    counts = np.histogram(middle, 7)[0]
    assert abs(counts - len(middle) / 7).max() < 5 * (len(middle) / 7) ** 0.5


def test_an_image_that_is_too_long_gives_its_middle():
    assert official_crop(4000, 100, random.Random(0)) == ((4000 - 87 + 1) // 2, 7, (4000 - 87 + 1) // 2 + 87, 94)
    assert official_crop(4000, 100, random.Random(0), central=0.5) == (1975, 25, 2025, 75)
    assert random_resized_crop(4000, 100, random.Random(0)) == (1933, 0, 2066, 100)
    assert random_resized_crop(100, 4000, random.Random(0)) == (0, 1933, 100, 2066)


@pytest.mark.parametrize("crop", [official_crop, random_resized_crop])
def test_a_box_follows_from_its_seed_alone(crop):
    state = random.getstate()
    assert crop(500, 375, random.Random(3)) == crop(500, 375, random.Random(3)) != crop(500, 375, random.Random(4))
    assert random.getstate() == state
