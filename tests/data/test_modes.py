"""Pictures of every kind of pixel are right, against numbers worked out by hand, or refused with what to convert them to."""

import io
import struct

import numpy as np
import pytest
from pictures import png, tiff
from PIL import Image

from warmnet.data import ImageError, read_image, to_image
from warmnet.data.modes import upright_rgb

VALUES = 0, 1000, 30000, 65535  # in 16 bits; the upper 8 are 0, 3, 117, 255
GREYS = [0, 3, 117, 255]


def row(image):
    """The pixels of the first row, as one number each where they are grey."""
    pixels = np.asarray(image)[0].tolist()
    return [pixel[0] if len(set(pixel)) == 1 else pixel for pixel in pixels]


@pytest.mark.parametrize(
    "file, expected",
    [
        (tiff(16, struct.pack("<4H", *VALUES)), GREYS),
        (tiff(16, struct.pack(">4H", *VALUES), order=">"), GREYS),
        (tiff(16, struct.pack("<4H", *VALUES), photometric=0), [255, 252, 138, 0]),
        (tiff(32, struct.pack("<4I", *VALUES)), GREYS),
        (tiff(32, struct.pack("<4i", *VALUES), sample_format=2), GREYS),
        (tiff(16, struct.pack("<4H", 0, 256, 1023, 4095)), [0, 1, 3, 15]),
        (tiff(12, bytes([0x00, 0x03, 0xE8, 0x7D, 0x0F, 0xFF])), [0, 62, 125, 255]),  # 0, 1000, 2000, 4095
        (tiff(12, bytes([0x00, 0x00, 0x05, 0x00, 0x80, 0x0C])), [0, 0, 0, 0]),  # 0, 5, 8, 12
        (png(16, 0, struct.pack(">4H", *VALUES)), GREYS),
        (png(16, 0, struct.pack(">4H", *VALUES), struct.pack(">H", 1000)), [0, 255, 117, 255]),
        (png(4, 0, bytes([0x05, 0xAF]), struct.pack(">H", 5)), [0, 255, 170, 255]),
        (png(2, 0, bytes([0b00_01_10_11]), struct.pack(">H", 2)), [0, 85, 255, 255]),
        (png(16, 4, struct.pack(">4H", 30000, 32768, 30000, 0), width=2), [186, 255]),  # 117 half over white: 255 - 138 / 2
        (png(16, 2, struct.pack(">6H", 0, 1000, 30000, 65535, 0, 0), width=2), [[0, 3, 117], [255, 0, 0]]),
        (png(16, 2, struct.pack(">6H", 0, 0, 0, 1000, 2000, 3000), width=2), [0, [3, 7, 11]]),
        (png(16, 6, struct.pack(">8H", 0, 1000, 30000, 65535, 9, 9, 9, 0), width=2), [[0, 3, 117], 255]),
    ],
)  # fmt: skip
def test_more_than_8_bits_are_scaled_and_the_transparent_is_white(file, expected):
    assert row(to_image(file)) == expected


@pytest.mark.parametrize(
    "file, message",
    [
        (tiff(32, struct.pack("<4I", 0, 1, 2, 2**31)), "values are -2147483648 to 2.*Scale them"),
        (tiff(32, struct.pack("<4I", 0, 1, 200, 70000)), "values are 0 to 70000, .* 65535 white"),
        (tiff(32, struct.pack("<4I", 0, 1, 200, 255)), "values are 0 to 255"),
        (tiff(16, struct.pack("<4H", 0, 1, 200, 255)), "values are 0 to 255, and of more than 8 bits 0 is black"),
        (png(16, 2, struct.pack(">6H", 0, 9, 40, 255, 0, 0), width=2), "None of its 16-bit values is above 255"),
        (tiff(16, struct.pack("<4h", 0, 1000, 30000, -1), sample_format=2), "signed numbers.*Convert it to unsigned"),
        (tiff(8, bytes([0, 100, 200, 255]), sample_format=2), "signed numbers"),
        (tiff(32, struct.pack("<4f", 0, 0.5, 1, np.nan), sample_format=3), "floating point.*Convert it to 8 or 16 bits"),
        (tiff(64, struct.pack("<4d", 0, 0.5, 1, 2), sample_format=3), "begins as TIFF does, and is .*of a kind that Pillow"),
        (png(16, 2, struct.pack(">6H", *VALUES, 0, 0), struct.pack(">3H", 0, 0, 0), width=2), "Convert it to 8-bit RGBA"),
    ],
)  # fmt: skip
def test_a_range_that_is_not_known_is_refused_and_never_black(file, message):
    with pytest.raises(ImageError, match=f"the bytes: .*{message}"):
        to_image(file)


def test_black_is_black_in_16_bits():
    assert row(to_image(tiff(16, bytes(8)))) == [0, 0, 0, 0]


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "PA", "P"])
def test_half_transparent_colours_lie_on_white_in_every_mode(mode):
    image = Image.new("RGBA", (1, 1), (200, 100, 50, 128))  # 255 - (255 - 200) * 128 / 255, ...
    converted = image.convert(mode) if mode != "PA" else image.convert("RGB").quantize().convert("PA")
    if mode == "PA":
        converted.putalpha(128)
    np.testing.assert_allclose(np.asarray(upright_rgb(converted))[0, 0], [227, 177, 152], atol=1)


@pytest.mark.parametrize("mode", ["LA", "La"])
def test_half_transparent_grey_lies_on_white(mode):
    assert row(upright_rgb(Image.new("LA", (1, 1), (117, 128)).convert(mode))) == [186]


@pytest.mark.parametrize(
    "mode, colour, expected",
    [
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),  # ITU-R BT.601: red is 0.299 * 255, ...
        ("HSV", (85, 255, 255), (0, 255, 0)),
        ("LAB", (255, 128, 128), (255, 255, 255)),
        ("1", 1, (255, 255, 255)),
        ("RGBX", (1, 2, 3, 0), (1, 2, 3)),
    ],
)
def test_other_models_of_colour_are_the_same_colours(mode, colour, expected):
    np.testing.assert_allclose(np.asarray(upright_rgb(Image.new(mode, (2, 2), colour)))[0, 0], expected, atol=1)


def test_a_jpeg_in_cmyk_which_adobe_stores_inverted_is_not_a_negative():
    file = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(file, "JPEG")
    assert b"Adobe" in file.getvalue() and row(to_image(file.getvalue()))[0] == 255


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg", "avif"])
def test_a_picture_taken_sideways_stands_upright_in_every_format(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # its right is what is above, EXIF 2.3
    Image.fromarray(np.repeat(np.linspace(0, 255, 32, dtype=np.uint8)[None], 16, 0)).save(tmp_path / f"x.{suffix}", exif=exif)
    for image in read_image(tmp_path / f"x.{suffix}"), to_image(Image.open(tmp_path / f"x.{suffix}")):
        pixels = np.asarray(image).astype(int)
        assert pixels.shape == (32, 16, 3) and pixels[0].max() < 20 and pixels[-1].min() > 235


def test_an_image_that_somebody_has_opened_keeps_its_name(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (8, 4)).save(tmp_path / "x.tif", exif=exif)
    image = Image.open(tmp_path / "x.tif")
    to_image(image)
    assert image.filename == str(tmp_path / "x.tif")


def test_of_several_pages_or_frames_it_is_the_first(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for suffix in "tif", "gif", "png", "webp":
        frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
        np.testing.assert_allclose(np.asarray(read_image(tmp_path / f"x.{suffix}"))[0, 0], (255, 0, 0), atol=3)


def test_too_many_pixels_and_none_are_refused_with_the_limit(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png(8, 0, b"", width=400_000_000))
    with pytest.raises(ImageError, match=r"bomb.png: it has more than 178,956,970 pixels, .*PIL.Image.MAX_IMAGE_PIXELS"):
        read_image(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match="the image: It has no pixels: it is 0x5"):
        to_image(Image.new("RGB", (0, 5)))
