"""Parse a capture block into a batch of records: position, time and lengths of each packet's frame.

Three containers: pcap (draft-ietf-opsawg-pcap), pcapng (draft-ietf-opsawg-pcapng) and snoop (RFC 1761); and the one into which
overlapping captures are merged (merging.py). A record that is incomplete in the block stops the walk at its first byte, so the caller
can continue there with more data.
"""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import big32, host16, host32
from floodmark_core.buffers.prefetch import prefetch
from floodmark_core.columns import BATCH, I64, U8, Interfaces, Records, Tally
from floodmark_core.protocols import SECOND_NS
from floodmark_core.status import (
    REMARK_BEYOND_SNAPLEN,
    REMARK_CAPTURED_BEYOND_WIRE,
    REMARK_FRACTION_BAD,
    REMARK_SNAPLEN_CUT,
    REMARK_TIME_UNUSABLE,
    STOP_BATCH_FULL,
    STOP_DAMAGED,
    STOP_NEEDS_DATA,
)

PCAP, PCAPNG, SNOOP, MERGED = 0, 1, 2, 3

# Indices into the layout array, which carries over from block to block.
# RECORD_HEADER: bytes of a pcap record header, 16 or in modified files 24.
CONTAINER, SWAPPED, TICK_NS, LINK_TYPE, SNAPLEN, INTERFACE_COUNT, LAST_TIME_NS, RECORD_HEADER, LAYOUT_SIZE = 0, 1, 2, 3, 4, 5, 6, 7, 8

# Largest snap length that libpcap and Wireshark accept (MAXIMUM_SNAPLEN); a longer record is damage, not data.
LARGEST_RECORD = 262_144
# Largest pcapng block that Wireshark reads (MAX_BLOCK_SIZE in wiretap/pcapng.c).
LARGEST_BLOCK = 16 * 1024 * 1024

BYTE_ORDER, BYTE_ORDER_SWAPPED = 0x1A2B3C4D, 0x4D3C2B1A  # in a section header, as read in little endian (pcapng section 4.1)
SECTION_HEADER, INTERFACE, PACKET, SIMPLE_PACKET, STATISTICS, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 5, 6
OPTION_END, OPTION_RESOLUTION, OPTION_OFFSET = 0, 9, 14
OPTION_INTERFACE_DROPS, OPTION_SYSTEM_DROPS = 5, 7  # of a statistics block: packets dropped so far by the interface and by the system

MERGED_HEADER, MERGED_CAPTURE = 24, 20  # bytes, and the offset of the capture's number in them; merging.py

SMALL_RECORD = 256  # bytes: the processor itself prefetches smaller ones, but only within a 4 KiB page
AHEAD_BYTES = 2048
LATEST_S = 9_223_372_035  # seconds that still fit int64 nanoseconds


def new_layout() -> I64:
    """Return an initial layout for framing; with a record header length of 0 the walk would not advance."""
    layout = np.zeros(LAYOUT_SIZE, np.int64)
    layout[TICK_NS], layout[RECORD_HEADER] = 1000, 16
    return layout


@step
def remark(tally: Tally, code: int, offset: int) -> None:
    """Count a remark and keep the offset of its first occurrence."""
    if tally.remark_count[code] == 0:
        tally.remark_first[code] = offset
    tally.remark_count[code] += 1


@step
def enter_time(tally: Tally, time_ns: int) -> None:
    """Extend the capture's time span to a packet's own time."""
    tally.totals[2] = min(tally.totals[2], time_ns)
    tally.totals[3] = max(tally.totals[3], time_ns)


@step
def remark_lengths(tally: Tally, captured: int, wire: int, snaplen: int, offset: int) -> None:
    """Count remarks on the lengths of a record."""
    if captured < wire:
        remark(tally, REMARK_SNAPLEN_CUT, offset)
    elif captured > wire:
        remark(tally, REMARK_CAPTURED_BEYOND_WIRE, offset)
    if 0 < snaplen < captured:
        remark(tally, REMARK_BEYOND_SNAPLEN, offset)


