"""Paths in, captures out: recognise the container, read it in blocks, put several in order of time.

A large file is mapped where that is safe (mapping.py); everything else is read into one reused buffer, so that a file which shrinks
meanwhile ends early instead of killing the process (DESIGN.md D4).
"""

import contextlib
import fcntl
import hashlib
import io
import os
import stat
import struct
import sys
from dataclasses import dataclass
from typing import BinaryIO, Self, TypeAlias, cast

import numpy as np

from floodmark.captures.archives import Member, MemberStream
from floodmark.captures.mapping import MappedFile
from floodmark.captures.unpacking import Unpacked, codec_of
from floodmark.errors import CaptureError, TruncatedCaptureError, UnknownFormatError
from floodmark_core.columns import I64, U8
from floodmark_core.records.framing import (
    CONTAINER,
    LARGEST_RECORD,
    LINK_TYPE,
    PCAP,
    PCAPNG,
    RECORD_HEADER,
    SNAPLEN,
    SNOOP,
    SWAPPED,
    TICK_NS,
    new_layout,
)

Source: TypeAlias = str | Member | BinaryIO  # of a capture: a path, a file in an archive, a binary file object

MAPPED_OCTETS = 64 << 20  # of a mapped file handed out together: threads that read it side by side meet after each
BLOCK_OCTETS = 8 << 20  # read together; threads that look at them side by side meet after each (DESIGN.md D19)
_PIPE_OCTETS = 1 << 20  # that a pipe holds, where the system allows: its own 64 KiB make reader and writer wait for each other

# Magic numbers (draft-ietf-opsawg-pcap section 4): big endian value of the first four octets -> (swapped, ns per tick).
_PCAP_MAGIC = {0xD4C3B2A1: (0, 1000), 0xA1B2C3D4: (1, 1000), 0x4D3CB2A1: (0, 1), 0xA1B23C4D: (1, 1)}
_PCAPNG_MAGIC = 0x0A0D0D0A
# Modified pcap (A. Kuznetzov's patch of libpcap): eight octets more in each record header, the interface and the direction.
_MODIFIED_MAGIC = {0x34CDB2A1: 0, 0xA1B2CD34: 1}
_SNOOP_MAGIC = b"snoop\0\0\0"
_SNOOP_LINKS = {0: 1, 2: 6, 4: 1, 8: 10}  # data link of RFC 1761 -> LINKTYPE_: Ethernet, token ring, FDDI
_UNKNOWN_LINK = 0xFFFF
_REFUSED_MAGIC = {
    b"\x1c\0\x01\xac": "an IXIA lcap file",
    b"\x1c\0\x01\xab": "an IXIA lcap file",
    b"\xac\x01\0\x1c": "an IXIA lcap file",
    b"\xab\x01\0\x1c": "an IXIA lcap file",
    b"PK\x03\x04": "a zip archive",
}
SNIFF_OCTETS = 24
_LOOKED_AT_RECORDS = 4
_DAY_S = 86_400


@dataclass(frozen=True)
class Container:
    """What the first octets of a capture say: its format and the layout with which framing starts."""

    name: str  # "pcap", "pcap-ns", "pcap-modified", "pcap-nokia", "pcapng" or "snoop"
    layout: I64
    header_octets: int  # before the first record or block


