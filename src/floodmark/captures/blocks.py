"""A stream of bytes in, blocks of a capture out: mapped where that is safe, read into one reused buffer otherwise.

A file that shrinks while it is read ends early instead of killing the process (decision 4).
"""

import contextlib
import fcntl
import hashlib
import os
import stat
from typing import BinaryIO, Self

import numpy as np

from floodmark.captures.archives import MemberStream
from floodmark.captures.container import SNIFF_BYTES, fitted, recognise
from floodmark.captures.mapping import MappedFile
from floodmark.captures.unpacking import Unpacked, codec_of
from floodmark.errors import CaptureError
from floodmark_core.columns import U8

MAPPED_BYTES = 64 << 20  # of a mapped file handed out together: threads that read it side by side meet after each
BLOCK_BYTES = 8 << 20  # read together; threads that look at them side by side meet after each (DESIGN.md D19)
_PIPE_BYTES = 1 << 20  # that a pipe holds, where the system allows: its own 64 KiB make reader and writer wait for each other


class BlockReader:
    """Octets of one capture, block by block: parts of a mapped file, or a buffer that is reused.

    :meth:`next_block` gives the octets not yet consumed followed by new ones; a record longer than the block makes it grow.
    """

    def __init__(self, stream: BinaryIO, path: str, block_bytes: int = BLOCK_BYTES, *, owned: bool = False, hashing: bool = False) -> None:
        self._owned = owned
        self._stream = stream
        self._source: BinaryIO | Unpacked = stream  # of plain octets
        self._hash = hashlib.sha256() if hashing else None
        self._hashed = 0  # octets
        self._buffer: U8 = np.empty(0, np.uint8)
        self._block_bytes = max(block_bytes, SNIFF_BYTES)
        self._mapped = MappedFile.of(stream) if owned and block_bytes >= BLOCK_BYTES and not _begins_compressed(stream) else None
        self.path = path
        self.base = 0  # offset in the file of the block's first octet
        self.at_end = False
        self.block: U8 = self._buffer  # the octets at hand
        if self._mapped is not None:
            self._block_bytes = max(self._block_bytes, MAPPED_BYTES)
            self._look(self._mapped)
        else:
            _widen(stream)
            self._read(0)
        try:
            self._unpack()
            self.container = fitted(recognise(self.block[:64].tobytes(), path), self.block)
        except CaptureError as error:
            self.close()
            if self.damage and not len(self.block):
                raise CaptureError(path, f"nothing could be unpacked: {self.damage}", 0) from error
            raise

    def _unpack(self) -> None:
        """Go on with what the octets hold, where they are compressed."""
        codec = codec_of(self.block[:SNIFF_BYTES].tobytes())
        if codec is None:
            return
        packed, stream = self.block.tobytes(), self._stream
        if self._hash is not None:
            self._hash = hashlib.sha256()

        def read(nbytes: int) -> bytes:
            nonlocal packed
            taken, packed = packed[:nbytes], packed[nbytes:]
            taken = taken or _read_some(stream, nbytes)
            if self._hash is not None:
                self._hash.update(taken)
            return taken

        self._source, self.at_end = Unpacked(codec, read), False
        self._read(0)

    def _look(self, mapped: MappedFile) -> None:
        """Make the block what stands in a mapped file from the base on; read it instead where the map is no longer safe."""
        try:
            self.block = mapped.part(self.base, self._block_bytes)
        except OSError:
            self._unmap(mapped)
            self._stream.seek(self.base)
            self._read(0)
        else:
            self.at_end = self.base + len(self.block) >= mapped.size
            self._take_in(self.base + len(self.block))

    def _unmap(self, mapped: MappedFile) -> None:
        self.block = self._buffer
        mapped.close()
        self._mapped = None

    def _read(self, filled: int) -> None:
        """Make the block what fits into the buffer behind its first octets, which are filled."""
        if len(self._buffer) < self._block_bytes:
            longer = np.empty(self._block_bytes, np.uint8)
            longer[:filled] = self._buffer[:filled]
            self._buffer = longer
        view = memoryview(self._buffer)  # type: ignore[arg-type]
        while filled < len(view) and not self.at_end:
            offset = self.base + filled
            try:
                count = _read_into(self._source, view[filled:])
            except (OSError, ValueError, TypeError, EOFError) as error:  # a closed file object raises ValueError, a cut gzip EOFError
                reason = getattr(error, "strerror", None) or error
                raise CaptureError(self.path, f"cannot be read: {reason}", offset) from error
            if count is None:
                raise CaptureError(self.path, "has nothing to read yet: it does not wait for data (O_NONBLOCK)", offset)
            self.at_end = not count
            filled += count
        self.block = self._buffer[:filled]
        self._take_in(self.base + filled)

    def _take_in(self, end: int) -> None:
        """Hash the octets up to an offset that are not yet hashed."""
        if self._hash is not None and self._source is self._stream and end > self._hashed:
            self._hash.update(memoryview(self.block[self._hashed - self.base :]))  # type: ignore[arg-type]
            self._hashed = end

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stream if it was opened here."""
        self.close()

    def close(self) -> None:
        """Close the stream if it was opened here."""
        if isinstance(self._source, Unpacked):
            self._source.close()
        if self._mapped is not None:
            self._unmap(self._mapped)
        if self._owned:
            self._stream.close()

    @property
    def is_mapped(self) -> bool:
        """Tell whether the block lies in the file itself, not yet in the processor's cache."""
        return self._mapped is not None

    @property
    def nbytes(self) -> int:
        """Length of a mapped capture; 0 where it is not known."""
        return self._mapped.size if self._mapped is not None else 0

    @property
    def compression(self) -> str | None:
        """Name of the compression that the octets were unpacked from; offsets are those of the octets unpacked."""
        return self._source.codec.name if isinstance(self._source, Unpacked) else None

    @property
    def damage(self) -> str | None:
        """Why compressed octets, or those of an archive, end before their end, where they do."""
        return self._source.damage if isinstance(self._source, Unpacked | MemberStream) else None

    @property
    def sha256(self) -> str | None:
        """SHA-256 of what was read so far, compressed as it was, in hexadecimal; None where it was not asked for."""
        return None if self._hash is None else self._hash.hexdigest()

    def next_block(self, consumed: int) -> U8:
        """Drop the first ``consumed`` octets and return what follows them, with new octets at its end."""
        if consumed == 0 and not self.at_end:  # one record fills the block
            self._block_bytes = 2 * len(self.block)
        self.base += consumed
        if self._mapped is not None:
            self._look(self._mapped)
        else:
            rest = len(self.block) - consumed
            if consumed:
                self._buffer[:rest] = self.block[consumed:].copy()
            self._read(rest)
        return self.block


