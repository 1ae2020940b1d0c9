"""One capture, given as a path, an archive member or a file object; created once and used by everything downstream.

Only this module distinguishes these kinds; whatever reads, orders, traces or proves captures takes a :class:`Source`.
"""

import hashlib
import io
import sys
from collections.abc import Callable
from functools import cached_property
from os import PathLike, fsdecode
from pathlib import Path
from typing import BinaryIO, Self, TypeAlias, cast

import numpy as np

from floodmark.base.identity import Identity
from floodmark.captures.archives import Member
from floodmark.captures.blocks import BLOCK_BYTES, BlockReader
from floodmark.captures.container import SNIFF_BYTES, fitted, recognise
from floodmark.captures.reading import first_packet_ns
from floodmark.captures.unpacking import Codec, codec_of
from floodmark.errors import CaptureError
from floodmark_core import new_interfaces, new_records, new_tally
from floodmark_core.records.framing import CONTAINER, LAST_TIME_NS, SNOOP, frame_batch
from floodmark_core.records.resync import next_record
from floodmark_core.status import STOP_BATCH_FULL

_UNPACKED_TIMES = 4  # how much captures usually grow when decompressed
_END_BYTES = 1 << 20  # end of a capture in which its last packets are searched for


class Source:
    """One capture: its name, how to open it, and what is known about it before reading."""

    def __init__(  # noqa: PLR0913 - what the three kinds of captures know
        self,
        name: str,
        begin: Callable[[], BinaryIO],
        *,
        owned: bool,
        path: str | None = None,
        archive: str | None = None,
        size: int | None = None,
    ) -> None:
        """begin: opens it. owned: close it after reading. path: of a file. archive: path of its archive. size: uncompressed bytes."""
        self.name = name
        self.path = path
        self._archive = archive
        self._begin, self._owned, self._size = begin, owned, size
        self._as_read: Identity | None = None  # when its first reading began

    @classmethod
    def of_path(cls, path: str) -> Self:
        """Return the capture at a path; ``-`` is standard input."""
        return cls(path, lambda: _open_path(path), owned=path != "-", path=path)

    @classmethod
    def of_member(cls, member: Member) -> Self:
        """Return a capture in an archive."""
        return cls(member.name, lambda: cast(BinaryIO, member.open()), owned=True, archive=member.archive, size=member.nbytes)

    @classmethod
    def of_stream(cls, stream: BinaryIO) -> Self:
        """Return the capture of a binary file object, which stays open."""
        name = getattr(stream, "name", None)
        return cls(name if isinstance(name, str) else "<file object>", lambda: _binary(stream), owned=False)

    def __str__(self) -> str:
        """Return its name."""
        return self.name

    @cached_property
    def rereads(self) -> bool:
        """Return whether it can be inspected and then read from the same position: a regular file, or a seekable file object."""
        if self.path is not None:
            return self.path != "-" and not Path(self.path).is_fifo() and not Path(self.path).is_char_device()
        return self._owned or bool(getattr(self._begin(), "seekable", bool)())

    @cached_property
    def is_file(self) -> bool:
        """Return whether it is a regular file of its own."""
        return self.path is not None and self.path != "-" and Path(self.path).is_file()

    @property
    def file(self) -> str | None:
        """Return the path of the file that holds it: its own, or the archive's; None for a stream."""
        return self._archive or self.path

    @property
    def size_bytes(self) -> int | None:
        """Return its size in bytes, compressed for a file, uncompressed for an archive member; None if unknown."""
        return Path(str(self.path)).stat().st_size if self.is_file else self._size

    @property
    def about_bytes(self) -> int | None:
        """Return the approximate number of bytes to read, None if unknown."""
        size = self.size_bytes
        return size * _UNPACKED_TIMES if size is not None and self.codec is not None else size

    @cached_property
    def codec(self) -> Codec | None:
        """The compression of a file, by its first bytes; None for anything else, or if it cannot be read."""
        if not self.is_file:
            return None
        try:
            with Path(str(self.path)).open("rb") as stream:
                return codec_of(stream.read(SNIFF_BYTES))
        except OSError:
            return None

    def reader(self, block_bytes: int = BLOCK_BYTES, *, hashing: bool = False) -> BlockReader:
        """Open it for reading. Raises CaptureError, also if it is not what :meth:`read_once` saw.

        A large file may be memory-mapped, with longer blocks, unless shorter ones are requested.
        """
        stream = self._begin()
        try:
            reader = BlockReader(stream, self.name, block_bytes, owned=self._owned, hashing=hashing)
            reader.must_be(self._as_read)
        except BaseException:
            if self._owned:
                stream.close()
            raise
        return reader

    def sha256(self) -> str:
        """Return the SHA-256 in hexadecimal: of a file as it is stored, of a member as it is unpacked. Raises CaptureError."""
        try:
            with self._begin() as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type] # any object with readinto
        except OSError as error:
            raise CaptureError(self.name, f"cannot be read: {error.strerror or error}") from error

    def read_once(self, reader: BlockReader) -> None:
        """Remember what it was when a reading began: later readings are of the same bytes, or refused."""
        self._as_read = self._as_read or reader.identity

    @cached_property
    def first_ns(self) -> int | None:
        """Time of the first packet; None if no packet has one or the capture can be read only once. Raises CaptureError.

        The position of a file object is restored.
        """
        if not self.rereads:
            return None
        if self._owned:
            with self.reader() as reader:
                return first_packet_ns(reader)
        stream = self._begin()
        position = stream.tell()
        try:
            return first_packet_ns(self.reader())
        finally:
            stream.seek(position)

    @cached_property
    def last_ns(self) -> float:
        """Latest time near a file's end; infinity if it cannot be determined without reading the whole file.

        Records are found there as they are after damage. A wrong result loses no packet: captures are then merged needlessly, or read one
        after the other and reported as overlapping.
        """
        if not self.is_file or self.codec is not None:
            return np.inf
        path = str(self.path)
        try:
            with Path(path).open("rb") as stream:
                head = np.fromfile(stream, np.uint8, _END_BYTES)
                container = fitted(recognise(head[:64].tobytes(), path), head)
                start = max(Path(path).stat().st_size - _END_BYTES, 0)
                stream.seek(start)
                tail = np.fromfile(stream, np.uint8)
        except (OSError, CaptureError):
            return np.inf
        records, interfaces, tally = new_records(), new_interfaces(), new_tally()
        layout, at = container.layout, container.header_bytes
        if layout[CONTAINER] == SNOOP and start:
            return np.inf  # its records cannot be found from its end
        _, beyond, _ = frame_batch(head, at, 0, layout, interfaces, records, tally)  # for the interfaces, which are described there
        layout[LAST_TIME_NS] = 0  # a capture may be days long
        found, at = (True, beyond) if start == 0 else next_record(tail, 0, layout, True)
        while found:
            _, at, stop = frame_batch(tail, at, 0, layout, interfaces, records, tally)
            found = stop == STOP_BATCH_FULL
        return float(tally.totals[3]) if tally.totals[3] >= 0 and at > 0 else np.inf


