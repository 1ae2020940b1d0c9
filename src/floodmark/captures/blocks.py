"""Turn a byte stream into blocks of a capture: memory-mapped where that is safe, otherwise read into one reused buffer.

A file that shrinks while it is read ends early instead of killing the process (decision 4).
"""

import contextlib
import fcntl
import hashlib
import os
import stat
from typing import BinaryIO, Self

import numpy as np

from floodmark.base.identity import Identity, identity_of
from floodmark.captures.archives import MemberStream
from floodmark.captures.container import SNIFF_BYTES, fitted, recognise
from floodmark.captures.mapping import MappedFile
from floodmark.captures.unpacking import Unpacked, codec_of
from floodmark.errors import CaptureError
from floodmark_core.columns import U8

MAPPED_BYTES = 64 << 20  # block of a mapped file; threads that read it in parallel synchronise after each block
BLOCK_BYTES = 8 << 20  # block that is read; threads that process it in parallel synchronise after each block (decision 19)
_PIPE_BYTES = 1 << 20  # pipe capacity, where the system allows it; with the default 64 KiB reader and writer wait for each other


class BlockReader:
    """Bytes of one capture, block by block: parts of a mapped file, or one reused buffer.

    :meth:`next_block` returns the unconsumed bytes followed by new ones; the block grows for a record longer than itself.
    """

    def __init__(self, stream: BinaryIO, path: str, block_bytes: int = BLOCK_BYTES, *, owned: bool = False, hashing: bool = False) -> None:
        self._owned = owned
        self._stream = stream
        self.identity = identity_of(stream)
        self._first: Identity | None = None  # what the file was when it was first read
        self._source: BinaryIO | Unpacked = stream  # of uncompressed bytes
        self._hash = hashlib.sha256() if hashing else None
        self._hashed = 0  # bytes
        self._buffer: U8 = np.empty(0, np.uint8)
        self._block_bytes = max(block_bytes, SNIFF_BYTES)
        self._mapped = MappedFile.of(stream) if owned and block_bytes >= BLOCK_BYTES and not _begins_compressed(stream) else None
        self.path = path
        self.base = 0  # file offset of the block's first byte
        self.at_end = False
        self.block: U8 = self._buffer  # the current bytes
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
        """Continue with the uncompressed content if the bytes are compressed."""
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
        """Point the block at the mapped file from the base on; read it instead if the map is no longer safe."""
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
        """Fill the buffer after its first ``filled`` bytes, and make it the block."""
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
                raise CaptureError(self.path, "no data available yet on a non-blocking stream (O_NONBLOCK); use a blocking one", offset)
            self.at_end = not count
            filled += count
        self.block = self._buffer[:filled]
        self._take_in(self.base + filled)

    def _take_in(self, end: int) -> None:
        """Hash the bytes up to an offset that are not yet hashed."""
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
        """Return whether the block is memory-mapped, so that it is not yet in the processor's cache."""
        return self._mapped is not None

    @property
    def nbytes(self) -> int:
        """Length of a mapped capture in bytes; 0 if unknown."""
        return self._mapped.size if self._mapped is not None else 0

    @property
    def compression(self) -> str | None:
        """Name of the file's compression, None if there is none; offsets refer to the uncompressed bytes."""
        return self._source.codec.name if isinstance(self._source, Unpacked) else None

    @property
    def damage(self) -> str | None:
        """Why compressed bytes, or those of an archive, end early; None if they do not."""
        return self._source.damage if isinstance(self._source, Unpacked | MemberStream) else None

    def must_be(self, first: Identity | None) -> None:
        """Raise CaptureError now or at the end if the file is not what it was when it was first read."""
        self._first = first
        _refuse_change(self.path, first, self.identity)

    def change(self) -> str | None:
        """Return how the file changed while it was read, None if it did not. Raises CaptureError if it changed after an earlier reading."""
        now = identity_of(self._stream)
        _refuse_change(self.path, self._first, now)
        return None if self.identity is None or now is None else self.identity.change_to(now)

    @property
    def sha256(self) -> str | None:
        """SHA-256 in hexadecimal of what was read so far, before decompression; None if not requested."""
        return None if self._hash is None else self._hash.hexdigest()

    def next_block(self, consumed: int) -> U8:
        """Drop the first ``consumed`` bytes and return the remaining ones followed by new bytes."""
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


def _refuse_change(path: str, first: Identity | None, now: Identity | None) -> None:
    """Raise CaptureError if a file is not what it was when it was first read."""
    change = first.change_to(now) if first is not None and now is not None else None
    if change is not None:
        raise CaptureError(path, f"changed after it was first read: {change}")


def _begins_compressed(stream: BinaryIO) -> bool:
    """Return whether a file is compressed, without moving its position: mapping a compressed file gains nothing."""
    try:
        return codec_of(os.pread(stream.fileno(), SNIFF_BYTES, 0)) is not None
    except (OSError, ValueError, AttributeError):  # not seekable: a pipe, a member of an archive
        return False


def _widen(stream: BinaryIO) -> None:
    """Increase the capacity of a pipe."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no file descriptor, closed, not Linux
        if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _read_some(stream: BinaryIO, nbytes: int) -> bytes:
    """Read at most ``nbytes`` bytes from a stream. Raises BlockingIOError if a non-blocking stream has none yet."""
    room = bytearray(nbytes)
    count = _read_into(stream, memoryview(room))
    if count is None:
        raise BlockingIOError("no data available yet on a non-blocking stream (O_NONBLOCK); use a blocking one")
    return bytes(room[:count])


def _read_into(stream: BinaryIO | Unpacked, room: memoryview) -> int | None:
    """Read from a stream into a buffer. Returns the bytes read, 0 at the end, None if a non-blocking stream has none yet."""
    if hasattr(stream, "readinto"):
        count: int | None = stream.readinto(room)
        return count
    data = stream.read(len(room))
    if data is None:
        return None
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"read() returns {type(data).__name__}, not bytes")
    room[: len(data)] = data
    return len(data)