def _begins_compressed(stream: BinaryIO) -> bool:
    """Tell whether a file of the system is compressed, without moving in it: then it is no use to map it."""
    try:
        return codec_of(os.pread(stream.fileno(), SNIFF_BYTES, 0)) is not None
    except (OSError, ValueError, AttributeError):  # nothing that has places: a pipe, a member of an archive
        return False


def _widen(stream: BinaryIO) -> None:
    """Let a pipe hold more at one time."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no file of the system, closed, not Linux
        if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _read_some(stream: BinaryIO, nbytes: int) -> bytes:
    """Read at most so many octets from a stream. Raises BlockingIOError where one that does not wait has none yet."""
    room = bytearray(nbytes)
    count = _read_into(stream, memoryview(room))
    if count is None:
        raise BlockingIOError("has nothing to read yet: it does not wait for data (O_NONBLOCK)")
    return bytes(room[:count])


def _read_into(stream: BinaryIO | Unpacked, room: memoryview) -> int | None:
    """Fill some room from a stream. Returns the octets read, 0 at the end, None where a stream that does not wait has none yet."""
    if hasattr(stream, "readinto"):
        count: int | None = stream.readinto(room)
        return count
    data = stream.read(len(room))
    if data is None:
        return None
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"read() gives {type(data).__name__}, not bytes")
    room[: len(data)] = data
    return len(data)
