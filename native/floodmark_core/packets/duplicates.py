"""Count duplicate packets, which a mirror port produces from traffic that passes it twice.

A duplicate is a packet whose bytes from the IP header on were seen within the previous few milliseconds: link header, VLAN tags and
padding differ between the two sides of a switch. Packets are looked up in a table with one slot per hash: overwritten ones are missed.
A tool that sends one packet repeatedly produces duplicates too.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import step
from floodmark_core.buffers.access import big64
from floodmark_core.buffers.hashing import fold
from floodmark_core.columns import I64, U8, U64, Headers, Records
from floodmark_core.status import IN_FLOW_HEADER_CUT

RECENT = 1 << 14  # packets whose hash is kept: 256 KiB, fits the L2 cache
DUPLICATE_NS = 5_000_000
LOOKED_AT_BYTES = 128  # hashed of a packet: header, checksums, first payload

# Indices into the counts: packets that passed; those examined and duplicates among these, of the first packets and of all later ones.
PASSED, LOOKED_AT, DUPLICATES, LOOKED_AT_LATER, DUPLICATES_LATER, COUNTS = 0, 1, 2, 3, 4, 5

# Packets sampled for the estimate: the first ones, and 1,024 in a row of each further 16,384.
ALL_OF_FIRST, STRETCH, EVERY = 1 << 16, 1 << 10, 1 << 14


class Recent(NamedTuple):
    """Recent packets, and counts of their duplicates."""

    counts: I64  # indices above
    hashes: U64  # empty: nothing is examined
    seen_ns: I64  # when


def new_recent(packets: int = RECENT) -> Recent:
    """Return an empty table that keeps ``packets`` packets, a power of two or 0."""
    return Recent(np.zeros(COUNTS, np.int64), np.zeros(packets, np.uint64), np.zeros(packets, np.int64) - DUPLICATE_NS)


@step
def packet_hash(block: U8, at: int, end: int) -> np.uint64:
    """Hash the bytes of a packet from ``at`` on, at most :data:`LOOKED_AT_BYTES`."""
    stop = min(end, at + LOOKED_AT_BYTES)
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
def look_at(block: U8, i: int, records: Records, headers: Headers, recent: Recent, later: int) -> None:
    """Count an IP packet and whether it is a duplicate, and keep it. later: 0 to count it among the first packets, 2 among later ones."""
    start, end = headers.ip_at[i], records.frame_at[i] + records.captured_length[i]
    if headers.tunnel[i] == 0:
        end = min(end, start + headers.ip_bytes[i])
    mixed, time_ns = packet_hash(block, start, end), records.time_ns[i]
    place = mixed & np.uint64(recent.hashes.shape[0] - 1)
    if recent.hashes[place] == mixed and 0 <= time_ns - recent.seen_ns[place] <= DUPLICATE_NS:
        recent.counts[DUPLICATES + later] += 1
    recent.counts[LOOKED_AT + later] += 1
    recent.hashes[place] = mixed
    recent.seen_ns[place] = time_ns


@step
def estimate_duplicates(block: U8, n: int, records: Records, headers: Headers, recent: Recent) -> None:
    """Examine the sampled packets of a batch; which ones are sampled depends only on their numbers."""
    passed = recent.counts[PASSED]
    recent.counts[PASSED] = passed + n
    first = passed % EVERY
    if recent.hashes.shape[0] == 0 or (passed >= ALL_OF_FIRST and first >= STRETCH and first + n <= EVERY):
        return
    for i in range(n):
        number = passed + i
        if headers.outcome[i] <= IN_FLOW_HEADER_CUT and (number < ALL_OF_FIRST or number % EVERY < STRETCH):
            look_at(block, i, records, headers, recent, 0 if number < ALL_OF_FIRST else 2)


def duplicate_share(recent: Recent) -> float | None:
    """Return the estimated share of duplicates among all packets that passed, None if none was examined."""
    passed, looked_at, found, looked_at_later, found_later = (int(count) for count in recent.counts)
    if not looked_at:
        return None
    first = min(passed, ALL_OF_FIRST)
    later = found_later / looked_at_later * (passed - first) if looked_at_later else 0.0
    return (found / looked_at * first + later) / passed
