"""The checksum inside a file, of all that is in it: it tells damage."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path

from .errors import DeployError

START = b"crc32="
PLACEHOLDER = START + b"00000000;"


def fill_in(*parts: bytes) -> tuple[bytes, ...]:
    """`parts`, the last of which holds `PLACEHOLDER`, with the CRC-32 of all of them in its place."""
    *others, last = parts
    head, _, tail = last.rpartition(PLACEHOLDER)
    return *others, head + _compute(parts) + tail


def check(path: Path, *parts: bytes) -> None:
    """Raise DeployError unless `fill_in` gave these parts."""
    *others, last = parts
    start = last.rfind(START)
    if start < 0:
        raise DeployError(f"{path} was not written by `warmnet export`, or is cut off. Export it again from its model.")
    end = start + len(PLACEHOLDER)
    as_written = last[:start] + PLACEHOLDER + last[end:]
    if last[start:end] != _compute((*others, as_written)):
        raise DeployError(f"{path} is damaged: its checksum is not that of its content. Export it again, or copy it again.")


def _compute(parts: tuple[bytes, ...]) -> bytes:
    crc = functools.reduce(lambda crc, part: zlib.crc32(part, crc), parts, 0)
    return START + f"{crc:08x};".encode()
