"""Write packets as a pcapng capture with nanosecond timestamps (draft-ietf-opsawg-pcapng)."""

import struct
from typing import BinaryIO, Protocol

import numpy as np

from floodmark_core.columns import I32, I64, U8
from floodmark_core.records.carving import PACKET_OVERHEAD, Packets, write_packets
from floodmark_core.records.framing import BYTE_ORDER, INTERFACE, SECTION_HEADER

_COMMENT, _RESOLUTION, _APPLICATION = 1, 9, 4  # options
_LARGEST_COMMENT = 65_000  # bytes: the length of an option has 16 bits


class Framed(Protocol):
    """Packets whose frames are in a block, as columns."""

    @property
    def frame_at(self) -> I64:
        """Index into the block."""

    @property
    def time_ns(self) -> I64:
        """Nanoseconds since the epoch."""

    @property
    def captured_length(self) -> I64:
        """Bytes."""

    @property
    def wire_length(self) -> I64:
        """Bytes."""

    @property
    def link_type(self) -> I32:
        """LINKTYPE_ value."""


class CaptureWriter:
    """Write sections of packets, each with a comment that describes them."""

    def __init__(self, file: BinaryIO, comment: str) -> None:
        self._file, self._comment = file, comment
        self._interfaces: dict[int, int] = {}  # link type -> number
        self._out: U8 = np.empty(0, np.uint8)
        self._snaplen = 0
        self._begun = False

    def begin(self, snaplen: int = 0) -> None:
        """Begin a section. snaplen: most bytes of a packet; 0: no limit."""
        self._interfaces, self._snaplen, self._begun = {}, max(snaplen, 0), True
        name = comment_option("<", "floodmark", _APPLICATION).tobytes()
        body = struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1) + comment_option("<", self._comment).tobytes() + name + bytes(4)
        self._file.write(_block(SECTION_HEADER, body))

    def write(self, block: U8, packets: Framed, count: int, chosen: U8 | None = None) -> None:
        """Write the first ``count`` packets of a block, or those of them that are chosen."""
        if not self._begun:
            self.begin()
        mask: U8 = np.ones(count, np.uint8) if chosen is None else chosen
        links, place = np.unique(packets.link_type[:count], return_inverse=True)
        for link in links.tolist():
            if link not in self._interfaces:
                self._interfaces[link] = len(self._interfaces)
                self._file.write(_interface(link, self._snaplen))
        interfaces = np.array([self._interfaces[link] for link in links.tolist()], np.uint32)[place]
        room = int((packets.captured_length[:count] + PACKET_OVERHEAD + 3)[mask > 0].sum())
        if len(self._out) < room:
            self._out = np.empty(room, np.uint8)
        columns = Packets(
            frame_at=packets.frame_at,
            time_ns=packets.time_ns,
            captured_length=packets.captured_length,
            wire_length=packets.wire_length,
            interface=interfaces,
        )
        nbytes = write_packets(block, count, columns, mask, self._out)
        self._file.write(self._out[:nbytes].data)

    def finish(self) -> None:
        """Make a capture without packets valid."""
        if not self._begun:
            self.begin()


def comment_option(order: str, text: str, code: int = _COMMENT) -> U8:
    """Return a text as an option of a block. order: byte order, as in struct."""
    value = text.encode("utf-8", "backslashreplace")[:_LARGEST_COMMENT]
    nbytes = struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)
    return np.frombuffer(nbytes, np.uint8)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _interface(link_type: int, snaplen: int) -> bytes:
    """Return an interface description with nanosecond timestamps; a missing link type becomes an unknown one."""
    options = struct.pack("<HHB3x", _RESOLUTION, 1, 9) + bytes(4)
    return _block(INTERFACE, struct.pack("<HHI", link_type & 0xFFFF, 0, snaplen) + options)
