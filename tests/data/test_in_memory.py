import numpy as np
import pytest
import torch
from PIL import Image

from warmnet.data import DataError, ImageError, arrays, to_image

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
        (COLOUR.astype(">u2") << 8, COLOUR),
        (GREY[..., None], GREY[..., None].repeat(3, 3)),
        (GREY > 100, np.where(GREY > 100, 255, 0)[..., None].repeat(3, 3)),
        (COLOUR / np.float32(255), COLOUR),
        (GREY / 255, GREY[..., None].repeat(3, 3)),
        (np.concatenate([COLOUR, np.full((10, 8, 6, 1), 255, np.uint8)], 3), COLOUR),
        (torch.from_numpy(COLOUR), COLOUR),
        (torch.from_numpy(COLOUR) / 255, COLOUR),
        (torch.from_numpy(COLOUR > 100).bfloat16(), np.where(COLOUR > 100, 255, 0)),
        ([*COLOUR], COLOUR),
        ((image for image in COLOUR), COLOUR),
        ([Image.fromarray(image) for image in COLOUR], COLOUR),
    ],
    ids=[
        "grey", "colour", "uint16", "big-endian", "one channel", "bool", "float32", "grey floats", "alpha", "tensor",
        "tensor of floats", "bfloat16", "list", "generator", "PIL",
    ],
)  # fmt: skip
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
        (np.arange(10)[:, None] % 2, None, ("0", "1")),
        (np.arange(10) % 2, ["0", "1"], ("0", "1")),
        (np.arange(10) % 2 + 7, [7, 8], ("7", "8")),
        ((str(n % 2) for n in range(10)), ["0", "1"], ("0", "1")),
        (np.arange(10) % 2, ["dog", "cat"], ("dog", "cat")),
        (np.array(LABELS), ["dog", "cat"], ("dog", "cat")),
        (np.array(LABELS, dtype=object), None, ("cat", "dog")),
    ],
)
def test_labels_are_numbers_or_names(labels, classes, names):
    data = arrays(GREY, labels, classes)
    assert data.classes == names
    first = data.held_out[0]
    assert names[first.label] == ("cat" if isinstance(labels, np.ndarray) and labels[0] == "cat" else names[0])


@pytest.mark.parametrize(
    "images, labels, classes, message",
    [
        (GREY, LABELS[1:], None, "10 images and 9 labels"),
        (GREY, np.eye(10), None, r"labels are \(10, 10\).*argmax"),
        (GREY, np.arange(10) / 2, None, r"labels\[0\] is 0.0. A label is a whole number or the name"),
        (GREY, LABELS, ["cat", "bird"], r"labels\[1\] is 'dog', and the classes are cat, bird"),
        (GREY, np.arange(10) % 2 - 1, ["cat", "dog"], r"labels\[0\] is -1"),
        (GREY, LABELS, ["cat", "dog", "cat"], "The class cat is in classes twice"),
        (GREY, np.arange(10) % 2, [1, 0], "called by numbers in another order: is 0 the first or the one called 0"),
        (GREY, ["cat", 1] * 5, ["cat", "dog"], "Some labels are names of classes, and others numbers"),
        (["a.png"] * 10, LABELS, None, r"images\[0\] is a path, a.png. Files are read by training.folder"),
        (GREY, ["cat"] * 10, None, "There are 1 classes, and 2 is the least"),
        (GREY, ["dog"] + ["cat"] * 9, None, "The class dog has 1 images"),
        (GREY, LABELS, ["cat", "dog", "bird"], "The class bird has 0 images"),
    ],
)
def test_images_that_cannot_be_trained_on_say_why(images, labels, classes, message):
    with pytest.raises(DataError, match=message):
        arrays(images, labels, classes)


@pytest.mark.parametrize(
    "image, message",
    [
        (COLOUR[0].transpose(2, 0, 1), r"not \(3, 8, 6\)\. Its channels come first"),
        (COLOUR[0].astype(float), r"values are [0-9].0 to 25[0-5].0, and of floats 0 is black and 1 white"),
        (np.full((8, 6), np.nan), "values are nan to nan"),
        (COLOUR[0] / 255**2, "of floats 0 is black and 1 white"),
        (COLOUR[0].astype(np.int64), "not int64"),
        (COLOUR[0].astype(np.uint16), "of more than 8 bits 0 is black and 65535 white"),
        (Image.new("F", (8, 6)), "floating point"),
        (np.zeros(8, np.uint8), r"not \(8,\)"),
        (np.zeros((0, 8), np.uint8), r"not \(0, 8\)"),
    ],
)
def test_an_image_that_is_none_is_named_by_its_number_and_refused_as_by_itself(image, message):
    with pytest.raises(ImageError, match=message) as alone:
        to_image(image)
    with pytest.raises(ImageError, match=rf"images\[3\]: .*{message}") as among_others:
        arrays([GREY[0]] * 3 + [image] * 7, LABELS)
    assert str(alone.value).partition(": ")[2] == str(among_others.value).partition(": ")[2]


def test_the_share_that_is_held_out_is_of_each_class():
    data = arrays(GREY, LABELS, val_share=0.4)
    assert [sample.label for sample in data.held_out] == [0, 1, 0, 1]
    with pytest.raises(DataError, match="share to hold out is 20. It is above 0 and below 1"):
        arrays(GREY, LABELS, val_share=20)


def test_images_that_are_given_as_val_are_those_held_out():
    data = arrays(GREY, LABELS, val=(COLOUR, LABELS[::-1]))
    assert len(data.train) == 10 and [sample.label for sample in data.held_out] == [1, 0] * 5
    assert np.array_equal(data.held_out[3].image, COLOUR[3])
    numbers = arrays(GREY, np.arange(10) % 2, ["dog", "cat"], val=(GREY[:2], np.array([1, 0])))
    assert numbers.classes == ("dog", "cat") and [sample.label for sample in numbers.held_out] == [1, 0]


@pytest.mark.parametrize(
    "val, options, message",
    [
        (GREY, {}, r"val is a ndarray. It is a pair of images and labels: val=\(x_test, y_test\)"),
        ((GREY, LABELS[1:]), {}, "10 images of val and 9 labels of val"),
        ((GREY, ["cat"] * 10), {}, "images and val hold different classes: dog in images alone.*or else leave out val"),
        ((None, None), {}, "The images of val are of type NoneType. Pass images, and a label for each"),
        ((GREY, None), {}, "The labels of val are of type NoneType"),
        ((GREY, [*GREY]), {}, r"labels\[0\] of val is array\(.{30,40}\. A label is"),
        (
            (GREY, [*LABELS[1:], "bird"]),
            {"classes": ["cat", "dog"]},
            r"labels\[9\] of val is 'bird', and the classes are cat, dog",
        ),
        ((["a.png"] * 10, LABELS), {}, r"images\[0\] of val is a path"),
        ((GREY, LABELS), {"val_share": 0.1}, "val is held out already, and not a share of 0.1"),
    ],
)
def test_a_val_that_cannot_be_held_out_says_why(val, options, message):
    with pytest.raises(DataError, match=message):
        arrays(GREY, LABELS, val=val, **options)
