"""Read a capture's records one at a time: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).

Slow and obvious on purpose: the whole file is in memory, every field is read with struct, times are exact integers of any size.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

LARGEST_RECORD = 262_144  # libpcap's MAXIMUM_SNAPLEN
LARGEST_BLOCK = 16 * 1024 * 1024  # Wireshark's MAX_BLOCK_SIZE
INTERFACES = 1 << 16  # as many as 16 bits can number
LATEST_S = 9_223_372_035  # the last second whose nanoseconds all fit 64 bits with a sign
UNUSABLE = -1  # a time before 1970 or after LATEST_S
UNKNOWN = -1  # link type of a packet that names no described interface

# First four bytes of a pcap file -> (byte order for struct, ns per tick).
PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
MODIFIED_MAGIC = {b"\x34\xcd\xb2\xa1": "<", b"\xa1\xb2\xcd\x34": ">"}  # eight more bytes in each record header
SECTION_HEADER = b"\x0a\x0d\x0d\x0a"  # reads the same in both byte orders
SECTION_ORDER = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
INTERFACE, PACKET, SIMPLE_PACKET, STATISTICS, ENHANCED_PACKET = 1, 2, 3, 5, 6
SMALLEST_BODY = {INTERFACE: 8, PACKET: 20, SIMPLE_PACKET: 4, ENHANCED_PACKET: 20}  # bytes of the fixed fields


class NotACaptureError(Exception):
    """The first bytes are not those of a supported capture format."""


@dataclass(frozen=True)
class Record:
    """One packet as the capture holds it."""

    offset: int  # of the record or block in the file
    frame_offset: int  # of the frame's first byte in the file
    frame: bytes
    time_ns: int
    wire_length: int
    link_type: int
    has_time: bool = True  # of its own

    @property
    def captured_length(self) -> int:
        """Captured bytes of the frame."""
        return len(self.frame)


@dataclass
class Remarks:
    """Counts by name, each with the file offset of its first occurrence."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, offset: int) -> None:
        """Count one occurrence."""
        self.counts[name] = self.counts.get(name, 0) + 1
        self.first.setdefault(name, offset)


@dataclass
class Framing:
    """One capture: its records and how it ended."""

    format: str  # "pcap", "pcap-ns", "pcap-modified", "pcapng" or "snoop"
    link_type: int  # of the pcap header, -1 for pcapng
    nbytes: int
    records: list[Record] = field(default_factory=list)
    remarks: Remarks = field(default_factory=Remarks)
    truncated_at: int | None = None  # offset of the record that the end of the file truncates
    damaged_at: int | None = None  # offset of the damaged record
    dropped: int = 0  # packets that the capture reports as dropped


@dataclass(frozen=True)
class Interface:
    """An interface described in a pcapng section."""

    link_type: int
    snaplen: int
    ticks_per_second: int
    offset_s: int
    dropped: int = 0  # by its last statistics


def frames(data: bytes, last_ns: int = 0) -> Framing:
    """Read a capture; ``last_ns`` is the time of the packet before its first. Raises NotACaptureError."""
    if data[:4] == SECTION_HEADER:
        if len(data) < 12 or data[8:12] not in SECTION_ORDER:
            raise NotACaptureError(data[:12].hex())
        capture = Framing("pcapng", -1, len(data))
        read_pcapng(data, last_ns, capture)
        return capture
    if data[:8] == b"snoop\0\0\0" and len(data) >= 16 and data[8:12] == b"\0\0\0\2":
        capture = Framing("snoop", {0: 1, 2: 6, 4: 1, 8: 10}.get(int.from_bytes(data[12:16], "big"), 0xFFFF), len(data))
        read_snoop(data, capture)
        return capture
    modified = data[:4] in MODIFIED_MAGIC
    if (data[:4] not in PCAP_MAGIC and not modified) or len(data) < 24:
        raise NotACaptureError(data[:24].hex())
    order, tick_ns = (MODIFIED_MAGIC[data[:4]], 1000) if modified else PCAP_MAGIC[data[:4]]
    major, _minor, _zone, _accuracy, snaplen, network = struct.unpack(order + "HHiIII", data[4:24])
    if major != 2:
        raise NotACaptureError(f"pcap version {major}")
    capture = Framing("pcap-modified" if modified else "pcap-ns" if tick_ns == 1 else "pcap", network & 0xFFFF, len(data))
    read_pcap(data, order, tick_ns, snaplen or LARGEST_RECORD, capture)
    return capture


