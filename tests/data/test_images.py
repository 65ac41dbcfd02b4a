"""A picture is a path, a PIL image, an array, an open file or its bytes; whatever is none says what to do."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from warmnet.data import ImageError, Preprocessing, to_image
from warmnet.data.images import is_one
from warmnet.data.quiet import Quiet

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = PIXELS[:, :, 0]


@pytest.fixture
def path(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_every_form_of_a_picture_is_the_same_picture(path, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    opaque = np.dstack([PIXELS, np.full((6, 8), 255, np.uint8)])
    content = path.read_bytes()
    forms = [
        path,
        str(path),
        np.str_(path),
        "~/image.png",
        content,
        memoryview(content),
        io.BytesIO(path.read_bytes()),
        Image.open(path),
    ]
    with open(path, "rb") as file:
        for form in [*forms, file, PIXELS, opaque, PIXELS.astype(np.uint16) * 257, (PIXELS.astype(">u2") * 257), PIXELS / 255]:
            assert is_one(form) and np.array_equal(to_image(form), PIXELS)


def test_grey_arrays_have_two_dimensions_or_one_channel():
    for array in GREY, GREY[:, :, None], GREY.astype(np.uint16) * 257:
        assert np.array_equal(np.asarray(to_image(array))[:, :, 1], GREY)
    assert np.array_equal(np.asarray(to_image(GREY > 100))[:, :, 0], np.where(GREY > 100, 255, 0))


@pytest.mark.parametrize(
    "image, message",
    [
        (PIXELS / 1.0, r"values are 0.0 to 2..\.0, and of floats 0 is black and 1 white\. Scale them"),
        (PIXELS.astype(int), "uint8, uint16 or floats from 0 to 1, not int64"),
        (PIXELS.transpose(2, 0, 1), r"not \(3, 6, 8\)\. Its channels come first: transpose\(1, 2, 0\)"),
        (PIXELS[None], r"not \(1, 6, 8, 3\)"),
        (PIXELS[:0], r"not \(0, 8, 3\)"),
        (GREY.astype(np.uint16), "values are .* 65535 white"),
        (torch.zeros(3, 6, 8), r"A Tensor is no image.*x\.permute\(1, 2, 0\)\.numpy\(\)"),
        (None, "A NoneType is no image: that is a path, a PIL image"),
        (torch.zeros(6, 8, 3), r"A Tensor is no image: that is .*floats from 0 to 1.*by x\.numpy\(\)"),
        (np.zeros((9, 6, 8), np.uint8), r"pass a list: \[\*array\]"),
        ({"a": "cat.jpg"}, r"A dict is no image.*list\(images\.values\(\)\)"),
        ([[1, 2]], "A list is no image"),
        ("https://example.org/cat.jpg", "cat.jpg: No such file or directory. Download it first."),
        ("missing.jpg", "missing.jpg: No such file or directory"),
        (Path(__file__).parent, "it is a folder. Pass the images in it."),
        (b"GIF89a", "the bytes: "),
    ],
)
def test_what_is_no_picture_says_what_to_do(image, message):
    with pytest.raises(ImageError, match=message):
        to_image(image)


def test_a_damaged_picture_that_pillow_has_opened_but_not_read_is_named(path):
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ImageError, match="image.png: "):
        to_image(Image.open(path))


def test_preprocessing_takes_a_picture_in_every_form_and_several(path):
    preprocessing = Preprocessing(4)
    one = preprocessing(PIXELS)
    assert one.shape == (3, 4, 4) and torch.equal(preprocessing(str(path)), one)
    for several in [path, PIXELS], (path, PIXELS), (each for each in (path, PIXELS)), np.stack([PIXELS, PIXELS]):
        assert torch.equal(preprocessing(several), torch.stack([one, one]))
    assert preprocessing([]).shape == (0, 3, 4, 4)


def test_warnings_are_off_while_any_thread_reads_and_on_again_after():
    quiet = Quiet()

    def enter(_):
        for _ in range(200):
            with quiet, warnings.catch_warnings(record=True) as caught:
                warnings.warn("of odd metadata", stacklevel=1)
            assert not caught

    before = warnings.filters[:]
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(enter, range(4)))
    first, second = Quiet(), quiet
    first.__enter__()
    second.__enter__()
    second.__exit__()
    first.__exit__()
    assert warnings.filters == before