def recognise(head: bytes, path: str) -> Container:
    """Recognise a container by its first octets. Raises UnknownFormatError or TruncatedCaptureError."""
    if not head:
        raise TruncatedCaptureError(path, "the file is empty; a capture has at least a 24-octet header", 0)
    _refuse(head, path)
    layout = new_layout()
    magic_number = int.from_bytes(head[:4], "big")
    if magic_number == _PCAPNG_MAGIC:
        if len(head) < 12:
            raise TruncatedCaptureError(path, f"the pcapng section header ends after {len(head)} octets", len(head))
        if head[8:12] not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
            raise UnknownFormatError(path, f"pcapng byte-order magic expected, {head[8:12].hex()} found", 8)
        layout[CONTAINER] = PCAPNG
        return Container("pcapng", layout, 0)
    if head.startswith(_SNOOP_MAGIC):
        return _snoop(head, layout, path)
    if magic_number not in _PCAP_MAGIC and magic_number not in _MODIFIED_MAGIC:
        raise UnknownFormatError(path, f"not a capture: begins with {head[:4].hex()}, expected a pcap or pcapng magic number", 0)
    if len(head) < 24:
        raise TruncatedCaptureError(path, f"the pcap header ends after {len(head)} of 24 octets", len(head))
    modified = magic_number in _MODIFIED_MAGIC
    swapped, tick_ns = (_MODIFIED_MAGIC[magic_number], 1000) if modified else _PCAP_MAGIC[magic_number]
    major, _minor, _zone, _accuracy, snaplen, network = struct.unpack((">" if swapped else "<") + "HHiIII", head[4:24])
    if major != 2:
        raise UnknownFormatError(path, f"pcap version {major}; only version 2 is defined", 4)
    layout[CONTAINER], layout[SWAPPED], layout[TICK_NS] = PCAP, swapped, tick_ns
    layout[LINK_TYPE] = network & 0xFFFF  # the bits above tell the length of a frame check sequence
    layout[SNAPLEN] = snaplen or LARGEST_RECORD
    layout[RECORD_HEADER] = 24 if modified else 16
    return Container("pcap-modified" if modified else "pcap-ns" if tick_ns == 1 else "pcap", layout, 24)


def _snoop(head: bytes, layout: I64, path: str) -> Container:
    """Read a snoop header: after its name the version and the data link, big endian."""
    if len(head) < 16:
        raise TruncatedCaptureError(path, f"the snoop header ends after {len(head)} of 16 octets", len(head))
    version, link = struct.unpack(">II", head[8:16])
    if version != 2:
        raise UnknownFormatError(path, f"snoop version {version}; only version 2 is defined", 8)
    layout[CONTAINER], layout[SWAPPED], layout[TICK_NS], layout[LINK_TYPE] = SNOOP, 1, 1000, _SNOOP_LINKS.get(link, _UNKNOWN_LINK)
    layout[SNAPLEN] = LARGEST_RECORD
    return Container("snoop", layout, 16)


def fitted(container: Container, block: U8) -> Container:
    """Return the container with record headers of the length that its first records show.

    Nokia's files have pcap's own magic number and four octets more in each record header; some files of the modified kind have it too.
    """
    layout = container.layout
    if container.name != "pcap" or _are_records(block, layout, 16):
        return container
    for octets, name in ((20, "pcap-nokia"), (24, "pcap-modified")):
        if _are_records(block, layout, octets):
            layout[RECORD_HEADER] = octets
            return Container(name, layout, container.header_octets)
    return container


def _are_records(block: U8, layout: I64, header_octets: int) -> bool:
    """Tell whether a block's first records look right with headers of so many octets: one in pcap's own form, more in others."""
    least = 0 if header_octets == 16 else 1  # octets captured: zeros that are put in between look like a record without any
    order, at, seen, first = ">" if layout[SWAPPED] else "<", 24, 0, 0
    while at + header_octets <= len(block) and seen < _LOOKED_AT_RECORDS:
        seconds, fraction, captured, wire = struct.unpack(order + "4I", block[at : at + 16].tobytes())
        first = seconds if seen == 0 else first
        if fraction >= 1_000_000 or not least <= captured <= wire <= LARGEST_RECORD or abs(seconds - first) > _DAY_S:
            return False
        at += header_octets + captured
        seen += 1
    return seen > 0 if header_octets == 16 else seen > 2 or (seen == 2 and at == len(block))


def _refuse(head: bytes, path: str) -> None:
    """Raise UnknownFormatError for what is known by name and not read."""
    for magic, what in _REFUSED_MAGIC.items():
        if head.startswith(magic):
            raise UnknownFormatError(path, f"this is {what}, which is not read here; convert or unpack it to pcap or pcapng first", 0)
    if codec := codec_of(head):
        raise UnknownFormatError(path, f"compressed twice, the second time with {codec.name}; unpack it once first", 0)