def remark_lengths(record: Record, snaplen: int, remarks: Remarks) -> None:
    """Count remarks on the lengths of a record; a snap length of 0 is no limit."""
    if record.captured_length < record.wire_length:
        remarks.add("SNAPLEN_CUT", record.offset)
    if record.captured_length > record.wire_length:
        remarks.add("CAPTURED_BEYOND_WIRE", record.offset)
    if snaplen and record.captured_length > snaplen:
        remarks.add("BEYOND_SNAPLEN", record.offset)


def read_pcap(data: bytes, order: str, tick_ns: int, snaplen: int, capture: Framing) -> None:
    """Read pcap records: four words of 32 bits (seconds, fraction, captured length, length on the wire), then the frame."""
    at = 24
    while at < len(data):
        size = 24 if capture.format == "pcap-modified" else 16
        header = data[at : at + size]
        if len(header) < size:
            capture.truncated_at = at
            return
        seconds, fraction, captured, wire = struct.unpack(order + "IIII", header[:16])
        if captured > LARGEST_RECORD:
            capture.damaged_at = at
            return
        frame = data[at + size : at + size + captured]
        if len(frame) < captured:
            capture.truncated_at = at
            return
        if fraction * tick_ns >= 10**9:
            capture.remarks.add("FRACTION_BAD", at)
        record = Record(at, at + size, frame, seconds * 10**9 + fraction * tick_ns, wire, capture.link_type)
        remark_lengths(record, snaplen, capture.remarks)
        capture.records.append(record)
        at += size + captured


def read_snoop(data: bytes, capture: Framing) -> None:
    """Read snoop records (RFC 1761): original, included and record length, drops so far, seconds, microseconds, then the padded frame."""
    at = 16
    while at < len(data):
        if at + 24 > len(data):
            capture.truncated_at = at
            return
        wire, captured, nbytes, drops, seconds, micros = struct.unpack(">6I", data[at : at + 24])
        if captured > LARGEST_RECORD or not 24 + captured <= nbytes <= LARGEST_BLOCK:
            capture.damaged_at = at
            return
        if at + nbytes > len(data):
            capture.truncated_at = at
            return
        if micros >= 10**6:
            capture.remarks.add("FRACTION_BAD", at)
        capture.dropped = max(capture.dropped, drops)
        frame = data[at + 24 : at + 24 + captured]
        record = Record(at, at + 24, frame, seconds * 10**9 + micros * 1000, wire, capture.link_type)
        remark_lengths(record, 0, capture.remarks)
        capture.records.append(record)
        at += nbytes


