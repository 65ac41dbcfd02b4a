"""The modes of pictures: each whose range of brightness is known as 8-bit RGB, as a person sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import extra
from .errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

ORIENTATION = 0x0112  # the EXIF tag
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # TIFF's tags, TIFF 6.0
WHITE_IS_ZERO, SIGNED = 0, 2  # what they say
WHITE = 65535  # of 16 bits, by PNG, TIFF 6.0 and Pillow; what a camera of 10, 12 or 14 bits stores there is darker
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
    """Numbers as uint8: whole ones from 0 to 65535, floats from 0 to 1.

    ImageError if some are beyond, or if all would be black that are not: then they are numbers of 8 bits.
    """
    floats = values.dtype.kind == "f"
    white, most_of_8_bits = (1, 1.001 / 255) if floats else (WHITE, 255)  # floats may be 255 / 255 / 255
    least, most = values.min(), values.max()
    in_range = least >= 0 and most <= white  # not if one is nan
    if not in_range or 0 < most <= most_of_8_bits:
        kind = "of floats" if floats else "of more than 8 bits"
        raise ImageError(
            f"Its values are {least} to {most}, and {kind} 0 is black and {white} white. Scale them to that, or convert it to "
            f"8 bits."
        )
    return (values * 255).round().astype(np.uint8) if floats else (values >> 8).astype(np.uint8)


def has_16_bits(image: Image | np.ndarray) -> bool:
    """Whether it has 16 bits, of which nothing tells how many the camera filled; asked before it is decoded."""
    if isinstance(image, np.ndarray):
        return image.dtype.kind == "u" and image.itemsize == 2  # of either byte order
    if image.mode.startswith("I"):
        return not _is_of_12_bits(image)
    return ";16" in _stored_as(image)  # colours, which Pillow decodes to 8 bits


def brightest_of_16_bits(image: Image | np.ndarray) -> int:
    """The largest number in an image of 16 bits, once it is decoded; of colours in a file it may be up to 255 less."""
    if isinstance(image, np.ndarray) or image.mode.startswith("I"):
        return int(np.asarray(image).max())
    colours = zip(image.getbands(), np.reshape(image.getextrema(), (-1, 2)))
    return 256 * int(max(most for band, (_, most) in colours if band != "A")) + 255


def darkness(brightest: Collection[int]) -> str:
    """A sentence on images of 16 bits whose largest numbers these are, if none reaches half of white; else ''."""
    if not brightest or max(brightest) > WHITE / 2:
        return ""
    images = "1 image of 16 bits reaches" if len(brightest) == 1 else f"{len(brightest):,} images of 16 bits reach"
    return (
        f"{images} at most {max(brightest):,}, and {WHITE:,} is white: they are read as dark as that. If the camera has fewer "
        f"bits, scale them, now and for predict."
    )


def _check(image: Image) -> None:
    """Raise ImageError if it has no pixels, or numbers without a known range."""
    if 0 in image.size:
        raise ImageError(f"It has no pixels: it is {image.width}x{image.height}.")
    if image.mode == "F":
        raise ImageError("Its pixels are floating point, whose range is not known. Convert it to 8 or 16 bits.")
    tags = _tags(image)
    if SIGNED in tags.get(SAMPLE_FORMAT, ()) and tags[BITS] in ((8,), (16,)):
        raise ImageError("Its pixels are signed numbers, whose range is not known. Convert it to unsigned 8 or 16 bits.")


def _load(image: Image) -> None:
    """Decode it. A transparent value that Pillow then no longer knows is set right, or an ImageError."""
    stored, transparent = _stored_as(image), image.info.get("transparency")
    if transparent is not None and stored == "RGB;16B":
        raise ImageError("It has 16 bits and a transparent colour, which 8 bits cannot tell. Convert it to 8-bit RGBA.")
    if _tags(image).get(ORIENTATION, 1) > 4:
        _load_turned(cast("ImageFile", image))
    image.load()
    if isinstance(transparent, int) and stored in STEPS:
        image.info["transparency"] = transparent * STEPS[stored]
    if ";16" in stored and image.mode == "RGB" and brightest_of_16_bits(image) < 256:
        raise ImageError("None of its 16-bit values is above 255: it would be all black. Convert it to 8 bits.")


def _load_turned(image: ImageFile) -> None:
    """Decode a TIFF that EXIF turns by a quarter; by its name Pillow 13 maps it into memory with its sides exchanged."""
    name = image.filename
    image.filename = ""
    try:
        image.load()
    finally:
        image.filename = name


def _stored_as(image: Image) -> str:
    """Pillow's name of how a file stores pixels, such as 'RGB;16B'; '' once they are decoded."""
    tiles = getattr(image, "tile", None)
    stored = tiles[0][3] if tiles else ""
    return str(stored[0] if isinstance(stored, tuple) else stored)


def _tags(image: Image) -> Mapping[int, Any]:
    """The tags of a TIFF; of other images none."""
    return getattr(image, "tag_v2", {})


def _is_of_12_bits(image: Image) -> bool:
    """Whether it is a TIFF that says so: 4095 is white."""
    return _tags(image).get(BITS) == (12,)


def _grey(image: Image) -> Image:
    """An image of whole numbers of more than 8 bits in 8, 'L'; with 'LA' the value that is transparent."""
    from PIL import Image as images

    values = np.asarray(image)
    pixels = (values >> 4).astype(np.uint8) if _is_of_12_bits(image) else to_8_bits(values)
    if _tags(image).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        pixels = 255 - pixels
    grey = images.fromarray(pixels)
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey.putalpha(images.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey
