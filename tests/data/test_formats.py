import io

import numpy as np
import pytest
from pictures import tiff, write_digits
from PIL import Image

from warmnet.data import ImageError, folder, read_image, to_image
from warmnet.data.formats import FORMATS, decoders, image_suffixes

PHOTO = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))
WRITTEN = {  # suffix: mode of an image that Pillow writes with it
    "avif": "RGB", "bmp": "RGB", "dds": "RGB", "dib": "RGB", "gif": "P", "icns": "RGB", "ico": "RGB", "jfif": "RGB",
    "jp2": "RGB", "jpe": "RGB", "jpeg": "RGB", "jpg": "RGB", "mpo": "RGB", "msp": "1", "pbm": "1", "pcx": "RGB", "pgm": "L",
    "png": "RGB", "pnm": "RGB", "ppm": "RGB", "qoi": "RGB", "sgi": "RGB", "tga": "RGB", "tif": "RGB", "tiff": "RGB",
    "webp": "RGB", "xbm": "1",
}  # fmt: skip


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_format_that_pillow_writes_and_decodes_itself_is_read(tmp_path, suffix):
    root = write_digits(tmp_path, count=1)
    for label in "0", "1":
        (root / label / "00.png").unlink()
        for n in range(2):
            image = PHOTO.resize((32, 32)) if suffix == "icns" else PHOTO
            image.convert(WRITTEN[suffix]).save(root / label / f"{n}.{suffix}")
    data = folder(root, strict=True)
    assert len(data.train + data.held_out) == 4 and not data.left_out


def test_formats_of_other_programs_and_of_measurements_are_none():
    Image.init()
    others = {*Image.OPEN} - {*decoders()}
    assert {"EPS", "WMF", "HDF5", "GRIB", "BUFR", "MPEG", "FITS"} <= others
    assert {"JPEG", "PNG", "TIFF", "WEBP"} <= {*decoders()} <= {*FORMATS}
    assert {*Image.OPEN} - {*FORMATS} <= {
        "BUFR", "EPS", "FITS", "FPX", "GRIB", "HDF5", "IM", "IMT", "IPTC", "MCIDAS", "MIC", "MPEG", "PCD", "SPIDER", "WMF",
    }, "a new Pillow has a format that somebody has to think of"  # fmt: skip
    assert not image_suffixes() & {".eps", ".ps", ".pdf", ".wmf", ".emf", ".h5", ".mpg", ".mpeg", ".fits", ".pcd"}


def test_a_drawing_that_is_called_jpg_is_refused_before_ghostscript_starts(tmp_path):
    PHOTO.save(tmp_path / "drawing.eps")
    (tmp_path / "drawing.eps").rename(tmp_path / "drawing.jpg")
    with pytest.raises(ImageError, match=r"drawing\.jpg: not an image of a known format"):
        read_image(tmp_path / "drawing.jpg")


def test_an_image_is_read_by_its_content_and_not_by_its_suffix():
    file = io.BytesIO()
    PHOTO.save(file, "PNG")
    assert np.array_equal(read_image(file), PHOTO)
    assert np.array_equal(read_image(Download(file.getvalue())), PHOTO)


class Download(io.RawIOBase):
    """A stream that is read once, from its start to its end."""

    def __init__(self, content):
        self.content = content

    def read(self, size=-1):
        content, self.content = self.content, b""
        return content


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "it is empty, 0 bytes"),
        (b"hello", "not an image of a known format"),
        (b"\x89PNG\r\n\x1a\n", "it begins as PNG does, and is damaged there or of a kind that Pillow cannot read"),
        (tiff(64, bytes(32), sample_format=3), "it begins as TIFF does"),
    ],
)
def test_a_file_that_is_no_image_says_what_it_begins_as(tmp_path, content, message):
    (tmp_path / "x.tif").write_bytes(content)
    for form in tmp_path / "x.tif", content, io.BytesIO(content), Download(content):
        with pytest.raises(ImageError, match=message):
            to_image(form)
