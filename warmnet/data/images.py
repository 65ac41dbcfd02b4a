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
from .formats import LONGEST_MARK, cure_of, decoders, format_of
from .modes import has_16_bits, to_8_bits, upright_rgb
from .quiet import Quiet

if TYPE_CHECKING:
    from PIL.Image import Image

CHANNELS = 1, 3, 4
QUIET = Quiet()  # of odd metadata, say, Pillow warns
SHAPES = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
KINDS = f"a path, a PIL image, an array {SHAPES} of uint8, uint16, bool or floats from 0 to 1, an open file or its bytes"


def is_one(images: Any) -> bool:
    """Whether it is one image, and not several."""
    if isinstance(images, (str, os.PathLike, bytes, bytearray, memoryview, Mapping)) or not isinstance(images, Iterable):
        return True
    return hasattr(images, "read") or getattr(images, "ndim", 1) in (0, 2, 3)


def to_image(image: Any) -> Image:
    """A PIL image, upright and in 8-bit RGB. Raises ImageError for what is not an image.

    - `image`: a path, a PIL image, an array (H, W), (H, W, 1), (H, W, 3) in RGB or (H, W, 4) of uint8, uint16, bool or floats
      from 0 to 1, an open file, the bytes of one, or what has `open()`, which gives one. OpenCV's arrays are BGR: pass
      `array[..., ::-1]`. Of uint16 65535 is white.

    >>> import numpy as np
    >>> from warmnet import data
    >>> data.to_image(np.zeros((480, 640), np.uint8)).size
    (640, 480)
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(os.path.expanduser(image))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return read_image(io.BytesIO(image))
    with extra("train"):
        from PIL.Image import Image
    if isinstance(image, Image):
        return image_in_memory(image, getattr(image, "filename", "") or "the image")
    if isinstance(image, np.ndarray):
        return image_in_memory(image, "the array")
    if hasattr(image, "open"):
        return read_image(image.open())
    if hasattr(image, "read"):
        return read_image(image)
    cure = ""
    if isinstance(image, torch.Tensor):
        order = ".permute(1, 2, 0)" if image.ndim == 3 and image.shape[2] not in CHANNELS else ""
        cure = f" A tensor becomes an array by x{order}.numpy(); a preprocessed batch is for model(x)."
    elif isinstance(image, Mapping):
        cure = " Pass the images that it holds: list(images.values())."
    raise ImageError(f"A {type(image).__name__} is no image: that is {KINDS}.{cure}")


def image_in_memory(image: Image | np.ndarray, name: str) -> Image:
    """A PIL image or an array upright and in 8-bit RGB; an ImageError calls it `name`."""
    with extra("train"):
        from PIL.Image import fromarray
    with _naming(name):
        return upright_rgb(fromarray(_bytes_of(image)) if isinstance(image, np.ndarray) else image)


def read_image(path: str | os.PathLike[str] | BinaryIO) -> Image:
    """The image in a file, upright and in RGB. It is decoded to its end: a damaged or truncated one raises ImageError.

    >>> import io
    >>> from PIL import Image
    >>> from warmnet import data
    >>> Image.new('L', (640, 480)).save(file := io.BytesIO(), 'png')
    >>> image = data.read_image(file)
    >>> image.mode, image.size
    ('RGB', (640, 480))
    """
    with opened_image(path) as image:
        return upright_rgb(image)


@contextmanager
def opened_image(path: str | os.PathLike[str] | BinaryIO) -> Iterator[Image]:
    """The image in a file as Pillow opens it, not decoded yet. What goes wrong with it in the block is an ImageError."""
    with extra("train"):
        import PIL  # noqa: F401 # that it is missing is no fault of the image
    with _naming(_name(path)), QUIET, _open(path) as image:
        yield image


def _open(file: str | os.PathLike[str] | BinaryIO) -> Image:
    """The image in a file; an ImageError says what is in it instead."""
    from PIL import Image as images

    if hasattr(file, "read") and not (hasattr(file, "seekable") and file.seekable()):
        file = io.BytesIO(file.read())  # of a download, say
    try:
        return images.open(file, formats=decoders())
    except images.UnidentifiedImageError as error:
        if isinstance(file, (str, os.PathLike)):
            with open(file, "rb") as opened:
                start = opened.read(LONGEST_MARK)
        else:
            file.seek(0)
            start = file.read(LONGEST_MARK)
        raise ImageError(_no_image(start, os.path.splitext(_name(file))[1].lower())) from error


def _no_image(start: bytes, suffix: str) -> str:
    """What is wrong with a file that is no image, by its first bytes and its suffix."""
    if not start:
        return "it is empty, 0 bytes."
    format = format_of(start)
    if format:
        return (
            f"it begins as {format} does, and is damaged there or of a kind that Pillow cannot read. If "
            f"another program opens it, convert it to PNG."
        )
    cure = cure_of(suffix)
    return f"{suffix} files are not read here: {cure}." if cure else "not an image of a known format."


def _name(file: Any) -> str:
    """What a file is called in messages."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file) or "''"
    return str(getattr(file, "name", None) or getattr(file, "filename", None) or "the bytes")


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Whatever goes wrong inside it is an ImageError with the name of the image and the reason."""
    from PIL.Image import DecompressionBombError

    try:
        yield
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
            cure = " Its channels come first: transpose(1, 2, 0), or permute of a tensor, puts them last."
        elif array.ndim == 3:
            cure = " Of several grey images, (N, H, W), pass a list: [*array]."
        raise ImageError(f"an image is {SHAPES}, not {array.shape}.{cure}")
    if array.dtype == bool:
        return array * np.uint8(255)
    if array.dtype.kind == "f" or has_16_bits(array):
        return to_8_bits(array)
    if array.dtype != np.uint8:
        raise ImageError(
            f"an image is of uint8, uint16 or floats from 0 to 1, not {array.dtype}, whose black and white are not known. "
            f"Convert it."
        )
    return array
