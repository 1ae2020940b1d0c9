"""One block of a capture in, what is in it out, without flows: framing, clock, decoding, and counts beside them.

Duplicates, as a mirror port makes them, are packets whose octets from the IP header on were seen within a few milliseconds before: link
header and VLAN tags differ between the two sides of a switch, and so does the padding. They are looked for in a table with one place
for each hash: what is overwritten is missed. A tool that sends one packet over and over makes them too.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import I64, U8, U64, Headers, Records, Tally
from floodmark_core.hashing import fold
from floodmark_core.octets import big64
from floodmark_core.status import IN_FLOW_HEADER_CUT, STOP_BATCH_FULL
from floodmark_core.walk import Walk, next_batch

RECENT = 1 << 14  # packets of which the hash is kept: 256 KiB, in the second-level cache
DUPLICATE_NS = 5_000_000
LOOKED_AT_OCTETS = 128  # of a packet: header, checksums, first payload
LONGEST_GAP, GAP_BEGINS, LAST_NS = 0, 1, 2

# Places in the counts.
DUPLICATES, FRAGMENTS, TAGGED, IPV6_PACKETS, CUT, COUNTS = 0, 1, 2, 3, 4, 8


class Survey(NamedTuple):
    """What is counted beside the tally; carries over from block to block."""

    counts: I64  # places above
    protocols: I64  # packets by IP protocol
    tunnels: I64  # packets by kinds.py TUNNEL_
    gap: I64  # [longest silence ns, time of the packet before it, time of the last packet; -1 none]
    recent: U64  # hashes
    recent_ns: I64  # when


def new_survey() -> Survey:
    """Return a survey of nothing."""
    gap = np.array([0, -1, -1], np.int64)
    counts, protocols, tunnels = (np.zeros(size, np.int64) for size in (COUNTS, 256, 16))
    return Survey(counts, protocols, tunnels, gap, np.zeros(RECENT, np.uint64), np.zeros(RECENT, np.int64) - DUPLICATE_NS)


@step
def packet_hash(block: U8, at: int, end: int) -> np.uint64:
    """Hash the octets of a packet from a place on, as many as are looked at."""
    stop = min(end, at + LOOKED_AT_OCTETS)
    mixed = np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(end - at)
    while at + 8 <= stop:
        mixed = fold(mixed ^ big64(block, at), np.uint64(0xA0761D6478BD642F))
        at += 8
    last = np.uint64(0)
    while at < stop:
        last = (last << np.uint64(8)) | np.uint64(block[at])
        at += 1
    return fold(mixed ^ last, np.uint64(0xE7037ED1A0B428DB))


@step
def count_duplicate(block: U8, at: int, end: int, time_ns: int, survey: Survey) -> None:
    """Tell whether a packet was seen a moment ago, and keep it."""
    mixed = packet_hash(block, at, end)
    place = mixed & np.uint64(RECENT - 1)
    if survey.recent[place] == mixed and 0 <= time_ns - survey.recent_ns[place] <= DUPLICATE_NS:
        survey.counts[DUPLICATES] += 1
    survey.recent[place] = mixed
    survey.recent_ns[place] = time_ns


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
    """Count what an IP packet is."""
    survey.protocols[headers.protocol[i]] += 1
    survey.tunnels[headers.tunnel[i]] += 1
    survey.counts[FRAGMENTS] += 1 if headers.fragment[i] else 0
    survey.counts[TAGGED] += 1 if headers.vlan[i] else 0
    survey.counts[IPV6_PACKETS] += 1 if headers.ip_version[i] == 6 else 0
    start = headers.ip_at[i]
    end = records.frame_at[i] + records.captured_length[i]
    if headers.tunnel[i] == 0:
        end = min(end, start + headers.ip_octets[i])
    count_duplicate(block, start, end, records.time_ns[i], survey)


@kernel
def survey_block(block: U8, at: int, base: int, walk: Walk, survey: Survey, tally: Tally) -> tuple[int, int]:
    """Read records from ``at`` until the block ends and count what is in them. Returns as :func:`reader.read_block` does."""
    while True:
        n, at, stop = next_batch(block, at, base, walk, tally)
        count_times(walk.records, n, survey.gap)
        for i in range(n):
            if walk.records.captured_length[i] < walk.records.wire_length[i]:
                survey.counts[CUT] += 1
            if walk.headers.outcome[i] <= IN_FLOW_HEADER_CUT:
                count_packet(block, i, walk.records, walk.headers, survey)
        if stop != STOP_BATCH_FULL:
            return at, stop