class BlockReader:
    """Octets of one capture, block by block: parts of a mapped file, or a buffer that is reused.

    :meth:`next_block` gives the octets not yet consumed followed by new ones; a record longer than the block makes it grow.
    """

    def __init__(
        self, stream: BinaryIO, path: str, block_octets: int = BLOCK_OCTETS, *, owned: bool = False, hashing: bool = False
    ) -> None:
        self._owned = owned
        self._stream = stream
        self._source: BinaryIO | Unpacked = stream  # of plain octets
        self._hash = hashlib.sha256() if hashing else None
        self._hashed = 0  # octets
        self._buffer: U8 = np.empty(0, np.uint8)
        self._block_octets = max(block_octets, SNIFF_OCTETS)
        self._mapped = MappedFile.of(stream) if owned and block_octets >= BLOCK_OCTETS and not _begins_compressed(stream) else None
        self.path = path
        self.base = 0  # offset in the file of the block's first octet
        self.at_end = False
        self.block: U8 = self._buffer  # the octets at hand
        if self._mapped is not None:
            self._block_octets = max(self._block_octets, MAPPED_OCTETS)
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
        codec = codec_of(self.block[:SNIFF_OCTETS].tobytes())
        if codec is None:
            return
        packed, stream = self.block.tobytes(), self._stream
        if self._hash is not None:
            self._hash = hashlib.sha256()

        def read(octets: int) -> bytes:
            nonlocal packed
            taken, packed = packed[:octets], packed[octets:]
            taken = taken or _read_some(stream, octets)
            if self._hash is not None:
                self._hash.update(taken)
            return taken

        self._source, self.at_end = Unpacked(codec, read), False
        self._read(0)

    def _look(self, mapped: MappedFile) -> None:
        """Make the block what stands in a mapped file from the base on; read it instead where the map is no longer safe."""
        try:
            self.block = mapped.part(self.base, self._block_octets)
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
        if len(self._buffer) < self._block_octets:
            longer = np.empty(self._block_octets, np.uint8)
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
    def octets(self) -> int:
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
            self._block_octets = 2 * len(self.block)
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
        return codec_of(os.pread(stream.fileno(), SNIFF_OCTETS, 0)) is not None
    except (OSError, ValueError, AttributeError):  # nothing that has places: a pipe, a member of an archive
        return False


def _widen(stream: BinaryIO) -> None:
    """Let a pipe hold more at one time."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no file of the system, closed, not Linux
        if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
            fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_OCTETS)


def _read_some(stream: BinaryIO, octets: int) -> bytes:
    """Read at most so many octets from a stream. Raises BlockingIOError where one that does not wait has none yet."""
    room = bytearray(octets)
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


def open_capture(path: str) -> BinaryIO:
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
        raise CaptureError(repr(path), f"no name of a file: {error}") from error


def reader_of(source: "Source", block_octets: int = BLOCK_OCTETS, *, hashing: bool = False) -> BlockReader:
    """Open a path or a file in an archive, or wrap a binary file object, which stays open. Raises CaptureError.

    A large file may be mapped, with longer blocks, unless shorter ones are asked for.
    """
    if isinstance(source, str | Member):
        path = source if isinstance(source, str) else source.name
        stream = open_capture(source) if isinstance(source, str) else cast(BinaryIO, source.open())
        try:
            return BlockReader(stream, path, block_octets, owned=source != "-", hashing=hashing)
        except BaseException:
            stream.close()
            raise
    name = getattr(source, "name", None)
    path = name if isinstance(name, str) else "<file object>"
    if isinstance(source, io.TextIOBase):
        raise CaptureError(path, "opened as text; a capture is read from a file opened with mode 'rb'")
    return BlockReader(source, path, block_octets, hashing=hashing)


def begins_like_capture(head: bytes) -> bool:
    """Tell whether first octets are those of a container that is read here."""
    magic = int.from_bytes(head[:4], "big")
    return magic in _PCAP_MAGIC or magic == _PCAPNG_MAGIC or magic in _MODIFIED_MAGIC or head.startswith(_SNOOP_MAGIC)
