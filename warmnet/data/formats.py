"""Which files are images, by their names and by what is in them; and what helps with those that are not."""

from __future__ import annotations

from functools import cache

from ..errors import extra

# Pillow's formats of pixels that Pillow itself decodes. Not: what it hands to another program (EPS and WMF are drawings, run
# by Ghostscript or Windows), what it only recognizes (BUFR, GRIB, HDF5, MPEG), measurements of no known brightness (FITS,
# MCIDAS, SPIDER), what takes other files for its own (IMT begins as any text does, PCD has the suffix of point clouds, IPTC
# is metadata), IM, which Pillow 15 has no more, and FPX and MIC, which need another package.
FORMATS = (
    "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "MPO", "PPM", "BLP", "CUR", "DCX", "DDS", "DIB", "FLI",
    "FTEX", "GBR", "ICNS", "ICO", "MSP", "PCX", "PIXAR", "PSD", "QOI", "SGI", "SUN", "TGA", "XBM", "XPM", "XVTHUMB",
)  # fmt: skip
LONGEST_MARK = 16  # bytes at the start of a file by which Pillow knows its format

_CURES = {
    "convert them to JPEG": ".heic .heif .jxl",
    "develop them to JPEG or TIFF": ".3fr .arw .cr2 .cr3 .dng .nef .nrw .orf .pef .raf .raw .rw2 .srw",
    "draw them as PNG": ".ai .emf .eps .pdf .ps .svg .wmf",
    "extract their frames": ".avi .m4v .mkv .mov .mp4 .mpeg .mpg .webm",
    "read them in Python for training.arrays": ".fit .fits .h5 .hdf5 .mat .npy .npz",
    "unpack them": ".7z .bz2 .gz .rar .tar .tgz .xz .zip",
    "name images with their suffix, such as .jpg": "without a suffix",
}
_CURE_OF = {what: cure for cure, suffixes in _CURES.items() for what in [suffixes, *suffixes.split()]}


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes of image files, such as '.jpg', in lower case."""
    with extra("train"):
        from PIL import Image
    Image.init()
    return frozenset(suffix for suffix, format in Image.registered_extensions().items() if format in FORMATS)


@cache
def decoders() -> tuple[str, ...]:
    """The names of those decoders of FORMATS that this Pillow has, as `Image.open` takes them."""
    with extra("train"):
        from PIL import Image
    Image.init()
    return tuple(format for format in FORMATS if format in Image.OPEN)


def format_of(start: bytes) -> str:
    """The name of the format whose files begin with these bytes, such as 'TIFF'; '' if it is none of FORMATS."""
    with extra("train"):
        from PIL import Image
    for format in decoders():
        begins = Image.OPEN[format][1]
        if begins and begins(start.ljust(LONGEST_MARK, b"\0")):
            return format
    return ""


def cure_of(what: str) -> str:
    """What to do with files that are left out for their suffix, such as '.heic'; '' if nothing is known."""
    return _CURE_OF.get(what, "")