Given: TypeAlias = str | PathLike[str] | BinaryIO | Source


def is_one(captures: object) -> bool:
    """Return whether this is a single capture rather than several."""
    return isinstance(captures, str | PathLike | Source) or hasattr(captures, "read")


def source_of(capture: object) -> Source:
    """Return the source of a single capture. Raises TypeError if the argument is not a capture."""
    if isinstance(capture, Source):
        return capture
    if isinstance(capture, str | PathLike):
        return Source.of_path(fsdecode(capture))
    if hasattr(capture, "read"):
        return Source.of_stream(cast(BinaryIO, capture))
    raise TypeError(f"a capture is a path or a binary file object, not {type(capture).__name__}")


def _open_path(path: str) -> BinaryIO:
    """Open a capture for unbuffered reading; ``-`` is standard input. Raises CaptureError."""
    if path == "-":
        if sys.stdin is None:
            raise CaptureError(path, "standard input is closed")
        return sys.stdin.buffer
    try:
        return open(path, "rb", buffering=0)  # noqa: PTH123 - the caller closes it
    except OSError as error:
        raise CaptureError(path, f"cannot be opened: {error.strerror or error}") from error
    except ValueError as error:  # a NUL
        raise CaptureError(repr(path), f"not a valid file name: {error}") from error


def _binary(stream: BinaryIO) -> BinaryIO:
    """Return a file object. Raises CaptureError if it was opened as text."""
    if isinstance(stream, io.TextIOBase):
        name = getattr(stream, "name", None)
        raise CaptureError(name if isinstance(name, str) else "<file object>", "opened in text mode; open it with mode 'rb'")
    return stream
