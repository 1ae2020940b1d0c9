"""Find where each record of a capture block begins and ends: the bytes that a copy of the record must have, headers included.

In pcapng also the blocks that describe sections and interfaces: packets cannot be interpreted without them.
"""

from typing import NamedTuple

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import big32
from floodmark_core.columns import I64, U8, Framing
from floodmark_core.records.framing import (
    CONTAINER,
    ENHANCED_PACKET,
    INTERFACE,
    PACKET,
    PCAPNG,
    RECORD_HEADER,
    SECTION_HEADER,
    SIMPLE_PACKET,
    SNOOP,
    SWAPPED,
    block_header,
    frame_batch,
)
from floodmark_core.status import STOP_BATCH_FULL

LEAST_SPAN = 12  # bytes: the shortest record or block of any container
DESCRIPTION, RECORD = 0, 1  # roles of a span


class Spans(NamedTuple):
    """Where records and descriptions are in a block: space for one span per :data:`LEAST_SPAN` bytes of it, in order."""

    starts: I64  # index into the block
    ends: I64
    roles: U8  # DESCRIPTION or RECORD


@step
def outline_blocks(block: U8, at: int, end: int, swapped: int, count: int, spans: Spans) -> int:
    """List complete pcapng blocks. Returns the number of spans so far."""
    while at < end:
        kind, nbytes, swapped = block_header(block, at, swapped)
        stop = at + nbytes
        if kind in (ENHANCED_PACKET, PACKET, SIMPLE_PACKET, INTERFACE, SECTION_HEADER):
            spans.starts[count], spans.ends[count] = at, stop
            spans.roles[count] = DESCRIPTION if kind in (INTERFACE, SECTION_HEADER) else RECORD
            count += 1
        at = stop
    return count


@kernel
def outline_block(block: U8, at: int, base: int, framing: Framing, spans: Spans) -> tuple[int, int, int]:
    """List the records of a block from ``at`` on. Returns (position, status.py STOP_ code, number of spans)."""
    layout, interfaces, records, tally = framing
    count = 0
    while True:
        swapped, first = layout[SWAPPED], at
        n, at, stop = frame_batch(block, at, base, layout, interfaces, records, tally)
        if layout[CONTAINER] == PCAPNG:
            count = outline_blocks(block, first, at, swapped, count, spans)
        else:
            header = 24 if layout[CONTAINER] == SNOOP else layout[RECORD_HEADER]
            for i in range(n):
                begin = records.frame_at[i] - header
                spans.starts[count], spans.roles[count] = begin, RECORD
                nbytes = big32(block, begin + 8) if layout[CONTAINER] == SNOOP else header + records.captured_length[i]
                spans.ends[count] = begin + nbytes
                count += 1
        if stop != STOP_BATCH_FULL:
            return at, stop, count