@kernel
def frame_pcap(block: U8, at: int, base: int, layout: I64, records: Records, tally: Tally) -> tuple[int, int, int]:
    """Walk pcap records from ``at``. Returns (records, position, stop code); ``base`` is the block's offset in the file."""
    swapped, tick_ns, link_type, snaplen = layout[SWAPPED], layout[TICK_NS], layout[LINK_TYPE], layout[SNAPLEN]
    header = layout[RECORD_HEADER]
    end = block.shape[0]
    earliest, latest = tally.totals[2], tally.totals[3]
    count, stop = BATCH, STOP_BATCH_FULL
    for n in range(BATCH):
        if at + header > end:
            count, stop = n, STOP_NEEDS_DATA
            break
        captured = host32(block, at + 8, swapped)
        if captured > LARGEST_RECORD:
            count, stop = n, STOP_DAMAGED
            break
        if at + header + captured > end:
            count, stop = n, STOP_NEEDS_DATA
            break
        wire = host32(block, at + 12, swapped)
        fraction = host32(block, at + 4, swapped)
        if fraction * tick_ns >= SECOND_NS:
            remark(tally, REMARK_FRACTION_BAD, base + at)
        if captured != wire or captured > snaplen:
            remark_lengths(tally, captured, wire, snaplen, base + at)
        time_ns = host32(block, at, swapped) * SECOND_NS + fraction * tick_ns
        earliest, latest = min(earliest, time_ns), max(latest, time_ns)
        records.time_ns[n] = time_ns
        records.frame_at[n] = at + header
        records.captured_length[n] = captured
        records.wire_length[n] = wire
        records.link_type[n] = link_type
        if captured < SMALL_RECORD:
            prefetch(block, at + AHEAD_BYTES)
        at += header + captured
    if count > 0:
        layout[LAST_TIME_NS] = records.time_ns[count - 1]
    tally.totals[2], tally.totals[3] = earliest, latest
    return count, at, stop


@step
def read_option(block: U8, at: int, stop: int, swapped: int) -> tuple[int, int, int]:
    """Read the header of an option in a block that ends at ``stop``. Returns (code, length, position of the next); OPTION_END: no more."""
    if at + 4 > stop - 4:
        return OPTION_END, 0, at
    code, length = host16(block, at, swapped), host16(block, at + 2, swapped)
    if at + 4 + length > stop - 4:
        return OPTION_END, 0, at
    return code, length, at + 4 + (length + 3) // 4 * 4


@step
def describe_interface(block: U8, at: int, stop: int, swapped: int, layout: I64, interfaces: Interfaces) -> None:
    """Read an interface description block: link type, snap length, timestamp resolution (default 10^-6 s) and offset."""
    i = layout[INTERFACE_COUNT]
    layout[INTERFACE_COUNT] = i + 1
    if i >= interfaces.link_type.shape[0]:
        return
    interfaces.link_type[i] = host16(block, at + 8, swapped)
    interfaces.snaplen[i] = host32(block, at + 12, swapped)
    interfaces.resolution[i] = 6
    interfaces.dropped[i] = 0
    interfaces.offset_s[i] = 0
    value = at + 20
    code, length, following = read_option(block, at + 16, stop, swapped)
    while code != OPTION_END:
        if code == OPTION_RESOLUTION and length >= 1:
            power = np.int32(block[value] & 0x7F)
            interfaces.resolution[i] = -power if block[value] & 0x80 else power
        elif code == OPTION_OFFSET and length >= 8:
            low = host32(block, value + (4 if swapped else 0), swapped)
            high = host32(block, value + (0 if swapped else 4), swapped)
            interfaces.offset_s[i] = (high << 32) | low
        value = following + 4
        code, length, following = read_option(block, following, stop, swapped)


@kernel
def count_drops(block: U8, at: int, stop: int, swapped: int, layout: I64, interfaces: Interfaces, tally: Tally) -> None:
    """Read the total of packets dropped by an interface from its statistics block, and count the new ones."""
    i = host32(block, at + 8, swapped)
    if i >= min(layout[INTERFACE_COUNT], interfaces.link_type.shape[0]):
        return
    lost = 0
    value = at + 24
    code, length, following = read_option(block, at + 20, stop, swapped)
    while code != OPTION_END:
        if code in (OPTION_INTERFACE_DROPS, OPTION_SYSTEM_DROPS) and length == 8:
            high, low = (value, value + 4) if swapped else (value + 4, value)
            if host32(block, high, swapped) == 0:  # a value beyond 32 bits is damage, not a count
                lost += host32(block, low, swapped)
        value = following + 4
        code, length, following = read_option(block, following, stop, swapped)
    tally.dropped[0] += max(lost - interfaces.dropped[i], 0)
    interfaces.dropped[i] = max(lost, interfaces.dropped[i])