def options(body: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the options (code, value) at a block's end; an option that does not fit ends them, like code 0."""
    while len(body) >= 4:
        code, length = struct.unpack(order + "HH", body[:4])
        if code == 0 or 4 + length > len(body):
            return
        yield code, body[4 : 4 + length]
        body = body[4 + length + -length % 4 :]


def interface_of(body: bytes, order: str) -> Interface:
    """Read the body of an interface description block; without options its times count 10^-6 s from the epoch."""
    link_type, _reserved, snaplen = struct.unpack(order + "HHI", body[:8])
    ticks_per_second, offset_s = 10**6, 0
    for code, value in options(body[8:], order):
        if code == 9 and value:  # if_tsresol: highest bit means powers of two
            ticks_per_second = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        if code == 14 and len(value) >= 8:  # if_tsoffset
            (offset_s,) = struct.unpack(order + "q", value[:8])
    return Interface(link_type, snaplen, ticks_per_second, offset_s)


def time_ns(ticks: int, interface: Interface) -> int:
    """Convert a timestamp to nanoseconds since the epoch, rounded down, or UNUSABLE."""
    seconds, rest = divmod(ticks, interface.ticks_per_second)
    seconds += interface.offset_s
    if not 0 <= seconds <= LATEST_S:
        return UNUSABLE
    return seconds * 10**9 + rest * 10**9 // interface.ticks_per_second


def read_pcapng(data: bytes, last_ns: int, capture: Framing) -> None:  # noqa: PLR0912 - one branch for each kind of block
    """Read pcapng blocks: type, total length (rounded up to 32 bits), body, total length again.

    A packet without a usable time of its own has that of the packet before it.
    """
    at = 0
    order = "<"
    interfaces: list[Interface] = []
    while at < len(data):
        if at + 12 > len(data):
            capture.truncated_at = at
            return
        if data[at : at + 4] == SECTION_HEADER:
            if data[at + 8 : at + 12] not in SECTION_ORDER:
                capture.damaged_at = at
                return
            # Applied only once the block is known to be complete; a truncated section has no packets anyway.
            order = SECTION_ORDER[data[at + 8 : at + 12]]
        kind, length = struct.unpack(order + "II", data[at : at + 8])
        length += -length % 4
        if not 12 <= length <= LARGEST_BLOCK:
            capture.damaged_at = at
            return
        if at + length > len(data):
            capture.truncated_at = at
            return
        body = data[at + 8 : at + length - 4]
        if data[at : at + 4] == SECTION_HEADER:
            interfaces = []
        elif kind in SMALLEST_BODY and len(body) < SMALLEST_BODY[kind]:
            capture.damaged_at = at
            return
        elif kind == INTERFACE:
            interfaces.append(interface_of(body, order))
        elif kind == STATISTICS:
            capture.dropped += newly_dropped(body, order, interfaces)
        elif kind in SMALLEST_BODY:
            record, snaplen = packet_of(body, kind, order, interfaces, at)
            if record is None:
                capture.damaged_at = at
                return
            if record.time_ns == UNUSABLE:
                capture.remarks.add("TIME_UNUSABLE", at)
                record = replace(record, time_ns=last_ns, has_time=False)
            last_ns = record.time_ns
            remark_lengths(record, snaplen, capture.remarks)
            capture.records.append(record)
        at += length


def newly_dropped(body: bytes, order: str, interfaces: list[Interface]) -> int:
    """Read the body of an interface statistics block. Returns the packets dropped since the previous one; updates the interface's count."""
    if len(body) < 12:
        return 0
    number: int = struct.unpack(order + "I", body[:4])[0]
    if number >= min(len(interfaces), INTERFACES):
        return 0
    counts = [value for code, value in options(body[12:], order) if code in (5, 7) and len(value) == 8]  # isb_ifdrop, isb_osdrop
    lost = sum(count for (count,) in (struct.unpack(order + "Q", value) for value in counts) if count < 2**32)
    new: int = max(lost - interfaces[number].dropped, 0)
    interfaces[number] = replace(interfaces[number], dropped=interfaces[number].dropped + new)
    return new


def packet_of(body: bytes, kind: int, order: str, interfaces: list[Interface], at: int) -> tuple[Record | None, int]:
    """Read the body of one of the three packet blocks. Returns (record, or None if it claims more than the block holds; snap length)."""
    if kind == SIMPLE_PACKET:
        (wire,) = struct.unpack(order + "I", body[:4])
        number, rest = 0, body[4:]
    else:
        layout = "IIIII" if kind == ENHANCED_PACKET else "HHIIII"
        values = struct.unpack(order + layout, body[:20])
        number, high, low, captured, wire = values[0], *values[-4:]
        rest = body[20:]
    interface = interfaces[number] if number < min(len(interfaces), INTERFACES) else None
    snaplen = interface.snaplen if interface else 0
    if kind == SIMPLE_PACKET:
        captured = min(wire, len(rest), snaplen or wire)
        when = UNUSABLE
    elif captured > len(rest):
        return None, 0
    else:
        when = time_ns(high << 32 | low, interface) if interface else UNUSABLE
    frame_offset = at + 8 + len(body) - len(rest)
    link_type = interface.link_type if interface else UNKNOWN
    return Record(at, frame_offset, rest[:captured], when, wire, link_type), snaplen
