"""Group rows by key: number equal keys, find frequent ones, order rows by group. Linear in the rows; no sorting."""

import numpy as np

from floodmark_core._jit import kernel
from floodmark_core.buffers.hashing import hash_words
from floodmark_core.buffers.probing import first_slot, next_slot, slot_mask
from floodmark_core.columns import I32, I64, U8, U32, U64

ZERO = np.uint64(0)
ODD = np.uint64(1)  # a seed of zero would hash all IPv4 addresses, whose high half is zero, to the same value

AHEAD = 256  # keys processed together


@kernel
def number_keys(seed: np.uint64, first: U64, second: U64, third: U64, table: U32, touched: U32, groups: I32, leaders: I64) -> int:
    """Give each distinct key (first, second, third) a number, in order of appearance.

    table: uint32[power of two >= 2n], all zero. touched: uint32[1]. groups: int32[n], each row's number.
    leaders: int64[n], first row of each group.
    Returns the number of groups.
    """
    mask = slot_mask(table.shape[0])
    count = 0
    rows = first.shape[0]
    for start in range(0, rows, AHEAD):
        stop = min(start + AHEAD, rows)
        for i in range(start, stop):  # slots of a few hundred keys first, so that their memory is already being loaded
            groups[i] = np.int32(first_slot(hash_words(seed | ODD, first[i], second[i], third[i], ZERO, ZERO), mask))
            touched[0] |= table[groups[i]]  # stored, or the compiler would drop the read
        for i in range(start, stop):
            slot = np.uint64(groups[i])
            number = -1
            while table[slot] > 0:
                leader = leaders[np.int64(table[slot]) - 1]
                if first[leader] == first[i] and second[leader] == second[i] and third[leader] == third[i]:
                    number = np.int64(table[slot]) - 1
                    break
                slot = next_slot(slot, mask)
            if number < 0:
                number = count
                leaders[number] = i
                count += 1
                table[slot] = count
            groups[i] = number
    return count


@kernel
def keep_frequent(hashes: U64, chosen: U8, least: int, buckets: U8, part: int, parts: int) -> None:
    """Drop chosen flows whose initiator has fewer than ``least`` chosen flows; a few that share a bucket with others may stay.

    hashes: uint64[n], of the initiators. chosen: uint8[n], 1 or 0. buckets: uint8[power of two], all zero; they saturate at 255: a larger
    ``least`` keeps more than asked. Only the initiators of one part are processed; there are as many parts as threads.
    """
    mask, least = np.uint64(buckets.shape[0] - 1), min(least, 255)
    mine, many = np.uint64(part), np.uint64(parts)
    for i in range(chosen.shape[0]):
        if chosen[i] and (hashes[i] >> np.uint64(48)) * many >> np.uint64(16) == mine:
            bucket = hashes[i] >> np.uint64(8) & mask
            buckets[bucket] += np.uint8(buckets[bucket] < 255)
    for i in range(chosen.shape[0]):
        if chosen[i] and (hashes[i] >> np.uint64(48)) * many >> np.uint64(16) == mine:
            chosen[i] = buckets[hashes[i] >> np.uint64(8) & mask] >= least


@kernel
def count_groups(groups: I32, first: int, end: int, counts: I64) -> None:
    """Count the rows in [``first``, ``end``) by group. groups: int32[n], -1 for rows in no group. counts: int64[groups], zero."""
    for i in range(first, end):
        if groups[i] >= 0:
            counts[groups[i]] += 1


@kernel
def order_by_group(groups: I32, first: int, end: int, cursor: I64, order: U32) -> None:
    """Order the numbers of the rows in [``first``, ``end``) by group, stable within each group.

    cursor: int64[groups], next position of each group in ``order`` (counting sort).
    """
    for i in range(first, end):
        if groups[i] >= 0:
            order[cursor[groups[i]]] = i
            cursor[groups[i]] += 1
