"""What is known of an image once it was decoded: its size, its mode, and the digest that says which image it is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .errors import ImageError
from .images import opened_image
from .modes import brightest_of_16_bits, has_16_bits, upright_rgb
from .tar_members import FileInMemory, Member

if TYPE_CHECKING:
    from PIL.Image import Image


class ImageFacts(NamedTuple):
    """What is known of an image.

    - `file`: its name below the folder of the data set, 'cat/1.jpg', in a tar 'train-000.tar: cat/1.jpg'; elsewhere its whole
      path. Empty if the image is no file.
    - `bytes`: the size of the file. `modified`: when the file, or the tar, was changed last, in nanoseconds since 1970.
    - `width`, `height`: in pixels, of the image as a person sees it: turned as EXIF says.
    - `mode`: Pillow's: 'RGB', 'L', 'I;16', ..., and 'P, transparent' if there is transparency that the mode does not say.
    - `brightest`: of 16 bits, of which nothing tells what is white, the largest number; of other images 0.
    - `digest`: SHA-256 of the bytes, which `sha256sum` prints; of an image that is no file, of its size and its pixels.
    """

    file: str
    bytes: int
    modified: int
    width: int
    height: int
    mode: str
    brightest: int
    digest: str


def read_facts(image: Path | Member, root: Path, before: ImageFacts | None = None) -> ImageFacts:
    """The facts of an image file below `root`, which is decoded to its end. ImageError if it cannot be.

    What was found `before` is taken for true, and nothing is read, if the file's size and time of change are the same. With
    another time, as of a copy, the file is read and hashed; only with another digest it is decoded again. So no change is
    overlooked but one that keeps both the size and the time.
    """
    size, modified = _size_and_time(image)
    if before and (before.bytes, before.modified) == (size, modified):
        return before
    content = _read(image)
    digest = hashlib.sha256(content).hexdigest()
    if before and before.digest == digest:
        return before._replace(modified=modified)
    with opened_image(FileInMemory(content, str(image))) as picture:
        mode, deep = _mode(picture), has_16_bits(picture)
        width, height = upright_rgb(picture).size
        brightest = brightest_of_16_bits(picture) if deep else 0
    return ImageFacts(name_below(image, root), size, modified, width, height, mode, brightest, digest)


def facts_of_pixels(image: Image) -> ImageFacts:
    """The facts of an image in memory."""
    pixels = upright_rgb(image)
    digest = hashlib.sha256(f"{pixels.size} ".encode() + pixels.tobytes()).hexdigest()
    return ImageFacts("", 0, 0, *pixels.size, _mode(image), 0, digest)


def name_below(image: Path | Member, root: Path) -> str:
    """The name of an image's file, from `root` on if it is below it; of a member that of its tar, and its own."""
    path = os.path.abspath(image.tar if isinstance(image, Member) else image)
    if Path(path).is_relative_to(root.absolute()):
        path = os.path.relpath(path, root)
    return f"{path}: {image.name}" if isinstance(image, Member) else path


def _size_and_time(image: Path | Member) -> tuple[int, int]:
    """The size of an image's file, and when it, or its tar, was changed last; of one that is not there (0, 0)."""
    try:
        status = os.stat(image.tar if isinstance(image, Member) else image)
    except OSError:
        return 0, 0
    size = image.size if isinstance(image, Member) else status.st_size
    return size, status.st_mtime_ns


def _read(image: Path | Member) -> bytes:
    if isinstance(image, Member):
        return image.read()
    try:
        return image.read_bytes()
    except OSError as error:
        raise ImageError(f"{image}: {error.strerror or error}") from error


def _mode(image: Image) -> str:
    """Pillow's mode, and whether pixels are transparent if the mode does not say it."""
    says_it = image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    return f"{image.mode}, transparent" if image.has_transparency_data and not says_it else image.mode
