"""Merge records of several captures into one container in time order.

The container is this project's own and exists only in memory: a header of 24 bytes, little endian (time in nanoseconds since the epoch,
captured length, length on the wire, link type, number of the capture), and the frame. Damage, drops and refusals are counted per
capture beforehand.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel
from floodmark_core.buffers.writing import copy_bytes, put_little32
from floodmark_core.columns import I64, U8, Tally
from floodmark_core.packets.walk import Walk, next_batch
from floodmark_core.records.framing import MERGED_CAPTURE, MERGED_HEADER
from floodmark_core.status import STOP_BATCH_FULL


class Extracted(NamedTuple):
    """Records of a block in this module's container."""

    nbytes: U8  # space for twice the block's bytes
    times_ns: I64  # of each record; space for one per 16 bytes of the block
    starts: I64  # position of each record in ``nbytes``, followed by the end position: space for one more


@kernel
def extract_block(block: U8, at: int, base: int, capture: int, walk: Walk, tally: Tally, extracted: Extracted) -> tuple[int, int, int]:
    """Read the records of a block from ``at``, count their outcomes, and write them in this module's container.

    capture: its number among those merged. Returns (position, status.py STOP_ code, records).
    """
    out, times_ns, starts = extracted
    count, end = 0, 0
    while True:
        n, at, stop = next_batch(block, at, base, walk, walk.records, walk.headers, tally)
        for i in range(n):
            length, time_ns = walk.records.captured_length[i], walk.records.time_ns[i]
            times_ns[count], starts[count] = time_ns, end
            put_little32(out, end, time_ns)
            put_little32(out, end + 4, time_ns >> 32)
            put_little32(out, end + 8, length)
            put_little32(out, end + 12, walk.records.wire_length[i])
            put_little32(out, end + 16, np.int64(walk.records.link_type[i]))
            put_little32(out, end + MERGED_CAPTURE, capture)
            frame_at = walk.records.frame_at[i]
            end = copy_bytes(block, frame_at, frame_at + length, out, end + MERGED_HEADER)
            count += 1
        if stop != STOP_BATCH_FULL:
            starts[count] = end
            return at, stop, count


@kernel
def gather_records(nbytes: U8, starts: I64, lengths: I64, order: I64, out: U8) -> None:
    """Write records in the given order. starts, lengths: position and length of each in ``nbytes``. out: as long as all of them."""
    at = 0
    for place in order:
        at = copy_bytes(nbytes, starts[place], starts[place] + lengths[place], out, at)
