"""Read members of tar and zip archives in place; none is ever extracted to a file of its own.

A member can be opened any number of times. Its name is only a label: nothing is ever opened by it. The standard library reads zip files
by their index, which is parsed once, and tar files; a compressed tar file is first unpacked into a temporary file without a name.
"""

import io
import lzma
import os
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, ClassVar

from floodmark.base.identity import Identity
from floodmark.captures.unpacking import PIECE_BYTES, Unpacked, codec_of, refuse_bomb
from floodmark.errors import CaptureError

_ZIP = b"PK\x03\x04"
_USTAR, _USTAR_AT = b"ustar", 257
_HEAD_BYTES = 512
_MOST_MEMBERS = 100_000  # in one archive; a larger one is not a collection of captures
_MOST_OPEN = 8  # archives kept open, as members are read one archive after the other
_LONGEST_EXTENSION_BYTES = 1 << 20  # of a header, which is read whole: a path has at most 4 KiB
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_FAULTS = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError,
)  # fmt: skip


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
            refuse_bomb("archive", self._member.packed_bytes, self._given)
        return len(data)

    def close(self) -> None:
        """Close the member and its archive."""
        self._opened.close()
        self._stream = None
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
        try:
            head = codec.unpacker().decompress(file.read(64 << 10), _HEAD_BYTES)
        except codec.errors:
            return False
    return head[_USTAR_AT : _USTAR_AT + len(_USTAR)] == _USTAR


class _Archive(ABC):
    """An archive that is opened once for all its members, and closed when none of them is left or many others were opened since."""

    _recent: ClassVar[list["weakref.ref[_Archive]"]] = []  # those that may be open

    def __init__(self, path: str) -> None:
        self.path = path
        self._opened: Any = None
        self._identity: Identity | None = None

    @abstractmethod
    def _open(self) -> Any:  # noqa: ANN401 - a ZipFile, or an unpacked file
        """Open it. Raises OSError and the errors of its format."""

    def opened(self) -> Any:  # noqa: ANN401 - as above
        """Return it opened. Raises as :meth:`_open`."""
        now = Identity.of(os.stat(self.path))  # noqa: PTH116 - may be any name
        if self._opened is None or now != self._identity:
            self._opened, self._identity = self._open(), now
            _Archive._recent.append(weakref.ref(self))
            for old in _Archive._recent[:-_MOST_OPEN]:
                if (archive := old()) is not None:
                    archive._opened = None  # noqa: SLF001 - of the same class; members being read keep the file
            del _Archive._recent[:-_MOST_OPEN]
        return self._opened


class _OpenZip:
    """A zip file and its directory, which is closed when nobody uses it; members that are being read keep the file."""

    def __init__(self, path: str) -> None:
        self.file = zipfile.ZipFile(path)
        weakref.finalize(self, self.file.close)


class _Zip(_Archive):
    """A zip file with its directory."""

    def _open(self) -> _OpenZip:
        return _OpenZip(self.path)


def _in_zip(path: str) -> Iterator[Member]:
    archive = _Zip(path)
    for info in archive.opened().file.infolist():
        if not info.is_dir():

            def begin(opened: ExitStack, info: zipfile.ZipInfo = info) -> IO[bytes]:
                stream: IO[bytes] = opened.enter_context(archive.opened().file.open(info))
                return stream

            yield Member(path, f"{path}/{info.filename}", info.file_size, max(info.compress_size, 1), begin)


class _Header(tarfile.TarInfo):
    """A header of a tar file, whose extensions are read whole: one that claims to be long is refused."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENSIONS and self.size > _LONGEST_EXTENSION_BYTES:
            raise OSError(f"an extended header claims {self.size:,} bytes")  # TarError would only end the list of members
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return] # documented for subclasses, unknown to the stubs


def _in_tar(path: str) -> Iterator[Member]:
    plain = codec_of(_head(path)) is None
    tar, largest = _PlainTar(path) if plain else _PackedTar(path), os.stat(path).st_size  # noqa: PTH116 - may be any name
    with _members(tar) as archive:
        for info in archive:
            if info.isreg():

                def begin(opened: ExitStack, info: tarfile.TarInfo = info) -> IO[bytes]:
                    stream = opened.enter_context(_members(tar)).extractfile(info)
                    if stream is None:
                        raise OSError("not a regular file")
                    return opened.enter_context(stream)

                # A sparse member may claim any size, and holds no more than the archive.
                yield Member(path, f"{path}/{info.name}", info.size, max(min(info.size, largest), 1), begin)


def _head(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - may be any name
        return file.read(_HEAD_BYTES)


def _members(archive: _Archive) -> tarfile.TarFile:
    """Return a tar file from its beginning."""
    return tarfile.open(fileobj=_Slice(archive.opened()), mode="r:", tarinfo=_Header)


class _File:
    """A file that is closed when nobody uses it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.number = file.fileno()
        weakref.finalize(self, file.close)


class _PlainTar(_Archive):
    """A tar file that is not compressed."""

    def _open(self) -> _File:
        return _File(open(self.path, "rb"))  # noqa: PTH123 - may be any name; closed by what it becomes


class _PackedTar(_Archive):
    """A compressed tar file, unpacked: reading each member from the beginning would take the square of the time."""

    def _open(self) -> _File:
        """Unpack it into a temporary file without a name. Raises OSError, also if there is no room, and BombError."""
        out = tempfile.TemporaryFile()  # noqa: SIM115 - closed by what it becomes
        kept = _File(out)
        with open(self.path, "rb") as file:  # noqa: PTH123 - may be any name
            codec = codec_of(file.read(_HEAD_BYTES))
            if codec is None:
                raise tarfile.ReadError("not a compressed file any more")
            file.seek(0)
            unpacked, room = Unpacked(codec, file.read), memoryview(bytearray(PIECE_BYTES))
            try:
                while count := unpacked.readinto(room):
                    out.write(room[:count])
            finally:
                unpacked.close()
        if unpacked.damage is not None:
            raise OSError(f"{unpacked.damage}; unpack what is left of it yourself")  # otherwise the members after that would be missing
        out.flush()
        return kept


class _Slice(io.RawIOBase):
    """A file that several read at their own positions."""

    def __init__(self, file: _File) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        """Return True: the file is readable."""
        return True

    def seekable(self) -> bool:
        """Return True: the file is seekable."""
        return True

    def readinto(self, room: memoryview) -> int:  # type: ignore[override] # narrower than any buffer
        """Read into a buffer."""
        count = os.preadv(self._file.number, [room], self._at)
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset from the beginning, the position or the end."""
        base = (0, self._at, os.fstat(self._file.number).st_size)[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at
