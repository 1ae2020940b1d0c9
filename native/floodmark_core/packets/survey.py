"""Survey the contents of a capture block without flows: framing, clock, decoding, and counts of packet properties."""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import I64, U8, Headers, Records, Tally
from floodmark_core.packets.checksums import BAD, check_header, check_transport
from floodmark_core.packets.duplicates import Recent, look_at, new_recent
from floodmark_core.packets.walk import Walk, next_batch
from floodmark_core.status import IN_FLOW, IN_FLOW_HEADER_CUT, STOP_BATCH_FULL

LONGEST_GAP, GAP_BEGINS, LAST_NS = 0, 1, 2

# Indices into the counts.
FRAGMENTS, TAGGED, IPV6_PACKETS, CUT, HEADER_CHECKSUM_BAD, TRANSPORT_CHECKSUM_BAD, COUNTS = 0, 1, 2, 3, 4, 5, 6


class Survey(NamedTuple):
    """Counts beyond the tally; carries over from block to block."""

    counts: I64  # indices above
    protocols: I64  # packets by IP protocol
    tunnels: I64  # packets by kinds.py TUNNEL_
    gap: I64  # [longest silence ns, time of the packet before it, time of the last packet; -1 none]
    recent: Recent


def new_survey() -> Survey:
    """Return an empty survey."""
    gap = np.array([0, -1, -1], np.int64)
    counts, protocols, tunnels = (np.zeros(size, np.int64) for size in (COUNTS, 256, 16))
    return Survey(counts, protocols, tunnels, gap, new_recent())


@step
def count_times(records: Records, n: int, gap: I64) -> None:
    """Find the longest silence."""
    for i in range(n):
        time_ns = records.time_ns[i]
        if gap[LAST_NS] >= 0 and time_ns - gap[LAST_NS] > gap[LONGEST_GAP]:
            gap[LONGEST_GAP], gap[GAP_BEGINS] = time_ns - gap[LAST_NS], gap[LAST_NS]
        gap[LAST_NS] = max(time_ns, gap[LAST_NS])


@step
def count_packet(block: U8, i: int, records: Records, headers: Headers, survey: Survey) -> None:
    """Count an IP packet by its properties."""
    survey.protocols[headers.protocol[i]] += 1
    survey.tunnels[headers.tunnel[i]] += 1
    survey.counts[FRAGMENTS] += 1 if headers.fragment[i] else 0
    survey.counts[TAGGED] += 1 if headers.vlan[i] else 0
    survey.counts[IPV6_PACKETS] += 1 if headers.ip_version[i] == 6 else 0
    if headers.outcome[i] == IN_FLOW:
        survey.counts[HEADER_CHECKSUM_BAD] += 1 if check_header(block, i, records, headers) == BAD else 0
        survey.counts[TRANSPORT_CHECKSUM_BAD] += 1 if check_transport(block, i, records, headers) == BAD else 0
    look_at(block, i, records, headers, survey.recent, 0)


@kernel
def survey_block(block: U8, at: int, base: int, walk: Walk, survey: Survey, tally: Tally) -> tuple[int, int]:
    """Read records from ``at`` until the block ends and count their contents. Returns (position, status.py STOP_ code)."""
    while True:
        n, at, stop = next_batch(block, at, base, walk, walk.records, walk.headers, tally)
        count_times(walk.records, n, survey.gap)
        for i in range(n):
            if walk.records.captured_length[i] < walk.records.wire_length[i]:
                survey.counts[CUT] += 1
            if walk.headers.outcome[i] <= IN_FLOW_HEADER_CUT:
                count_packet(block, i, walk.records, walk.headers, survey)
        if stop != STOP_BATCH_FULL:
            return at, stop
