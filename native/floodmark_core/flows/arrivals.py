"""Count what arrives at each destination from a batch of decoded packets: packets and bytes by traffic kind and tenth of a second.

A destination has one row for each kind of traffic that it receives. The row counts the current tenth of a second; once that is over, it is
appended to a log. So a packet costs one cache line of its destination's row, and a destination that is quiet for an hour takes no more
memory than one that is quiet for a second.
"""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.hashing import hash_words
from floodmark_core.buffers.prefetch import prefetch
from floodmark_core.buffers.probing import entry_of, first_slot, free_slot, next_slot, row_of, slot_mask, tag_of
from floodmark_core.columns import (
    ARRIVALS_BEGIN_NS,
    ARRIVALS_END_NS,
    NEXT_DESTINATION,
    NEXT_TENTH,
    PACKETS_PASSED,
    U64,
    ArrivalTable,
    Headers,
    Records,
    Row,
    Rows,
)
from floodmark_core.status import IN_FLOW_HEADER_CUT

TENTH_NS = 100_000_000
COUNT_BITS = 24  # of a log entry's "when": its packets; above them its tenth of a second
MOST_PACKETS, MOST_BYTES = (1 << COUNT_BITS) - 1, (1 << 32) - 1  # in one log entry; more make another


@step
def destination_hash(seed: np.uint64, hi: int, lo: int, version: int, kind: int) -> np.uint64:
    """Hash a destination and a kind of traffic."""
    zero = np.uint64(0)
    return hash_words(seed, hi, lo, (np.uint64(version) << np.uint64(8)) | np.uint64(kind), zero, zero)


@step
def is_destination(row: Row, hi: int, lo: int, version: int, kind: int) -> bool:
    """Return whether a row is that of a destination and a kind of traffic."""
    return bool(row.lo == lo and row.hi == hi and row.kind == kind and row.ip_version == version)


@step
def log_tenth(number: int, row: Row, arrivals: ArrivalTable) -> None:
    """Append to the log what a row counts of its current tenth of a second, and begin again at zero."""
    entry = arrivals.log[arrivals.used[NEXT_TENTH]]
    arrivals.used[NEXT_TENTH] += 1
    entry.when = (row.tenth << COUNT_BITS) | np.int64(row.tenth_packets)
    entry.row = number
    entry.octets = row.tenth_octets
    row.tenth_packets = 0
    row.tenth_octets = 0


@step
def add_to_tenth(number: int, row: Row, tenth: int, packets: int, nbytes: int, arrivals: ArrivalTable) -> None:
    """Count packets of one tenth of a second in a row. The log must have room for one entry."""
    if row.tenth_packets and (row.tenth != tenth or row.tenth_packets + packets > MOST_PACKETS or row.tenth_octets + nbytes > MOST_BYTES):
        log_tenth(number, row, arrivals)
    row.tenth = tenth
    row.tenth_packets += np.uint32(packets)
    row.tenth_octets += np.uint64(nbytes)


@step
def find_slots(n: int, headers: Headers, seed: np.uint64, arrivals: ArrivalTable) -> None:
    """Find where in the index each packet's destination may be, and prefetch its row: two waits for memory, but for all packets at once."""
    index, hashes = arrivals.slots, arrivals.hashes
    mask = slot_mask(index.shape[0])
    for i in range(n):
        mixed = destination_hash(seed, headers.dst_hi[i], headers.dst_lo[i], np.int64(headers.ip_version[i]), np.int64(headers.kind[i]))
        hashes[i] = mixed
        prefetch(index, np.int64(first_slot(mixed, mask)))
    for i in range(n):
        entry = index[first_slot(hashes[i], mask)]
        if tag_of(entry) == tag_of(hashes[i]):
            prefetch(arrivals.rows, row_of(entry))


@kernel
def count_arrivals(n: int, records: Records, headers: Headers, seed: np.uint64, arrivals: ArrivalTable) -> None:
    """Count the packets of a batch at their destinations; there must be space for as many rows and log entries.

    The index must stay at most half full.
    """
    rows, index, used = arrivals.rows, arrivals.slots, arrivals.used
    mask = slot_mask(index.shape[0])
    find_slots(n, headers, seed, arrivals)
    number = -1  # consecutive packets often have the same destination
    for i in range(n):
        if headers.outcome[i] > IN_FLOW_HEADER_CUT:
            continue
        hi, lo, version, kind = headers.dst_hi[i], headers.dst_lo[i], headers.ip_version[i], headers.kind[i]
        time_ns = records.time_ns[i]
        if number < 0 or not is_destination(rows[number], hi, lo, version, kind):
            tag = tag_of(arrivals.hashes[i])
            slot = first_slot(arrivals.hashes[i], mask)
            number = -1
            while index[slot] != 0:
                if tag_of(index[slot]) == tag:
                    candidate = row_of(index[slot])
                    if is_destination(rows[candidate], hi, lo, version, kind):
                        number = candidate
                        break
                slot = next_slot(slot, mask)
            if number < 0:
                number = used[NEXT_DESTINATION]
                if number == 0:
                    used[ARRIVALS_BEGIN_NS] = used[ARRIVALS_END_NS] = time_ns
                used[NEXT_DESTINATION] = number + 1
                index[slot] = entry_of(tag, number)
                row = rows[number]
                row.hi, row.lo, row.ip_version, row.kind = hi, lo, version, kind
                row.birth = np.uint64(used[PACKETS_PASSED] + i)
        row = rows[number]
        row.packets += np.uint64(1)
        add_to_tenth(number, row, time_ns // TENTH_NS, 1, headers.ip_bytes[i], arrivals)
        used[ARRIVALS_BEGIN_NS] = min(used[ARRIVALS_BEGIN_NS], time_ns)
        used[ARRIVALS_END_NS] = max(used[ARRIVALS_END_NS], time_ns)
    used[PACKETS_PASSED] += n


@kernel
def rebuild_index(rows: Rows, used: int, seed: np.uint64, index: U64) -> None:
    """Insert every row into an empty index."""
    mask = slot_mask(index.shape[0])
    for number in range(used):
        row = rows[number]
        mixed = destination_hash(seed, row.hi, row.lo, np.int64(row.ip_version), np.int64(row.kind))
        index[free_slot(index, first_slot(mixed, mask), mask)] = entry_of(tag_of(mixed), number)
