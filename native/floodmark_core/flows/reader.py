"""Run a capture block through all kernels, batch by batch: framing, clock, decoding, flows, arrivals. The first pass on one screen."""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import (
    BATCH,
    BATCHES_SEEN,
    END_ADDRESSES,
    END_MORE,
    END_ROW,
    NEXT_ADDRESSES,
    NEXT_DESTINATION,
    NEXT_MORE,
    NEXT_ROW,
    NEXT_TENTH,
    PACKETS_SEEN,
    TAKEN_SLOTS,
    U8,
    ArrivalTable,
    FlowTable,
    Tally,
)
from floodmark_core.flows.arrivals import count_arrivals
from floodmark_core.flows.flowtable import FULLEST_EIGHTHS, Matcher, update_flows
from floodmark_core.packets.duplicates import Recent, estimate_duplicates
from floodmark_core.packets.walk import Walk, next_batch
from floodmark_core.status import STOP_BATCH_FULL, STOP_NEEDS_ARRIVALS, STOP_NEEDS_FLOWS


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


class ShareState(NamedTuple):
    """What one share reads with and counts into."""

    walk: Walk
    matcher: Matcher
    flows: FlowTable
    arrivals: ArrivalTable
    recent: Recent
    tally: Tally


@kernel
def read_block(block: U8, at: int, base: int, share: ShareState) -> tuple[int, int]:
    """Read records from ``at`` until the block ends or a table must grow, and count this share's flows.

    block: bytes of the file from offset ``base`` on. Returns (position of the first record not read, status.py STOP_ code).
    """
    walk, matcher, flows, arrivals = share.walk, share.matcher, share.flows, share.arrivals
    while True:
        if not has_room(flows):
            return at, STOP_NEEDS_FLOWS
        if not has_space(arrivals):
            return at, STOP_NEEDS_ARRIVALS
        n, at, stop = next_batch(block, at, base, walk, share.tally)
        estimate_duplicates(block, n, walk.records, walk.headers, share.recent)
        before = flows.used[PACKETS_SEEN]
        count = update_flows(block, n, walk.records, walk.headers, matcher, flows)
        count_arrivals(matcher.mine, count, before, walk.records, walk.headers, np.uint64(matcher.seed[0]), arrivals)
        if stop != STOP_BATCH_FULL:
            return at, stop
