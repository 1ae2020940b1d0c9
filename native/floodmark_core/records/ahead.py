"""Prefetch the record headers of a capture block into the cache.

Walking a chain of full-size records waits for memory at each of them, because only a record gives the position of the next. Several
cursors in different parts of the block wait at the same time. Where they begin is a guess; nothing they find is used, so a wrong
guess costs only time.
"""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import host32
from floodmark_core.columns import I64, U8
from floodmark_core.protocols import DAY_S, SECOND_NS
from floodmark_core.records.framing import (
    CONTAINER,
    LARGEST_RECORD,
    PCAP,
    RECORD_HEADER,
    SECTION_HEADER,
    SMALL_RECORD,
    SNOOP,
    SWAPPED,
    TICK_NS,
)

CURSORS = 8
LOOKED_AT = 16  # records sampled to estimate the length of the others
FURTHEST = 1 << 13  # bytes that a cursor searches for a record
HEADERS = 64  # bytes after which the frame's own headers may continue in another cache line


@step
def record_length(block: U8, at: int, layout: I64) -> int:
    """Return the length of what looks like a record or block at ``at``, or 0."""
    swapped = layout[SWAPPED]
    if layout[CONTAINER] == PCAP:
        captured, wire = host32(block, at + 8, swapped), host32(block, at + 12, swapped)
        if (
            captured > LARGEST_RECORD
            or wire < captured
            or wire > LARGEST_RECORD
            or host32(block, at + 4, swapped) * layout[TICK_NS] >= SECOND_NS
        ):
            return 0
        return layout[RECORD_HEADER] + captured
    kind, length = host32(block, at, swapped), host32(block, at + 4, swapped)
    if (kind > 0x10 and kind != SECTION_HEADER) or kind == 0 or length < 12 or length & 3 or at + length > block.shape[0]:
        return 0
    return length if host32(block, at + length - 4, swapped) == length else 0


@step
def looks_right(block: U8, at: int, like: int, layout: I64) -> bool:
    """Return whether a record, followed by another, seems to begin here; pcap records have no marker, but times close to each other."""
    end = block.shape[0] - 16
    for _ in range(2):
        if at > end:
            return True
        length = record_length(block, at, layout)
        if length == 0:
            return False
        if layout[CONTAINER] == PCAP and abs(host32(block, at, layout[SWAPPED]) - host32(block, like, layout[SWAPPED])) > DAY_S:
            return False
        at += length
    return True


@step
def are_small(block: U8, at: int, end: int, layout: I64) -> bool:
    """Return whether the first records are so small, on average, that the processor needs no help."""
    first = at
    for count in range(1, LOOKED_AT + 1):
        length = record_length(block, at, layout)
        at += length
        if length == 0 or at > end:
            return 0 < at - first <= count * SMALL_RECORD
    return at - first <= LOOKED_AT * SMALL_RECORD


@kernel
def touch_records(block: U8, at: int, layout: I64, cursors: I64) -> int:
    """Walk the records from ``at`` to the block's end with several cursors at once.

    cursors: int64[CURSORS]. Returns a value only so that the compiler keeps the loads.
    """
    end = block.shape[0] - 16 - HEADERS
    if at > end or layout[CONTAINER] == SNOOP:
        return 0
    if are_small(block, at, end, layout):
        return 0
    share = (end - at) // CURSORS + 1
    cursors[0] = at
    for c in range(1, CURSORS):
        guess = at + c * share
        last = min(guess + FURTHEST, end)
        while guess < last and not looks_right(block, guess, at, layout):
            guess += 1 if layout[CONTAINER] == PCAP else 4
        cursors[c] = guess
    # Offset of a record's length field, and what to add to its value.
    where, more, swapped = (8, layout[RECORD_HEADER], layout[SWAPPED]) if layout[CONTAINER] == PCAP else (4, 0, layout[SWAPPED])
    touched, busy = 0, True
    while busy:
        busy = False
        for c in range(CURSORS):
            place = cursors[c]
            if place < min(at + (c + 1) * share, end):
                cursors[c] = place + max(host32(block, place + where, swapped) + more, 12)
                touched |= np.int64(block[place + HEADERS])
                busy = True
    return touched
