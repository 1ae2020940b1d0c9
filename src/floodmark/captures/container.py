"""Recognise a capture by its first bytes: the forms of pcap, pcapng or snoop; the error for anything else says what it is."""

import struct
from dataclasses import dataclass

from floodmark.captures.unpacking import codec_of
from floodmark.errors import TruncatedCaptureError, UnknownFormatError
from floodmark_core.columns import I64, U8
from floodmark_core.protocols import DAY_S
from floodmark_core.records.framing import (
    BYTE_ORDER,
    BYTE_ORDER_SWAPPED,
    CONTAINER,
    LARGEST_RECORD,
    LINK_TYPE,
    PCAP,
    PCAPNG,
    RECORD_HEADER,
    SECTION_HEADER,
    SNAPLEN,
    SNOOP,
    SWAPPED,
    TICK_NS,
    new_layout,
)

# Magic numbers (draft-ietf-opsawg-pcap section 4): big endian value of the first four bytes -> (swapped, ns per tick).
_PCAP_MAGIC = {0xD4C3B2A1: (0, 1000), 0xA1B2C3D4: (1, 1000), 0x4D3CB2A1: (0, 1), 0xA1B23C4D: (1, 1)}
# Modified pcap (A. Kuznetzov's patch of libpcap): eight more bytes in each record header, for interface and direction.
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
SNIFF_BYTES = 24
_LOOKED_AT_RECORDS = 4


@dataclass(frozen=True)
class Container:
    """What the first bytes of a capture show: its format and the layout with which framing starts."""

    name: str  # "pcap", "pcap-ns", "pcap-modified", "pcap-nokia", "pcapng" or "snoop"
    layout: I64
    header_bytes: int  # before the first record or block


def recognise(head: bytes, path: str) -> Container:
    """Recognise a container by its first bytes. Raises UnknownFormatError or TruncatedCaptureError."""
    if not head:
        raise TruncatedCaptureError(path, "the file is empty; a capture has a header of at least 24 bytes", 0)
    _refuse(head, path)
    layout = new_layout()
    magic_number = int.from_bytes(head[:4], "big")
    if magic_number == SECTION_HEADER:  # the same in both byte orders
        if len(head) < 12:
            raise TruncatedCaptureError(path, f"the pcapng section header ends after {len(head)} bytes", len(head))
        if int.from_bytes(head[8:12], "little") not in (BYTE_ORDER, BYTE_ORDER_SWAPPED):
            raise UnknownFormatError(path, f"pcapng byte-order magic expected, {head[8:12].hex()} found", 8)
        layout[CONTAINER] = PCAPNG
        return Container("pcapng", layout, 0)
    if head.startswith(_SNOOP_MAGIC):
        return _snoop(head, layout, path)
    if magic_number not in _PCAP_MAGIC and magic_number not in _MODIFIED_MAGIC:
        raise UnknownFormatError(path, f"not a capture: begins with {head[:4].hex()}, expected a pcap or pcapng magic number", 0)
    if len(head) < 24:
        raise TruncatedCaptureError(path, f"the pcap header ends after {len(head)} of 24 bytes", len(head))
    modified = magic_number in _MODIFIED_MAGIC
    swapped, tick_ns = (_MODIFIED_MAGIC[magic_number], 1000) if modified else _PCAP_MAGIC[magic_number]
    major, _minor, _zone, _accuracy, snaplen, network = struct.unpack((">" if swapped else "<") + "HHiIII", head[4:24])
    if major != 2:
        raise UnknownFormatError(path, f"pcap version {major}; only version 2 is defined", 4)
    layout[CONTAINER], layout[SWAPPED], layout[TICK_NS] = PCAP, swapped, tick_ns
    layout[LINK_TYPE] = network & 0xFFFF  # the upper bits hold the length of a frame check sequence
    layout[SNAPLEN] = snaplen or LARGEST_RECORD
    layout[RECORD_HEADER] = 24 if modified else 16
    return Container("pcap-modified" if modified else "pcap-ns" if tick_ns == 1 else "pcap", layout, 24)


def _snoop(head: bytes, layout: I64, path: str) -> Container:
    """Read a snoop header: magic, then version and data link type, big endian."""
    if len(head) < 16:
        raise TruncatedCaptureError(path, f"the snoop header ends after {len(head)} of 16 bytes", len(head))
    version, link = struct.unpack(">II", head[8:16])
    if version != 2:
        raise UnknownFormatError(path, f"snoop version {version}; only version 2 is defined", 8)
    layout[CONTAINER], layout[SWAPPED], layout[TICK_NS], layout[LINK_TYPE] = SNOOP, 1, 1000, _SNOOP_LINKS.get(link, _UNKNOWN_LINK)
    layout[SNAPLEN] = LARGEST_RECORD
    return Container("snoop", layout, 16)


def fitted(container: Container, block: U8) -> Container:
    """Return the container with the record header length that its first records show.

    Nokia files have pcap's own magic number but four more bytes in each record header; some modified-pcap files have that number too.
    """
    layout = container.layout
    if container.name != "pcap" or _are_records(block, layout, 16):
        return container
    for nbytes, name in ((20, "pcap-nokia"), (24, "pcap-modified")):
        if _are_records(block, layout, nbytes):
            layout[RECORD_HEADER] = nbytes
            return Container(name, layout, container.header_bytes)
    return container


def _are_records(block: U8, layout: I64, header_bytes: int) -> bool:
    """Return whether a block's first records look valid with this header length: one record for pcap's own form, more for others."""
    least = 0 if header_bytes == 16 else 1  # captured bytes: inserted zeros look like a record without any
    order, at, seen, first = ">" if layout[SWAPPED] else "<", 24, 0, 0
    while at + header_bytes <= len(block) and seen < _LOOKED_AT_RECORDS:
        seconds, fraction, captured, wire = struct.unpack(order + "4I", block[at : at + 16].tobytes())
        first = seconds if seen == 0 else first
        if fraction >= 1_000_000 or not least <= captured <= wire <= LARGEST_RECORD or abs(seconds - first) > DAY_S:
            return False
        at += header_bytes + captured
        seen += 1
    return seen > 0 if header_bytes == 16 else seen > 2 or (seen == 2 and at == len(block))


def _refuse(head: bytes, path: str) -> None:
    """Raise UnknownFormatError for known formats that are not supported."""
    for magic, what in _REFUSED_MAGIC.items():
        if head.startswith(magic):
            raise UnknownFormatError(path, f"this is {what}, which is not supported; convert or unpack it to pcap or pcapng first", 0)
    if codec := codec_of(head):
        raise UnknownFormatError(path, f"compressed twice, the inner layer with {codec.name}; unpack it once first", 0)


def begins_like_capture(head: bytes) -> bool:
    """Return whether the first bytes are those of a supported container."""
    magic = int.from_bytes(head[:4], "big")
    return magic in _PCAP_MAGIC or magic == SECTION_HEADER or magic in _MODIFIED_MAGIC or head.startswith(_SNOOP_MAGIC)
