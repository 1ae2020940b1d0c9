"""Batch in, packets that were seen a moment before out: what a mirror port makes of traffic that passes it twice.

A duplicate is a packet whose octets from the IP header on were seen within a few milliseconds before: link header and VLAN tags differ
between the two sides of a switch, and so does the padding. They are looked for in a table with one place for each hash: what is
overwritten is missed. A tool that sends one packet over and over makes them too.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import step
from floodmark_core.buffers.access import big64
from floodmark_core.buffers.hashing import fold
from floodmark_core.columns import I64, U8, U64, Headers, Records
from floodmark_core.status import IN_FLOW_HEADER_CUT

RECENT = 1 << 14  # packets of which the hash is kept: 256 KiB, in the second-level cache
DUPLICATE_NS = 5_000_000
LOOKED_AT_BYTES = 128  # of a packet: header, checksums, first payload

# Places in the counts: packets that passed; those looked at and duplicates among these, of the first packets and of all further ones.
PASSED, LOOKED_AT, DUPLICATES, LOOKED_AT_LATER, DUPLICATES_LATER, COUNTS = 0, 1, 2, 3, 4, 5

# Where duplicates are estimated: the first packets, and 1,024 in a row of each further 16,384.
ALL_OF_FIRST, STRETCH, EVERY = 1 << 16, 1 << 10, 1 << 14


class Recent(NamedTuple):
    """The last packets, and how many were like one of them."""

    counts: I64  # places above
    hashes: U64  # empty: nothing is looked at
    seen_ns: I64  # when


def new_recent(packets: int = RECENT) -> Recent:
    """Return what has seen nothing yet and keeps so many packets, a power of two or none."""
    return Recent(np.zeros(COUNTS, np.int64), np.zeros(packets, np.uint64), np.zeros(packets, np.int64) - DUPLICATE_NS)


@step
def packet_hash(block: U8, at: int, end: int) -> np.uint64:
    """Hash the octets of a packet from a place on, as many as are looked at."""
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
    """Tell whether an IP packet was seen a moment ago, and keep it. later: 0 to count it to the first packets, 2 to the further ones."""
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
    """Look at those of a batch of packets that are among the ones to be looked at, which depends on their numbers alone."""
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
    """Return the share of duplicates among all that passed, None where nothing was looked at."""
    passed, looked_at, found, looked_at_later, found_later = (int(count) for count in recent.counts)
    if not looked_at:
        return None
    first = min(passed, ALL_OF_FIRST)
    later = found_later / looked_at_later * (passed - first) if looked_at_later else 0.0
    return (found / looked_at * first + later) / passed
