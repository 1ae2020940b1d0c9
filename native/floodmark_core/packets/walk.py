"""Walk a capture block in decoded batches: framing, clock and decoding, and the state they carry over."""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import step
from floodmark_core.columns import I64, U8, Headers, Interfaces, Records, Tally, new_headers, new_interfaces, new_records
from floodmark_core.packets.decode import decode_batch
from floodmark_core.packets.fragments import Fragments, new_fragments
from floodmark_core.records.framing import frame_batch
from floodmark_core.records.timeline import CLOCK_SIZE, advance_clock


class Walk(NamedTuple):
    """State of a walk through captures, carried over from batch to batch, from block to block and from file to file."""

    layout: I64  # framing.py
    interfaces: Interfaces
    clock: I64  # timeline.py
    fragments: Fragments
    records: Records  # of one batch, for whoever looks at one at a time
    headers: Headers  # of the same
    service_ports: U8  # kinds.py PORT_ by port
    reorder_window_ns: int
    depth: int  # maximum number of nested tunnels over IP to decapsulate


def new_walk(layout: I64, service_ports: U8, reorder_window_ns: int, depth: int) -> Walk:
    """Return the initial state of a walk. layout: initial layout for framing; it is modified."""
    clock = np.zeros(CLOCK_SIZE, np.int64)
    return Walk(layout, new_interfaces(), clock, new_fragments(), new_records(), new_headers(), service_ports, reorder_window_ns, depth)


@step
def next_batch(block: U8, at: int, base: int, walk: Walk, records: Records, headers: Headers, tally: Tally) -> tuple[int, int, int]:
    """Frame and decode a batch into some columns. Returns (packets, position, status.py STOP_ code)."""
    n, at, stop = frame_batch(block, at, base, walk.layout, walk.interfaces, records, tally)
    advance_clock(records, n, base, walk.reorder_window_ns, walk.clock, tally)
    decode_batch(block, n, base, records, walk.service_ports, walk.depth, walk.fragments, headers, tally)
    return n, at, stop
