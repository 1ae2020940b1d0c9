"""Decompress streams: the format is recognised by content, and a thread decompresses one piece ahead of the reader.

gzip (RFC 1952), zstd (RFC 8878), xz, bzip2 and lz4 frames, each by a maintained library; all have the interface of bz2.BZ2Decompressor.
Concatenated members form one stream, as in the tools of each format. If truncation or damage ends it early, ``damage`` says why; all
bytes before that are returned.
"""

import bz2
import lzma
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from floodmark.base.workers import started

PIECE_BYTES = 4 << 20  # most that is decompressed at a time
_PACKED_BYTES = 64 << 10  # read at a time: the most that one damaged byte can make unreadable
_XZ_MEMORY_BYTES = 256 << 20  # more than any preset needs (xz(1): 65 MiB for -9)
# A capture of one repeated packet shrinks to a hundredth; zeros shrink to 1/1,032 with gzip, to 1/30,000 with zstd.
_GREATEST_RATIO = 1000
_RATIO_FROM_BYTES = 64 << 20  # uncompressed; below this, any ratio is harmless
_SKIPPED = tuple(bytes((0x50 + number, 0x2A, 0x4D, 0x18)) for number in range(16))  # skippable frames of zstd and lz4


@dataclass(frozen=True)
class Codec:
    """A compression format: its name, its magic numbers, a decompressor of one member, and the errors that it raises."""

    name: str
    magic: tuple[bytes, ...]
    unpacker: Callable[[], Any]
    errors: tuple[type[Exception], ...]


def _gzip() -> Any:  # noqa: ANN401 - the libraries share an interface and no type
    from isal import igzip_lib  # noqa: PLC0415 - only where it is needed: each library takes ms to load

    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)  # 340 MB/s of a capture, where zlib does 170


def _zstd() -> Any:  # noqa: ANN401 - as above
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415 - Python 3.14
    except ImportError:
        from backports import zstd  # noqa: PLC0415

    return zstd.ZstdDecompressor()


def _lz4() -> Any:  # noqa: ANN401 - as above
    from lz4.frame import LZ4FrameDecompressor  # noqa: PLC0415 - as above

    return LZ4FrameDecompressor()


_FAULTS = (OSError, EOFError, ValueError, RuntimeError, MemoryError)
CODECS = (
    Codec("gzip", (b"\x1f\x8b\x08",), _gzip, (Exception,)),
    Codec("zstd", (b"\x28\xb5\x2f\xfd", *_SKIPPED), _zstd, (Exception,)),  # isal and zstd have errors of their own
    Codec("xz", (b"\xfd7zXZ\0",), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES), (lzma.LZMAError, *_FAULTS)),
    Codec("bzip2", (b"BZh",), bz2.BZ2Decompressor, _FAULTS),
    Codec("lz4", (b"\x04\x22\x4d\x18",), _lz4, _FAULTS),
)


class BombError(ValueError):
    """The compression ratio is so high that the bytes can only be malicious."""


def codec_of(head: bytes) -> Codec | None:
    """Return the compression that the first bytes show, None if they show none."""
    return next((codec for codec in CODECS if head.startswith(codec.magic)), None)


def refuse_bomb(name: str, packed: int, given: int) -> None:
    """Raise BombError if the compression ratio so far is too high."""
    if given > max(_RATIO_FROM_BYTES, _GREATEST_RATIO * packed):
        raise BombError(
            f"{packed:,} bytes of {name} expanded to {given:,} bytes so far, more than {_GREATEST_RATIO:,} times as many: "
            "probably a decompression bomb; if not, unpack it yourself"
        )


class Unpacked:
    """A stream of the uncompressed content of another."""

    def __init__(self, codec: Codec, read: Callable[[int], bytes]) -> None:
        """read: returns at most so many compressed bytes, none at the end; called by another thread, never by two at once."""
        self.codec = codec
        self.damage: str | None = None  # why the bytes end before the compressed stream does
        self._read = read
        self._member = codec.unpacker()
        self._packed = self._given = 0  # bytes
        self._aside = started(1)
        self._coming: Future[bytes] | None = self._aside.submit(self._next_piece)
        self._piece = memoryview(b"")

    def readinto(self, room: memoryview) -> int:
        """Read into a buffer. Returns the bytes read, 0 at the end. Raises BombError, and whatever reading the compressed bytes raises."""
        if not self._piece and self._coming is not None:
            piece = self._coming.result()
            self._coming = self._aside.submit(self._next_piece) if piece else None
            self._piece = memoryview(piece)
        count = min(len(room), len(self._piece))
        room[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def close(self) -> None:
        """End the thread."""
        self._aside.shutdown(cancel_futures=True)

    def _next_piece(self) -> bytes:
        """Decompress and return the next piece, empty at the end."""
        while True:
            if self._member.eof:
                packed = self._next_member()
                if not packed:
                    return b""
            elif self._member.needs_input:
                packed = self._more()
                if not packed:
                    return self._end_with(f"the {self.codec.name} stream ends before its end marker")
            else:
                packed = b""
            try:
                piece = bytes(self._member.decompress(packed, PIECE_BYTES))
            except self.codec.errors as error:
                return self._end_with(f"the {self.codec.name} stream is damaged: {error}")
            if piece:
                self._given += len(piece)
                refuse_bomb(self.codec.name, self._packed, self._given)
                return piece

    def _next_member(self) -> bytes:
        """Start the member after the one that just ended. Returns its first bytes, none if there is no other."""
        rest: bytes = (self._member.unused_data or b"").lstrip(b"\0")  # padding between members (gzip(1), xz's stream padding)
        while len(rest) < 6:  # the longest magic
            more = self._more()
            if not more:
                break
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            return b""
        if not rest.startswith(self.codec.magic):
            return self._end_with(f"unexpected data follows the {self.codec.name} stream")
        self._member = self.codec.unpacker()
        return rest

    def _end_with(self, damage: str) -> bytes:
        """End the stream and record why. The rest is still read: it counts toward the file's length and hash."""
        self.damage = damage
        while self._more():
            pass
        return b""

    def _more(self) -> bytes:
        packed = self._read(_PACKED_BYTES)
        self._packed += len(packed)
        return packed
