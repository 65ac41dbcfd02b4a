"""Files inside of tars, read by their offset."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .errors import DataError, ShardError


class Member(NamedTuple):
    """A file inside a tar: `size` bytes from `offset`. It holds nothing open: any thread or worker process may read it."""

    tar: str
    offset: int
    size: int
    name: str

    def __str__(self) -> str:
        return f"{self.tar}: {self.name}"

    def read(self) -> bytes:
        """Its bytes. DataError if the tar is shorter than when it was indexed, OSError if it cannot be opened."""
        with open(self.tar, "rb", buffering=0) as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise DataError(f"{self}: {len(data)} of {self.size} bytes are left. The shard has changed since it was indexed.")
        return data

    def open(self) -> FileInMemory:
        """A file in memory of its bytes, as Pillow opens it."""
        return FileInMemory(self.read(), str(self))


class FileInMemory(io.BytesIO):
    """Bytes to be read like a file; as text it is the name of where they are from, for messages: 'shard.tar: member.jpg'."""

    def __init__(self, content: bytes, name: str):
        super().__init__(content)
        self.name = name

    def __str__(self) -> str:
        return self.name


def list_members(path: str, left_out: Counter[str]) -> list[Member]:
    """All files in a tar, in their order, links as the files that they lead to.

    ShardError if it is truncated or damaged, DataError if it is no tar.

    - `left_out`: what is no file, or a link to none in the tar, is counted there.
    """
    members: list[Member] = []
    links: list[tarfile.TarInfo] = []
    with open(path, "rb") as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for info in tar:
                    if info.isreg():
                        members.append(Member(path, info.offset_data, info.size, info.name))
                    elif info.islnk() or info.issym():
                        links.append(info)
                    elif not info.isdir():
                        left_out["pipes or devices"] += 1
                file.seek(tar.offset)  # tarfile stops without a word at the zeros that end a tar, and at damage
                whole = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
        except tarfile.TarError as error:
            if not members:
                raise _not_a_tar(path) from error
            whole = False
    if not whole:
        last = f"in or after {members[-1].name}, file {len(members):,} of it" if members else "at its start"
        raise ShardError(f"{path} is truncated or damaged, {last}. Nothing in it is used; write or copy it again.")
    return members + _follow(links, members, left_out)


def _follow(links: Sequence[tarfile.TarInfo], members: Sequence[Member], left_out: Counter[str]) -> list[Member]:
    """The files that links lead to, by the links' names; what leads to no file is counted."""
    files = {posixpath.normpath(member.name): member for member in members}
    followed = []
    for link in links:
        folder = "" if link.islnk() else posixpath.dirname(link.name)
        target = files.get(posixpath.normpath(posixpath.join(folder, link.linkname)))
        if target is None:
            left_out["links to no file in the tar"] += 1
        else:
            files[posixpath.normpath(link.name)] = member = target._replace(name=link.name)
            followed.append(member)
    return followed


def _not_a_tar(path: str) -> DataError:
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            return DataError(f"{path} is compressed with gzip, and has no offsets to read at. Decompress it: gunzip {path}")
    return DataError(f"{path} is not a tar file.")
