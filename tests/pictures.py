"""Folders of real images, scikit-learn's scanned digits as PNG files; and images of one row, written by their standards."""

import struct
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def write_digits(root: Path, classes: Sequence[int] = (0, 1), count: int = 10, skip: int = 0) -> Path:
    """`root`, with `count` digits of each class in `root/<class>/00.png` and on, from the `skip`th of that class."""
    scans = load_digits()
    for label in classes:
        (root / str(label)).mkdir(parents=True)
        of_class = (scan for scan, target in zip(scans.images, scans.target) if target == label)
        for n, scan in enumerate(islice(of_class, skip, skip + count)):
            Image.fromarray((255 - scan * (255 / 16)).astype(np.uint8)).save(root / str(label) / f"{n:02}.png")
    return root


def truncate(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])


def png(depth, colour, pixels, transparent=b"", width=4):
    """A PNG of one row, by the standard of 2003: its bits a sample, its colour type, the bytes of its row and of tRNS."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks if data or kind == b"IEND")


def tiff(bits, pixels, photometric=1, sample_format=1, order="<"):
    """A TIFF of one row of four grey pixels, by TIFF 6.0; photometric 0 is white is zero, sample format 2 signed, 3 float."""
    tags = {256: 4, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1, 279: len(pixels), 339: sample_format}
    tags[273] = 14 + 12 * len(tags)
    entries = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "IH", 8, len(tags)) + entries + bytes(4) + pixels
