"""Pictures as users have them: files, PIL images, arrays; read whole, as PIL images in RGB."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch

from ..errors import extra
from .errors import ImageError
from .formats import cure_of, decoders
from .modes import to_8_bits, upright_rgb
from .quiet import Quiet

if TYPE_CHECKING:
    from PIL.Image import Image

CHANNELS = 1, 3, 4
QUIET = Quiet()  # of odd metadata, say, Pillow warns
SHAPES = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
KINDS = f"a path, a PIL image, an array {SHAPES} of uint8, uint16 or bool, an open file or its bytes"


def is_one(images: Any) -> bool:
    """Whether it is one image, and not several."""
    if isinstance(images, (str, os.PathLike, bytes, bytearray, memoryview, Mapping)) or not isinstance(images, Iterable):
        return True
    return hasattr(images, "read") or getattr(images, "ndim", 1) in (0, 2, 3)


def to_image(image: Any) -> Image:
    """A PIL image, upright and in 8-bit RGB; an ImageError if `image` is none.

    - `image`: a path, a PIL image, an array (H, W), (H, W, 1), (H, W, 3) in RGB or (H, W, 4) of uint8, uint16 or bool, an open
      file, the bytes of one, or what has `open()`, which gives one. OpenCV's arrays are BGR: pass `array[..., ::-1]`.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(os.path.expanduser(image))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return read_image(io.BytesIO(image))
    with extra("train"):
        from PIL.Image import Image, fromarray
    if isinstance(image, Image):
        with _naming(getattr(image, "filename", "") or "the image"):
            return upright_rgb(image)
    if isinstance(image, np.ndarray):
        with _naming("the array"):
            return upright_rgb(fromarray(_bytes_of(image)))
    if hasattr(image, "open"):
        return read_image(image.open())
    if hasattr(image, "read"):
        return read_image(image)
    cure = ""
    if isinstance(image, torch.Tensor):
        order = ".permute(1, 2, 0)" if image.ndim == 3 and image.shape[2] not in CHANNELS else ""
        cure = f" A tensor of uint8 becomes an array by x{order}.numpy(); a preprocessed batch is for model(x)."
    elif isinstance(image, Mapping):
        cure = " Pass the images that it holds: list(images.values())."
    raise ImageError(f"A {type(image).__name__} is no image: that is {KINDS}.{cure}")


def read_image(path: str | os.PathLike[str] | BinaryIO) -> Image:
    """The image in a file, upright and in RGB; decoded to its end, so that a truncated one is an ImageError here."""
    with opened_image(path) as image:
        return upright_rgb(image)


@contextmanager
def opened_image(path: str | os.PathLike[str] | BinaryIO) -> Iterator[Image]:
    """The image in a file as Pillow opens it, not decoded yet. What goes wrong with it in the block is an ImageError."""
    with extra("train"):
        from PIL import Image as images
    with _naming(_name(path)), QUIET, images.open(path, formats=decoders()) as image:
        yield image


def _name(file: Any) -> str:
    """What a file is called in messages."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file) or "''"
    return str(getattr(file, "name", None) or getattr(file, "filename", None) or "the bytes")


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Whatever goes wrong inside it is an ImageError with the name of the image and the reason."""
    from PIL.Image import DecompressionBombError, UnidentifiedImageError

    try:
        yield
    except UnidentifiedImageError as error:
        suffix = os.path.splitext(name)[1].lower()
        if cure := cure_of(suffix):
            raise ImageError(f"{name}: {suffix} files are not read here: {cure}.") from error
        raise ImageError(
            f"{name}: not an image of a known format, of a kind of it that Pillow cannot read, or damaged at its start."
        ) from error
    except DecompressionBombError as error:
        raise ImageError(f"{name}: {_too_large(error)}") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: it is a folder. Pass the images in it.") from error
    except FileNotFoundError as error:
        address = " Download it first." if "://" in name else ""
        raise ImageError(f"{name}: No such file or directory.{address}") from error
    except Exception as error:  # Pillow's decoders raise anything from SyntaxError to struct.error
        raise ImageError(f"{name}: {getattr(error, 'strerror', None) or error or type(error).__name__}") from error


def _too_large(error: Exception) -> str:
    from PIL import Image as images

    limit = 2 * (images.MAX_IMAGE_PIXELS or 0)  # Pillow warns at one, and refuses at two
    return (
        f"it has more than {limit:,} pixels, which is the limit. Make it smaller, or if you trust it, raise "
        f"PIL.Image.MAX_IMAGE_PIXELS, half of the limit. ({error})"
    )


def _bytes_of(array: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4) of uint8, of an array that is an image."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)) or 0 in array.shape:
        cure = ""
        if array.ndim == 3 and array.shape[0] in CHANNELS:
            cure = " Its channels come first: array.transpose(1, 2, 0) puts them last."
        elif array.ndim == 3:
            cure = " Of several grey images, (N, H, W), pass a list: [*array]."
        raise ImageError(f"an image is {SHAPES}, not {array.shape}.{cure}")
    if array.dtype == bool:
        return array * np.uint8(255)
    if array.dtype.kind == "u" and array.itemsize == 2:  # of either byte order
        return to_8_bits(array)
    if array.dtype != np.uint8:
        cure = "Of 0..1, (255 * array).round().astype(np.uint8) makes it." if array.dtype.kind == "f" else "Convert it."
        raise ImageError(f"an image is of uint8 or uint16, not {array.dtype}, whose black and white are not known. {cure}")
    return array
