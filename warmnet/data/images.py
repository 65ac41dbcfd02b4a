"""Image files: decoded whole, upright, in 8-bit RGB."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import extra
from .errors import ImageError
from .formats import decoders

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112  # the EXIF tag


def read_image(path: str | os.PathLike[str] | BinaryIO) -> Image:
    """The image in a file, upright and in RGB; decoded to its end, so that a truncated one is an ImageError here."""
    with opened_image(path) as image:
        return upright_rgb(image)


@contextmanager
def opened_image(path: str | os.PathLike[str] | BinaryIO) -> Iterator[Image]:
    """The image in a file as Pillow opens it, not decoded yet. What goes wrong with it in the block is an ImageError."""
    with extra("train"):
        from PIL import Image as images
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, say
            with images.open(path, formats=decoders()) as image:
                yield image
    except images.UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image of a known format, or damaged at its start.") from error
    except Exception as error:  # Pillow's decoders raise anything from SyntaxError to struct.error
        raise ImageError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def upright_rgb(image: Image) -> Image:
    """`image` as a person sees it, in 8-bit RGB: turned as EXIF says, the transparent on white, 16-bit grey scaled to 8."""
    with extra("train"):
        from PIL import Image as images
        from PIL.ImageOps import exif_transpose
    if image.mode == "F":
        raise ImageError("Images of floating point numbers have no known range of brightness. Convert them to 8 or 16 bits.")
    if image.getexif().get(ORIENTATION, 1) != 1:  # its copy takes time
        image = exif_transpose(image)
    if image.mode.startswith("I"):  # convert() would show everything above 255 as white
        image = images.fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = images.alpha_composite(images.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
