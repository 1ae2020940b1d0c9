"""Read members of tar and zip archives in place; nothing is ever extracted to disk.

A member can be opened any number of times. Its name is only a label: nothing is ever opened by it. The standard library reads zip files
by their index, and tar files plain or compressed with gzip, bzip2 or xz.
"""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from floodmark.captures.unpacking import codec_of, refuse_bomb
from floodmark.errors import CaptureError

_ZIP = b"PK\x03\x04"
_USTAR, _USTAR_AT = b"ustar", 257
_HEAD_BYTES = 512
_MOST_MEMBERS = 100_000  # in one archive; a larger one is not a collection of captures
_READABLE = ("gzip", "bzip2", "xz")  # compressions that tarfile reads
_FAULTS = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class Member:
    """A file in an archive."""

    archive: str  # path
    name: str  # archive name, slash, member name
    nbytes: int  # uncompressed size, as recorded in the archive
    packed_bytes: int  # compressed size in a zip file; 0 if unknown
    begin: Callable[[ExitStack], IO[bytes]]  # opens it, and pushes what has to be closed onto the stack

    def open(self) -> "MemberStream":
        """Open the member from its beginning."""
        return MemberStream(self)


class MemberStream(io.RawIOBase):
    """The bytes of a member. They end where the archive is damaged, and ``damage`` gives the reason."""

    def __init__(self, member: Member) -> None:
        self.damage: str | None = None
        self.archive = member.archive
        self._member = member
        self._opened = ExitStack()
        self._stream: IO[bytes] | None = None
        self._given = 0

    def readable(self) -> bool:
        """Return True: the stream is readable."""
        return True

    def readinto(self, room: memoryview) -> int:  # type: ignore[override] # narrower than any buffer
        """Read into a buffer. Raises OSError if not even the first bytes can be read, BombError for a decompression bomb."""
        data = b""
        try:
            if self._stream is None:
                self._stream = self._member.begin(self._opened)
            data = self._stream.read(len(room))
        except _FAULTS as error:
            if not self._given:
                raise OSError(f"the archive member cannot be read: {error}") from error
            self.damage = f"the archive member is damaged: {error}"
        room[: len(data)] = data
        self._given += len(data)
        if self._member.packed_bytes:
            refuse_bomb("zip", self._member.packed_bytes, self._given)
        return len(data)

    def close(self) -> None:
        """Close the member and its archive."""
        self._opened.close()
        super().close()


def members_of(path: str) -> list[Member] | None:
    """Return the files in an archive, or None if the file is not an archive. Raises CaptureError for an unreadable archive."""
    listed = _listing(path)
    if listed is None:
        return None
    members: list[Member] = []
    try:
        for member in listed:
            if len(members) == _MOST_MEMBERS:
                raise CaptureError(path, f"the archive has more than {_MOST_MEMBERS:,} files; unpack it first")
            members.append(member)
    except _FAULTS as error:
        raise CaptureError(path, f"the archive cannot be read: {error}", 0) from error
    return members


def _listing(path: str) -> Iterator[Member] | None:
    """Return an iterator over the files in an archive, None if the file is not one or cannot be opened: its reader reports why."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - may be any name
            head = file.read(_HEAD_BYTES)
            file.seek(0)
            if head.startswith(_ZIP):
                return _in_zip(path)
            return _in_tar(path) if _is_tar(head, file) else None
    except OSError:
        return None


def _is_tar(head: bytes, file: IO[bytes]) -> bool:
    """Return whether a file is a tar file, compressed or not."""
    codec = codec_of(head)
    if codec is not None:
        if codec.name not in _READABLE:
            return False
        try:
            head = codec.unpacker().decompress(file.read(64 << 10), _HEAD_BYTES)
        except codec.errors:
            return False
    return head[_USTAR_AT : _USTAR_AT + len(_USTAR)] == _USTAR


def _in_zip(path: str) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    for info in infos:
        if not info.is_dir():

            def begin(opened: ExitStack, info: zipfile.ZipInfo = info) -> IO[bytes]:
                return opened.enter_context(opened.enter_context(zipfile.ZipFile(path)).open(info))

            yield Member(path, f"{path}/{info.filename}", info.file_size, max(info.compress_size, 1), begin)


def _in_tar(path: str) -> Iterator[Member]:
    with tarfile.open(path) as archive:
        for info in archive:
            if info.isreg():

                def begin(opened: ExitStack, info: tarfile.TarInfo = info) -> IO[bytes]:
                    archive = opened.enter_context(tarfile.open(path))  # noqa: SIM115 - closed with the stack
                    stream = archive.extractfile(info)
                    if stream is None:
                        raise OSError("not a regular file")
                    return opened.enter_context(stream)

                yield Member(path, f"{path}/{info.name}", info.size, 0, begin)
