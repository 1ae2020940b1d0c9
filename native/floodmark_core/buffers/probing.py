"""Hash tables with open addressing and linear probing: the arithmetic of slots and of index entries.

A table has a power of two of slots and always a free one. A free slot is zero, and nothing is ever removed. Each table compares its
keys itself. An entry of an index is a hash's high half, its tag, and below it the number of a row + 1.
"""

from typing import Any

import numpy as np

from floodmark_core._jit import step
from floodmark_core.columns import U64

ONE, HALF, LOW_HALF = np.uint64(1), np.uint64(32), np.uint64(0xFFFFFFFF)


@step
def slot_mask(slots: int) -> np.uint64:
    """Return the mask that turns a number into a slot. slots: size of the table."""
    return np.uint64(slots - 1)


@step
def slot_shift(index: U64) -> np.uint64:
    """Return the right shift that turns a hash into its first slot, where that is the hash's highest bits and not its lowest."""
    shift, size = 64, index.shape[0]
    while size > 1:
        size >>= 1
        shift -= 1
    return np.uint64(shift)


@step
def first_slot(mixed: np.uint64, mask: np.uint64) -> np.uint64:
    """Return the slot at which the search for a hash begins: its lowest bits."""
    return mixed & mask


@step
def next_slot(slot: np.uint64, mask: np.uint64) -> np.uint64:
    """Return the slot to try next; the first follows the last."""
    return (slot + ONE) & mask


@step
def free_slot(table: Any, slot: np.uint64, mask: np.uint64) -> np.uint64:  # noqa: ANN401 - an array of any integers
    """Return the first free slot from ``slot`` on."""
    while table[slot] != 0:
        slot = next_slot(slot, mask)
    return slot


@step
def tag_of(mixed: np.uint64) -> np.uint64:
    """Return the tag of a hash or of an index entry: only rows whose entry has a key's tag can have the key."""
    return mixed >> HALF


@step
def entry_of(tag: np.uint64, row: int) -> np.uint64:
    """Return the index entry of a row."""
    return (tag << HALF) | np.uint64(row + 1)


@step
def row_of(entry: np.uint64) -> int:
    """Return the row of an index entry."""
    return np.int64(entry & LOW_HALF) - 1
