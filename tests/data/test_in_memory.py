import numpy as np
import pytest
import torch
from PIL import Image

from warmnet.data import DataError, arrays

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (10, 8, 6), np.uint8)
COLOUR = RNG.integers(0, 256, (10, 8, 6, 3), np.uint8)
LABELS = ["cat", "dog"] * 5


def pixels(data):
    """(N, H, W, 3): the images in the order in which they were given, if labels alternate as LABELS do."""
    held_out, train = ([np.asarray(sample.image) for sample in samples] for samples in (data.held_out, data.train))
    return np.stack([*held_out, *train])


@pytest.mark.parametrize(
    "images, wanted",
    [
        (GREY, GREY[..., None].repeat(3, 3)),
        (COLOUR, COLOUR),
        (COLOUR.astype(np.uint16) << 8, COLOUR),
        (COLOUR / np.float32(255), COLOUR),
        (GREY / 255, GREY[..., None].repeat(3, 3)),
        (np.concatenate([COLOUR, np.full((10, 8, 6, 1), 255, np.uint8)], 3), COLOUR),
        (torch.from_numpy(COLOUR), COLOUR),
        (torch.from_numpy(COLOUR) / 255, COLOUR),
        ([*COLOUR], COLOUR),
        ([Image.fromarray(image) for image in COLOUR], COLOUR),
    ],
    ids=["grey", "colour", "uint16", "float32", "grey floats", "alpha", "tensor", "tensor of floats", "list", "PIL"],
)
def test_images_of_memory_are_the_pixels_that_were_given(images, wanted):
    data = arrays(images, LABELS)
    assert np.array_equal(pixels(data), wanted)
    assert data.classes == ("cat", "dog") and [sample.label for sample in data.train] == [0, 1] * 4


def test_transparent_pixels_are_white():
    transparent = np.zeros((10, 8, 6, 4), np.uint8)
    assert (pixels(arrays(transparent, LABELS)) == 255).all()


def test_images_may_differ_in_size():
    data = arrays([np.zeros((n, 9), np.uint8) for n in range(1, 11)], LABELS)
    assert sorted(sample.image.height for sample in data.train + data.held_out) == [*range(1, 11)]


@pytest.mark.parametrize(
    "labels, classes, names",
    [
        (np.arange(10) % 2, None, ("0", "1")),
        (torch.arange(10) % 2 * 8 + 3, None, ("3", "11")),
        (np.arange(10) % 2, ["dog", "cat"], ("dog", "cat")),
        (np.array(LABELS), ["dog", "cat"], ("dog", "cat")),
        (np.array(LABELS, dtype=object), None, ("cat", "dog")),
    ],
)
def test_labels_are_numbers_or_names(labels, classes, names):
    data = arrays(GREY, labels, classes)
    assert data.classes == names
    first = data.held_out[0]
    assert names[first.label] == (names[0] if not isinstance(labels[0], str) else "cat")


@pytest.mark.parametrize(
    "images, labels, classes, message",
    [
        (GREY, LABELS[1:], None, "10 images and 9 labels"),
        (COLOUR.transpose(0, 3, 1, 2), LABELS, None, r"images\[0\] is \(3, 8, 6\).* Its channels come first"),
        (COLOUR.astype(float), LABELS, None, r"images\[0\] is of floats from 0 to 25[0-5], and 0 to 1 is allowed"),
        (np.full((10, 8, 6), np.nan), LABELS, None, "floats from nan"),
        (COLOUR.astype(np.int64), LABELS, None, r"is of int64, and uint8"),
        (np.zeros((10, 8), np.uint8), LABELS, None, r"images\[0\] is \(8,\)"),
        (np.zeros((10, 0, 8), np.uint8), LABELS, None, r"images\[0\] is \(0, 8\)"),
        (GREY, np.eye(10), None, r"labels are \(10, 10\).*argmax"),
        (GREY, np.arange(10) / 2, None, r"labels\[0\] is 0.0. A label is a whole number or the name"),
        (GREY, LABELS, ["cat", "bird"], r"labels\[1\] is 'dog', and the classes are cat, bird"),
        (GREY, np.arange(10) % 2 - 1, ["cat", "dog"], r"labels\[0\] is -1"),
        (GREY, ["cat"] * 10, None, "There are 1 classes, and 2 is the least"),
        (GREY, ["dog"] + ["cat"] * 9, None, "The class dog has 1 images"),
        (GREY, LABELS, ["cat", "dog", "bird"], "The class bird has 0 images"),
    ],
)
def test_images_that_cannot_be_trained_on_say_why(images, labels, classes, message):
    with pytest.raises(DataError, match=message):
        arrays(images, labels, classes)