@step
def ticks_to_ns(ticks: np.uint64, resolution: int, offset_s: int) -> int:
    """Convert a pcapng timestamp to nanoseconds since the epoch, rounded down; -1 if before 1970 or beyond int64 nanoseconds."""
    if resolution >= 0:
        seconds, rest = np.uint64(0), ticks
        if resolution <= 19:  # 10^19 is the largest power of ten in 64 bits
            power = np.uint64(1)
            for _ in range(resolution):
                power *= np.uint64(10)
            seconds = ticks // power
            rest = ticks - seconds * power
        for _ in range(resolution, 9):
            rest *= np.uint64(10)
        for _ in range(9, min(resolution, 29)):
            rest //= np.uint64(10)
    else:
        shift = np.uint64(-resolution)
        seconds, rest = np.uint64(0), ticks
        if shift < 64:
            seconds = ticks >> shift
            rest = ticks & ((np.uint64(1) << shift) - np.uint64(1))
        # rest * 10^9 in two halves, since it may need 94 bits
        high, low = (rest >> np.uint64(32)) * np.uint64(SECOND_NS), (rest & np.uint64(0xFFFFFFFF)) * np.uint64(SECOND_NS)
        if shift < 32:
            rest = low >> shift
        elif shift < 96:
            rest = (high + (low >> np.uint64(32))) >> (shift - np.uint64(32))
        else:
            rest = np.uint64(0)
    if offset_s < 0:  # subtracted first: it may bring a time beyond int64 back into range
        back = np.uint64(0) - np.uint64(offset_s)
        if back > seconds:
            return -1
        seconds -= back
        offset_s = 0
    if seconds > np.uint64(LATEST_S):
        return -1
    whole = np.int64(seconds) + offset_s
    if not 0 <= whole <= LATEST_S:
        return -1
    return whole * SECOND_NS + np.int64(rest)


@step
def section_order(block: U8, at: int) -> int:
    """Return the byte order of the section whose header block is at ``at``: 0 little endian, 1 big endian (swapped), -1 neither."""
    magic = host32(block, at + 8, 0)
    if magic == BYTE_ORDER:
        return 0
    return 1 if magic == BYTE_ORDER_SWAPPED else -1


@step
def block_header(block: U8, at: int, swapped: int) -> tuple[int, int, int]:
    """Read the header of a pcapng block, of which 12 bytes are there.

    swapped: byte order of the section so far. Returns (type, bytes including padding, byte order as :func:`section_order`, which a
    section header changes).
    """
    if host32(block, at, 0) == SECTION_HEADER:  # the same in both byte orders
        swapped = section_order(block, at)
    return host32(block, at, swapped), (host32(block, at + 4, swapped) + 3) // 4 * 4, swapped


@kernel
def frame_pcapng(
    block: U8, at: int, base: int, layout: I64, interfaces: Interfaces, records: Records, tally: Tally
) -> tuple[int, int, int]:
    """Walk pcapng blocks from ``at``. Returns (records, position, stop code)."""
    end = block.shape[0]
    n = 0
    while n < BATCH:
        if at + 12 > end:
            return n, at, STOP_NEEDS_DATA
        kind, length, swapped = block_header(block, at, layout[SWAPPED])
        if swapped < 0 or length < 12 or length > LARGEST_BLOCK:
            return n, at, STOP_DAMAGED
        stop = at + length
        if stop > end:
            return n, at, STOP_NEEDS_DATA
        header = 0
        interface = 0
        if kind == SECTION_HEADER:
            layout[SWAPPED] = swapped
            layout[INTERFACE_COUNT] = 0
        elif kind == INTERFACE and length >= 20:
            describe_interface(block, at, stop, swapped, layout, interfaces)
        elif kind == STATISTICS and length >= 24:
            count_drops(block, at, stop, swapped, layout, interfaces, tally)
        elif kind == ENHANCED_PACKET and length >= 32:
            header, interface = 28, host32(block, at + 8, swapped)
        elif kind == PACKET and length >= 32:
            header, interface = 28, host16(block, at + 8, swapped)
        elif kind == SIMPLE_PACKET and length >= 16:
            header = 12
        elif kind in (INTERFACE, ENHANCED_PACKET, PACKET, SIMPLE_PACKET):
            return n, at, STOP_DAMAGED
        if header:
            known = interface < min(layout[INTERFACE_COUNT], interfaces.link_type.shape[0])
            snaplen = interfaces.snaplen[interface] if known else 0
            time_ns = -1  # a simple packet block has no time of its own
            if header == 28:
                captured, wire = host32(block, at + 20, swapped), host32(block, at + 24, swapped)
                ticks = (np.uint64(host32(block, at + 12, swapped)) << np.uint64(32)) | np.uint64(host32(block, at + 16, swapped))
                if known:
                    time_ns = ticks_to_ns(ticks, interfaces.resolution[interface], interfaces.offset_s[interface])
            else:
                wire = host32(block, at + 8, swapped)
                captured = min(wire, length - 16)
                if snaplen > 0:
                    captured = min(captured, snaplen)
            if captured > length - header - 4:
                return n, at, STOP_DAMAGED
            if time_ns >= 0:
                enter_time(tally, time_ns)
            else:
                remark(tally, REMARK_TIME_UNUSABLE, base + at)
                time_ns = layout[LAST_TIME_NS]
            if captured != wire or captured > snaplen:
                remark_lengths(tally, captured, wire, snaplen, base + at)
            layout[LAST_TIME_NS] = time_ns
            records.time_ns[n] = time_ns
            records.frame_at[n] = at + header
            records.captured_length[n] = captured
            records.wire_length[n] = wire
            records.link_type[n] = interfaces.link_type[interface] if known else -1
            n += 1
        at = stop
    return n, at, STOP_BATCH_FULL


