"""Find the flow of each packet in a capture block, when a capture is read for the second time.

The flows are metered again, by one share, so that a packet's row is its flow's number in the order of first packets.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel
from floodmark_core.columns import BATCH, I32, I64, U8, U16, U32, U64, FlowTable, Tally
from floodmark_core.flows.flowtable import Matcher, update_flows
from floodmark_core.flows.reader import has_room
from floodmark_core.packets.walk import Walk, next_batch
from floodmark_core.status import STOP_BATCH_FULL, STOP_NEEDS_FLOWS

TRACED = 64 * BATCH  # packets traced per call


class Traced(NamedTuple):
    """Result for each packet: its record, its flow and the header fields that filter rules use."""

    flow: I64  # number of its flow in the order of first packets; -1 if it belongs to none
    from_initiator: U8
    frame_at: I64  # index into the block
    time_ns: I64
    captured_length: I64
    wire_length: I64
    link_type: I32
    outcome: U8  # status.py
    ip_version: U8
    protocol: U8
    fragment: U8  # fragments.py
    ttl: U8
    tcp_flags: U8
    tcp_window: U16
    tcp_options: U32  # signature of a SYN's options; 0 without options
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    src_port: U16
    dst_port: U16
    ip_bytes: I64
    ip_at: I64  # index into the block: the outermost IP header
    payload_at: I64  # index into the block
    payload_octets: I64


def new_traced() -> Traced:
    """Return space for the packets of one call."""
    types = ("i8", "u1", *["i8"] * 4, "i4", *["u1"] * 6, "u2", "u4", *["u8"] * 4, "u2", "u2", *["i8"] * 4)
    return Traced(*(np.zeros(TRACED, code) for code in types))


@kernel
def trace_block(
    block: U8, at: int, base: int, walk: Walk, matcher: Matcher, flows: FlowTable, tally: Tally, traced: Traced
) -> tuple[int, int, int]:
    """Read records from ``at`` until the block ends, a table must grow or ``traced`` is full.

    Returns (packets traced, position of the first record not read, status.py STOP_ code).
    """
    told = 0
    records, headers = walk.records, walk.headers
    while True:
        if told + BATCH > TRACED:
            return told, at, STOP_BATCH_FULL
        if not has_room(flows):
            return told, at, STOP_NEEDS_FLOWS
        n, at, stop = next_batch(block, at, base, walk, records, headers, tally)
        matcher.numbers[:n] = -1
        update_flows(block, n, records, headers, matcher, flows)
        for i in range(n):
            k = told + i
            traced.flow[k], traced.from_initiator[k] = matcher.numbers[i], matcher.from_initiator[i]
            traced.frame_at[k], traced.time_ns[k] = records.frame_at[i], records.time_ns[i]
            traced.captured_length[k], traced.wire_length[k] = records.captured_length[i], records.wire_length[i]
            traced.link_type[k], traced.outcome[k] = records.link_type[i], headers.outcome[i]
            traced.ip_version[k], traced.protocol[k] = headers.ip_version[i], headers.protocol[i]
            traced.fragment[k], traced.ttl[k] = headers.fragment[i], headers.ttl[i]
            traced.tcp_flags[k], traced.tcp_window[k] = headers.tcp_flags[i], headers.tcp_window[i]
            traced.tcp_options[k] = headers.tcp_options[i]
            traced.src_hi[k], traced.src_lo[k] = headers.src_hi[i], headers.src_lo[i]
            traced.dst_hi[k], traced.dst_lo[k] = headers.dst_hi[i], headers.dst_lo[i]
            traced.src_port[k], traced.dst_port[k] = headers.src_port[i], headers.dst_port[i]
            traced.ip_bytes[k], traced.ip_at[k] = headers.ip_bytes[i], headers.ip_at[i]
            traced.payload_at[k], traced.payload_octets[k] = headers.payload_at[i], headers.payload_octets[i]
        told += n
        if stop != STOP_BATCH_FULL:
            return told, at, stop
