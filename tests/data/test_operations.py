"""Operations: a strength of 0 changes nothing, and a larger one changes more."""

import random

import numpy as np
import pytest
from PIL import Image

from warmnet.data.operations import COLOUR, GEOMETRY, OPERATIONS, TONE, apply, border_colour


@pytest.fixture(scope="module")
def photograph():
    """A real one, 64 pixels wide."""
    from sklearn.datasets import load_sample_images

    return Image.fromarray(load_sample_images().images[1]).resize((64, 43))


def change(operation, amount, image, repeats=1):
    """How much the pixels differ on average from those of the image."""
    changed = [OPERATIONS[operation](image, amount, random.Random(seed)) for seed in range(repeats)]
    return np.mean([np.abs(np.asarray(each, float) - np.asarray(image)).mean() for each in changed])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_strength_0_changes_nothing(operation, photograph):
    for seed in range(5):
        assert apply(operation, 0, photograph, random.Random(seed)).tobytes() == photograph.tobytes()


MOVES = "rotate", "shear_x", "shear_y", "translate_x", "translate_y"


@pytest.mark.parametrize("sign", (1, -1))
@pytest.mark.parametrize("operation", MOVES)
def test_a_larger_amount_moves_farther(operation, sign):
    image = Image.new("RGB", (65, 65))
    image.paste("white", (40, 21, 43, 24))
    distances = []
    for amount in (0, 0.15, 0.3, 0.5):
        moved = np.asarray(OPERATIONS[operation](image, sign * amount, random.Random(0)))[..., 0].astype(float)
        place = [(moved.sum(axis) * np.arange(65)).sum() / moved.sum() for axis in (0, 1)]
        distances.append(np.hypot(place[0] - 41, place[1] - 22))
    assert distances == sorted(distances) and distances[0] == 0 and distances[1] > 0.5


@pytest.mark.parametrize("sign", (1, -1))
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in MOVES])
def test_a_larger_amount_changes_more(operation, sign, photograph):
    changes = [change(operation, sign * amount, photograph, repeats=8) for amount in (0, 0.15, 0.3, 0.6, 1)]
    assert changes == sorted(changes) and changes[1] > 0


def test_the_change_is_drawn_up_to_the_strength(photograph):
    angles = {apply("rotate", 0.5, photograph, random.Random(seed)).tobytes() for seed in range(10)}
    most = max(change("rotate", amount, photograph) for amount in (0.5, -0.5))
    drawn = [apply("rotate", 0.5, photograph, random.Random(seed)) for seed in range(10)]
    assert len(angles) == 10
    assert all(np.abs(np.asarray(each, float) - np.asarray(photograph)).mean() <= most + 0.5 for each in drawn)


def test_lengths_are_shares_of_the_side():
    for side in (32, 128):
        image = Image.new("RGB", (side, side), "black")
        image.paste("white", (side * 5 // 8, 0, side, side))
        moved = np.asarray(OPERATIONS["translate_x"](image, -0.5, random.Random(0)))[side // 2, :, 0]
        assert np.flatnonzero(moved > 127)[0] == pytest.approx(7 / 8 * side, abs=1)


def test_what_comes_in_has_the_colour_of_the_border():
    image = Image.new("RGB", (20, 20), (10, 200, 30))
    image.paste("white", (5, 5, 15, 15))
    assert border_colour(image) == (10, 200, 30)
    corner = OPERATIONS["rotate"](image, 1, random.Random(0)).getpixel((0, 0))
    assert corner == (10, 200, 30)


def test_operations_of_colour_leave_grey_pictures_grey_or_as_they_are(photograph):
    grey = photograph.convert("L").convert("RGB")
    for operation in COLOUR:
        assert change(operation, 0.7, grey) < 1, "so a search leaves them out where no picture has colours"
        assert change(operation, 0.7, photograph) > 1
    assert not {*GEOMETRY, *TONE, *COLOUR} - OPERATIONS.keys()
