"""Find the next plausible record after a damaged one.

Bytes in a payload can look like a header by chance, so a record counts only if those after it look right too.
"""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import host16, host32
from floodmark_core.columns import I64, U8
from floodmark_core.protocols import DAY_S, SECOND_NS
from floodmark_core.records.framing import (
    CONTAINER,
    ENHANCED_PACKET,
    INTERFACE,
    INTERFACE_COUNT,
    LARGEST_BLOCK,
    LARGEST_RECORD,
    LAST_TIME_NS,
    PACKET,
    PCAP,
    RECORD_HEADER,
    SECTION_HEADER,
    SIMPLE_PACKET,
    STATISTICS,
    SWAPPED,
    TICK_NS,
    section_order,
)

IN_A_ROW = 3  # records that must look right, including the first, as far as there is data
# DAY_S: a record further than this from the last time read is taken for a coincidence
_NO, _YES, _UNDECIDED = -1, 0, 1
NAME_RESOLUTION, JOURNAL, SECRETS, CUSTOM, CUSTOM_PRIVATE = 4, 9, 10, 0x0BAD, 0x40000BAD


@step
def pcap_record(block: U8, at: int, layout: I64) -> int:
    """Return the bytes that a pcap record at ``at`` takes, 0 if there can be none; its header is in the block."""
    swapped = layout[SWAPPED]
    captured, wire = host32(block, at + 8, swapped), host32(block, at + 12, swapped)
    if captured > LARGEST_RECORD or captured == 0 or wire < captured or wire > LARGEST_RECORD:
        return 0
    seconds, last_s = host32(block, at, swapped), layout[LAST_TIME_NS] // SECOND_NS
    if host32(block, at + 4, swapped) * layout[TICK_NS] >= SECOND_NS or (last_s > 0 and abs(seconds - last_s) > DAY_S):
        return 0
    return layout[RECORD_HEADER] + captured


@step
def pcapng_block(block: U8, at: int, end: int, layout: I64) -> int:
    """Return the bytes that a pcapng block at ``at`` takes, 0 if there can be none; its first 12 bytes are in the block."""
    kind, swapped = host32(block, at, 0), layout[SWAPPED]
    if kind == SECTION_HEADER:
        swapped = section_order(block, at)
        if swapped < 0:
            return 0
    elif swapped:
        kind = host32(block, at, 1)
    length = host32(block, at + 4, swapped)
    if length % 4 or length < 12 or length > LARGEST_BLOCK:
        return 0
    if kind in (ENHANCED_PACKET, PACKET):
        interface = host32(block, at + 8, swapped) if kind == ENHANCED_PACKET else host16(block, at + 8, swapped)
        if length < 32 or interface >= layout[INTERFACE_COUNT]:
            return 0
    elif kind not in (
        SECTION_HEADER, INTERFACE, SIMPLE_PACKET, NAME_RESOLUTION, STATISTICS, JOURNAL, SECRETS, CUSTOM, CUSTOM_PRIVATE
    ):  # fmt: skip
        return 0
    if at + length <= end and host32(block, at + length - 4, swapped) != length:
        return 0
    return length


@step
def begins_record(block: U8, at: int, end: int, layout: I64, at_end: bool) -> int:
    """Return whether records begin at ``at``: _YES, _NO, or _UNDECIDED if more data is needed."""
    for place in range(IN_A_ROW):
        if at == end and at_end and place > 0:
            return _YES
        if at + 24 > end:
            return _UNDECIDED if not at_end else (_YES if place > 1 else _NO)
        nbytes = pcap_record(block, at, layout) if layout[CONTAINER] == PCAP else pcapng_block(block, at, end, layout)
        if nbytes == 0:
            return _NO
        if at + nbytes > end:
            return _UNDECIDED if not at_end else (_YES if place > 0 else _NO)
        at += nbytes
    return _YES


@kernel
def next_record(block: U8, at: int, layout: I64, at_end: bool) -> tuple[bool, int]:
    """Search for a record from ``at`` on. Returns (whether there is one, its position; otherwise the first position not ruled out)."""
    end = np.int64(block.shape[0])
    while at < end:
        verdict = begins_record(block, at, end, layout, at_end)
        if verdict != _NO:
            return verdict == _YES, at
        at += 1
    return False, end
