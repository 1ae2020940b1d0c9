"""Run a capture block through all kernels: framing, clock, decoding, arrivals; then flows. The first pass on one screen.

A round of batches is decoded, then metered: in turns by one thread, or by others while the next round is decoded.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import (
    BATCH,
    BATCHES_SEEN,
    END_ADDRESSES,
    END_MORE,
    END_ROW,
    I64,
    NEXT_ADDRESSES,
    NEXT_DESTINATION,
    NEXT_MORE,
    NEXT_ROW,
    NEXT_TENTH,
    TAKEN_SLOTS,
    U8,
    ArrivalTable,
    FlowTable,
    Headers,
    Records,
    Tally,
    new_headers,
    new_records,
)
from floodmark_core.flows.arrivals import count_arrivals
from floodmark_core.flows.flowtable import FULLEST_EIGHTHS, Matcher, update_flows
from floodmark_core.packets.duplicates import Recent, estimate_duplicates
from floodmark_core.packets.walk import Walk, next_batch
from floodmark_core.status import STOP_BATCH_FULL, STOP_NEEDS_ARRIVALS


class Round(NamedTuple):
    """Some consecutive decoded batches."""

    records: Records
    headers: Headers
    packets: I64  # of each batch; a batch begins at its number * BATCH


class Decoding(NamedTuple):
    """What packets are decoded with and counted in, before they are given to flows."""

    walk: Walk
    arrivals: ArrivalTable
    recent: Recent
    tally: Tally
    seed: np.uint64


def new_round(batches: int) -> Round:
    """Return space for so many batches."""
    return Round(new_records(batches * BATCH), new_headers(batches * BATCH), np.zeros(batches, np.int64))


@step
def has_room(flows: FlowTable) -> bool:
    """Return whether a batch, whatever its contents, fits into the space allotted to a share."""
    used = flows.used
    return bool(
        used[NEXT_ROW] + BATCH <= used[END_ROW]
        and used[NEXT_ADDRESSES] + 2 * BATCH <= used[END_ADDRESSES]
        and used[NEXT_MORE] + 2 * BATCH <= used[END_MORE]
        and (used[BATCHES_SEEN] < flows.opened.shape[0] or flows.births.shape[0] == 0)
        and used[TAKEN_SLOTS] + BATCH <= flows.slots.shape[0] * FULLEST_EIGHTHS // 8
    )


@step
def has_space(arrivals: ArrivalTable) -> bool:
    """Return whether there is space for what a batch, whatever its contents, may add to the arrivals."""
    used = arrivals.used
    return bool(used[NEXT_DESTINATION] + BATCH <= arrivals.rows.shape[0] and used[NEXT_TENTH] + BATCH <= arrivals.log.shape[0])


@step
def records_of(records: Records, batch: int) -> Records:
    """Return the columns of one batch of a round."""
    part = slice(batch * BATCH, (batch + 1) * BATCH)
    return Records(
        records.frame_at[part],
        records.time_ns[part],
        records.clock_ns[part],
        records.captured_length[part],
        records.wire_length[part],
        records.link_type[part],
    )


@step
def headers_of(headers: Headers, batch: int) -> Headers:
    """Return the columns of one batch of a round."""
    part = slice(batch * BATCH, (batch + 1) * BATCH)
    return Headers(
        headers.outcome[part],
        headers.kind[part],
        headers.ip_version[part],
        headers.protocol[part],
        headers.fragment[part],
        headers.ttl[part],
        headers.tcp_flags[part],
        headers.window_shift[part],
        headers.src_hi[part],
        headers.src_lo[part],
        headers.dst_hi[part],
        headers.dst_lo[part],
        headers.src_port[part],
        headers.dst_port[part],
        headers.vlan[part],
        headers.ip_bytes[part],
        headers.ip_at[part],
        headers.payload_at[part],
        headers.payload_octets[part],
        headers.payload_captured[part],
        headers.tcp_seq[part],
        headers.tcp_ack[part],
        headers.tcp_window[part],
        headers.tcp_options[part],
        headers.fragment_id[part],
        headers.tunnel[part],
        headers.outer_version[part],
        headers.outer_src_hi[part],
        headers.outer_src_lo[part],
        headers.outer_dst_hi[part],
        headers.outer_dst_lo[part],
    )


@kernel
def decode_round(block: U8, at: int, base: int, decoding: Decoding, round_: Round, first: int) -> tuple[int, int, int]:
    """Decode records from ``at`` into the batches of a round from the ``first`` on, until the block ends or the round is full.

    block: bytes of the file from offset ``base`` on. Returns (batches filled, position of the first record not read, status.py STOP_ code).
    """
    batch, walk = first, decoding.walk
    while batch < round_.packets.shape[0]:
        if not has_space(decoding.arrivals):
            return batch, at, STOP_NEEDS_ARRIVALS
        records, headers = records_of(round_.records, batch), headers_of(round_.headers, batch)
        n, at, stop = next_batch(block, at, base, walk, records, headers, decoding.tally)
        estimate_duplicates(block, n, records, headers, decoding.recent)
        count_arrivals(n, records, headers, decoding.seed, decoding.arrivals)
        round_.packets[batch] = n
        batch += 1
        if stop != STOP_BATCH_FULL:
            return batch, at, stop
    return batch, at, STOP_BATCH_FULL


@kernel
def meter_round(block: U8, round_: Round, first: int, end: int, matcher: Matcher, flows: FlowTable) -> int:
    """Count a share's flows in the batches of a round from the ``first`` to the ``end``. Returns the batch for which there is no room."""
    batch = first
    while batch < end and has_room(flows):
        n = round_.packets[batch]
        update_flows(block, n, records_of(round_.records, batch), headers_of(round_.headers, batch), matcher, flows)
        batch += 1
    return batch