@kernel
def frame_snoop(block: U8, at: int, base: int, layout: I64, records: Records, tally: Tally) -> tuple[int, int, int]:
    """Walk snoop records from ``at``, each of 24 bytes and a padded frame, all numbers big endian. Returns as :func:`frame_pcap` does."""
    end = block.shape[0]
    n = 0
    while n < BATCH:
        if at + 24 > end:
            return n, at, STOP_NEEDS_DATA
        wire, captured, nbytes = big32(block, at), big32(block, at + 4), big32(block, at + 8)
        if captured > LARGEST_RECORD or nbytes < 24 + captured or nbytes > LARGEST_BLOCK:
            return n, at, STOP_DAMAGED
        if at + nbytes > end:
            return n, at, STOP_NEEDS_DATA
        fraction = big32(block, at + 20)
        if fraction * 1000 >= SECOND_NS:
            remark(tally, REMARK_FRACTION_BAD, base + at)
        if captured != wire:
            remark_lengths(tally, captured, wire, 0, base + at)
        time_ns = big32(block, at + 16) * SECOND_NS + fraction * 1000
        enter_time(tally, time_ns)
        tally.dropped[0] = max(tally.dropped[0], big32(block, at + 12))  # dropped since the capture began
        layout[LAST_TIME_NS] = time_ns
        records.time_ns[n] = time_ns
        records.frame_at[n] = at + 24
        records.captured_length[n] = captured
        records.wire_length[n] = wire
        records.link_type[n] = layout[LINK_TYPE]
        at += nbytes
        n += 1
    return n, at, STOP_BATCH_FULL


@kernel
def frame_merged(block: U8, at: int, layout: I64, records: Records) -> tuple[int, int, int]:
    """Walk merged records from ``at``: all are complete and already counted. Returns as :func:`frame_pcap` does."""
    end = block.shape[0]
    n = 0
    while n < BATCH:
        if at + MERGED_HEADER > end:
            return n, at, STOP_NEEDS_DATA
        captured = host32(block, at + 8, 0)
        if at + MERGED_HEADER + captured > end:
            return n, at, STOP_NEEDS_DATA
        time_ns = (host32(block, at + 4, 0) << 32) | host32(block, at, 0)
        layout[LAST_TIME_NS] = time_ns
        records.time_ns[n] = time_ns
        records.frame_at[n] = at + MERGED_HEADER
        records.captured_length[n] = captured
        records.wire_length[n] = host32(block, at + 12, 0)
        records.link_type[n] = np.int32(host32(block, at + 16, 0))  # -1 stays -1
        at += MERGED_HEADER + captured
        n += 1
    return n, at, STOP_BATCH_FULL


@kernel
def frame_batch(block: U8, at: int, base: int, layout: I64, interfaces: Interfaces, records: Records, tally: Tally) -> tuple[int, int, int]:
    """Walk records from ``at`` in the container that the layout names. Returns (records, position, stop code)."""
    if layout[CONTAINER] == PCAP:
        return frame_pcap(block, at, base, layout, records, tally)
    if layout[CONTAINER] == SNOOP:
        return frame_snoop(block, at, base, layout, records, tally)
    if layout[CONTAINER] == MERGED:
        return frame_merged(block, at, layout, records)
    return frame_pcapng(block, at, base, layout, interfaces, records, tally)
