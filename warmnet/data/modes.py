"""The modes of pictures: each whose range of brightness is known as 8-bit RGB, as a person sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import extra
from .errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112  # the EXIF tag
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # TIFF's tags, TIFF 6.0
WHITE_IS_ZERO, SIGNED = 0, 2  # what they say
SMALLEST_WHITE = 4096  # what only reaches less of 65535 is of fewer bits, stored in 16: it would show nearly black
STEPS = {"L;2": 85, "L;4": 17}  # of grey in 8 bits, by Pillow's name of how a PNG stores it


def upright_rgb(image: Image) -> Image:
    """`image` as a person sees it, in 8-bit RGB: turned as EXIF says, the transparent on white, 16 bits scaled to 8.

    Of several pages or frames it is the first. Colour profiles are left alone. Raises ImageError if it has no pixels, or its
    range of brightness is not known.
    """
    with extra("train"):
        from PIL import Image as images
        from PIL.ImageOps import exif_transpose
    _check(image)
    _load(image)
    if image.getexif().get(ORIENTATION, 1) != 1:  # its copy takes time
        image = exif_transpose(image)
    if image.mode.startswith("I"):  # convert() would show everything above 255 as white
        image = _grey(image)
    if image.mode == "La":  # convert() takes it nowhere else
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = images.alpha_composite(images.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 to 65535 as uint8; an ImageError if black and white are plainly others."""
    _check_range(int(values.min()), int(values.max()))
    return (values >> 8).astype(np.uint8)


def _check_range(least: int, most: int) -> None:
    if least < 0 or most > 65535 or 0 < most < SMALLEST_WHITE:
        raise ImageError(
            f"Its values are {least} to {most}, and of more than 8 bits 0 is black and 65535 white. Scale them to that, or "
            f"convert it to 8 bits."
        )


def _check(image: Image) -> None:
    """Raise ImageError if it has no pixels, or numbers without a known range."""
    if 0 in image.size:
        raise ImageError(f"It has no pixels: it is {image.width}x{image.height}.")
    if image.mode == "F":
        raise ImageError("Its pixels are floating point, whose range is not known. Convert it to 8 or 16 bits.")
    tags = getattr(image, "tag_v2", {})
    if SIGNED in tags.get(SAMPLE_FORMAT, ()) and tags[BITS] in ((8,), (16,)):
        raise ImageError("Its pixels are signed numbers, whose range is not known. Convert it to unsigned 8 or 16 bits.")


def _load(image: Image) -> None:
    """Decode it. What Pillow then no longer knows is set right, or an ImageError: a transparent value, a range of 16 bits."""
    stored, transparent = _stored_as(image), image.info.get("transparency")
    if transparent is not None and stored == "RGB;16B":
        raise ImageError("It has 16 bits and a transparent colour, which 8 bits cannot tell. Convert it to 8-bit RGBA.")
    if getattr(image, "tag_v2", {}).get(ORIENTATION, 1) > 4:
        image.filename = ""  # type: ignore[attr-defined] # else Pillow 13 maps a TIFF into memory with its sides exchanged
    image.load()
    if isinstance(transparent, int) and stored in STEPS:
        image.info["transparency"] = transparent * STEPS[stored]
    if ";16" in stored and image.mode in ("RGB", "RGBA"):
        ranges = np.ravel(image.getextrema()[:3])
        _check_range(256 * int(ranges.min()), 256 * int(ranges.max()))


def _stored_as(image: Image) -> str:
    """Pillow's name of how a file stores pixels, such as 'RGB;16B'; '' once they are decoded."""
    tiles = getattr(image, "tile", None)
    stored = tiles[0][3] if tiles else ""
    return str(stored[0] if isinstance(stored, tuple) else stored)


def _grey(image: Image) -> Image:
    """An image of whole numbers of more than 8 bits in 8, 'L'; with 'LA' the value that is transparent."""
    from PIL import Image as images

    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    if tags.get(BITS) == (12,):
        values = values << 4
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = 65535 - values
    grey = images.fromarray(to_8_bits(values))
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(images.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey
