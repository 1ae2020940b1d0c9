"""Update cells from a batch of decoded packets: packets and bytes per destination, second and traffic kind, with a source sketch.

A cell merges with another of the same key: counts add, times take the extremes, registers the maximum. So however a capture is split,
the cells of its parts merge into the cells of the whole.
"""

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.hashing import hash_words, trailing_zeros
from floodmark_core.buffers.probing import entry_of, first_slot, free_slot, next_slot, row_of, slot_mask, tag_of
from floodmark_core.columns import I64, U64, CellTable, Headers, Records, Row, Rows

SECOND_NS = 1_000_000_000
TENTH_NS = 100_000_000
REGISTERS = 64  # 1.04 / sqrt(64) = 13 % standard error (Flajolet et al. 2007)

# The source sketch must be the same in every process, or registers could not be merged: this seed is not secret. An attacker who
# chooses addresses to defeat it changes an estimate that no verdict depends on.
SKETCH_SEED = np.uint64(0x510E527FADE682D1)


@step
def cell_hash(seed: np.uint64, hi: int, lo: int, second: int, version: int, kind: int) -> np.uint64:
    """Hash a cell's key."""
    return hash_words(seed, hi, lo, np.uint64(second), np.uint64(kind), np.uint64(version))


@step
def sketch_source(cell: Row, hi: int, lo: int) -> None:
    """Add a source address to a cell's HyperLogLog registers."""
    mixed = hash_words(SKETCH_SEED, hi, lo, np.uint64(0), np.uint64(0), np.uint64(0))
    register = np.int64(mixed & np.uint64(REGISTERS - 1))
    rank = np.int64(trailing_zeros((mixed >> np.uint64(6)) | np.uint64(1 << 57))) + 1
    cell.sources[register] = max(cell.sources[register], rank)


@step
def cell_matches(cell: Row, hi: int, lo: int, second: int, version: int, kind: int) -> bool:
    """Return whether a cell has this key."""
    return bool(cell.dst_lo == lo and cell.second == second and cell.kind == kind and cell.dst_hi == hi and cell.ip_version == version)


@kernel
def count_cells(mine: I64, n: int, packets_before: int, records: Records, headers: Headers, seed: np.uint64, cells: CellTable) -> None:
    """Count the first ``n`` listed packets of a batch in their cells; these need space for as many and an index at most half full.

    packets_before: packets of all captures before this batch.
    """
    rows, index = cells.rows, cells.slots
    mask = slot_mask(index.shape[0])
    number = -1  # consecutive packets often share a cell
    for k in range(n):
        i = mine[k]
        hi, lo, version, kind = headers.dst_hi[i], headers.dst_lo[i], headers.ip_version[i], headers.kind[i]
        second = records.time_ns[i] // SECOND_NS
        if number < 0 or not cell_matches(rows[number], hi, lo, second, version, kind):
            mixed = cell_hash(seed, hi, lo, second, version, kind)
            tag = tag_of(mixed)
            slot = first_slot(mixed, mask)
            number = -1
            while index[slot] != 0:
                if tag_of(index[slot]) == tag:
                    candidate = row_of(index[slot])
                    if cell_matches(rows[candidate], hi, lo, second, version, kind):
                        number = candidate
                        break
                slot = next_slot(slot, mask)
            if number < 0:
                number = cells.used[0]
                cells.used[0] = number + 1
                index[slot] = entry_of(tag, number)
                cell = rows[number]
                cell.dst_hi, cell.dst_lo, cell.second = hi, lo, second
                cell.ip_version, cell.kind = version, kind
                cell.birth = np.uint64(packets_before + i)
                cell.first_ns = records.time_ns[i]
                cell.last_ns = records.time_ns[i]
        cell = rows[number]
        nbytes = np.uint64(headers.ip_bytes[i])
        cell.packets += np.uint64(1)
        cell.octets += nbytes
        cell.first_ns = min(cell.first_ns, records.time_ns[i])
        cell.last_ns = max(cell.last_ns, records.time_ns[i])
        tenth = (records.time_ns[i] - second * SECOND_NS) // TENTH_NS
        if cell.tenth_packets[tenth] < np.uint32(0xFFFFFFFF):
            cell.tenth_packets[tenth] += np.uint32(1)
        cell.tenth_octets[tenth] += nbytes
        sketch_source(cell, headers.src_hi[i], headers.src_lo[i])


@kernel
def join_cells(rows: Rows, seed: np.uint64, cells: CellTable) -> None:
    """Merge cells into a table, which must have space for all of them and an index at most half full."""
    mask = slot_mask(cells.slots.shape[0])
    for k in range(rows.shape[0]):
        other = rows[k]
        mixed = cell_hash(seed, other.dst_hi, other.dst_lo, other.second, other.ip_version, other.kind)
        slot = first_slot(mixed, mask)
        number = -1
        while cells.slots[slot] != 0:
            number = row_of(cells.slots[slot])
            if cell_matches(cells.rows[number], other.dst_hi, other.dst_lo, other.second, other.ip_version, other.kind):
                break
            number = -1
            slot = next_slot(slot, mask)
        if number < 0:
            number = cells.used[0]
            cells.used[0] = number + 1
            cells.slots[slot] = entry_of(tag_of(mixed), number)
            cells.rows[number] = other
            continue
        cell = cells.rows[number]
        cell.birth = min(cell.birth, other.birth)
        cell.packets += other.packets
        cell.octets += other.octets
        cell.first_ns = min(cell.first_ns, other.first_ns)
        cell.last_ns = max(cell.last_ns, other.last_ns)
        for tenth in range(10):
            packets = np.uint64(cell.tenth_packets[tenth]) + np.uint64(other.tenth_packets[tenth])
            cell.tenth_packets[tenth] = np.uint32(min(packets, np.uint64(0xFFFFFFFF)))
            cell.tenth_octets[tenth] += other.tenth_octets[tenth]
        for register in range(REGISTERS):
            cell.sources[register] = max(cell.sources[register], other.sources[register])


@kernel
def rebuild_cell_index(rows: Rows, used: int, seed: np.uint64, index: U64) -> None:
    """Insert every cell into an empty index."""
    mask = slot_mask(index.shape[0])
    for number in range(used):
        cell = rows[number]
        mixed = cell_hash(seed, cell.dst_hi, cell.dst_lo, cell.second, cell.ip_version, cell.kind)
        index[free_slot(index, first_slot(mixed, mask), mask)] = entry_of(tag_of(mixed), number)
