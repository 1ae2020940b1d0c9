"""Batch of decoded packets in, cells updated: packets and octets per destination, second and traffic kind, with a sketch of the sources.

A cell merges with another of the same key: counts add, times take the extremes, registers the maximum. So cells of any cut of a
capture give the cells of the whole.
"""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import U64, CellTable, Headers, Records, Row, Rows
from floodmark_core.hashing import hash_words
from floodmark_core.status import IN_FLOW_HEADER_CUT

SECOND_NS = 1_000_000_000
TENTH_NS = 100_000_000
REGISTERS = 64  # 1.04 / sqrt(64) = 13 % standard error (Flajolet et al. 2007)

# The source sketch must be the same in every process, or registers could not be merged: this seed is no secret. Whoever chooses
# addresses to defeat it changes an estimate that no verdict rests on.
SKETCH_SEED = np.uint64(0x510E527FADE682D1)


@step
def cell_hash(seed: np.uint64, hi: int, lo: int, second: int, version: int, kind: int) -> np.uint64:
    """Hash a cell's key."""
    return hash_words(seed, hi, lo, np.uint64(second), np.uint64(kind), np.uint64(version))


@step
def sketch_source(cell: Row, hi: int, lo: int) -> None:
    """Enter a source address into a cell's HyperLogLog registers."""
    mixed = hash_words(SKETCH_SEED, hi, lo, np.uint64(0), np.uint64(0), np.uint64(0))
    register = np.int64(mixed & np.uint64(REGISTERS - 1))
    rest = mixed >> np.uint64(6)
    rank = 1
    while rank < 58 and not rest & np.uint64(1):
        rest >>= np.uint64(1)
        rank += 1
    cell.sources[register] = max(cell.sources[register], rank)


@step
def cell_matches(cell: Row, hi: int, lo: int, second: int, version: int, kind: int) -> bool:
    """Tell whether a cell has this key."""
    return bool(cell.dst_lo == lo and cell.second == second and cell.kind == kind and cell.dst_hi == hi and cell.ip_version == version)


@kernel
def count_cells(n: int, records: Records, headers: Headers, seed: np.uint64, cells: CellTable) -> None:
    """Count the first ``n`` packets to their cells. The table must have room for ``n`` new cells and an index at most half full."""
    rows, index = cells.rows, cells.slots
    mask = np.uint64(index.shape[0] - 1)
    number = -1  # neighbours in a capture often share the cell
    for i in range(n):
        if headers.outcome[i] > IN_FLOW_HEADER_CUT:
            continue
        hi, lo, version, kind = headers.dst_hi[i], headers.dst_lo[i], headers.ip_version[i], headers.kind[i]
        second = records.time_ns[i] // SECOND_NS
        if number < 0 or not cell_matches(rows[number], hi, lo, second, version, kind):
            mixed = cell_hash(seed, hi, lo, second, version, kind)
            tag = mixed >> np.uint64(32)
            slot = mixed & mask
            number = -1
            while index[slot] != 0:
                if index[slot] >> np.uint64(32) == tag:
                    candidate = np.int64(index[slot] & np.uint64(0xFFFFFFFF)) - 1
                    if cell_matches(rows[candidate], hi, lo, second, version, kind):
                        number = candidate
                        break
                slot = (slot + np.uint64(1)) & mask
            if number < 0:
                number = cells.used[0]
                cells.used[0] = number + 1
                index[slot] = (tag << np.uint64(32)) | np.uint64(number + 1)
                cell = rows[number]
                cell.dst_hi, cell.dst_lo, cell.second = hi, lo, second
                cell.ip_version, cell.kind = version, kind
                cell.first_ns = records.time_ns[i]
                cell.last_ns = records.time_ns[i]
        cell = rows[number]
        octets = np.uint64(headers.ip_octets[i])
        cell.packets += np.uint64(1)
        cell.octets += octets
        cell.first_ns = min(cell.first_ns, records.time_ns[i])
        cell.last_ns = max(cell.last_ns, records.time_ns[i])
        tenth = (records.time_ns[i] - second * SECOND_NS) // TENTH_NS
        if cell.tenth_packets[tenth] < np.uint32(0xFFFFFFFF):
            cell.tenth_packets[tenth] += np.uint32(1)
        cell.tenth_octets[tenth] += octets
        sketch_source(cell, headers.src_hi[i], headers.src_lo[i])


@kernel
def rebuild_cell_index(rows: Rows, used: int, seed: np.uint64, index: U64) -> None:
    """Enter every cell into an empty index."""
    mask = np.uint64(index.shape[0] - 1)
    for number in range(used):
        cell = rows[number]
        mixed = cell_hash(seed, cell.dst_hi, cell.dst_lo, cell.second, cell.ip_version, cell.kind)
        slot = mixed & mask
        while index[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        index[slot] = ((mixed >> np.uint64(32)) << np.uint64(32)) | np.uint64(number + 1)
