"""Flows in, their senders counted and ranked: how many there are, and which of them sent most.

Senders are told apart by a 64-bit hash under a secret seed: among ten million of them two coincide once in some 400,000 runs.
The hashes are first dealt into parts that fit the cache, because a table of millions of entries costs a cache miss for each flow.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import I64, U8, U32, U64, Rows
from floodmark_core.hashing import hash_words

ZERO = np.uint64(0)
PART_BITS = 10
PARTS = 1 << PART_BITS


class Dealt(NamedTuple):
    """Flows dealt into parts by the hash of their sender."""

    hashes: U64  # [n] of each flow
    starts: I64  # [PARTS + 1]
    hash: U64  # [n] in order of parts
    flow: U32  # [n] place among the flows


class Ranked(NamedTuple):
    """The senders that sent most, most first; of equals the one whose first flow is earlier."""

    packets: I64  # [k]
    flows: I64  # [k]
    first: I64  # [k] place of the sender's first flow


@kernel
def deal_senders(seed: np.uint64, rows: Rows, index: I64, from_responder: U8, dealt: Dealt) -> None:
    """Hash the sender of each listed flow and deal the flows into parts. starts must be zero."""
    n = index.shape[0]
    shift = np.uint64(64 - PART_BITS)
    for i in range(n):
        row = rows[index[i]]
        hi, lo = (row.responder_hi, row.responder_lo) if from_responder[i] else (row.initiator_hi, row.initiator_lo)
        mixed = hash_words(seed | np.uint64(1), hi ^ np.uint64(row.ip_version), lo, ZERO, ZERO, ZERO)
        dealt.hashes[i] = mixed | np.uint64(1)  # never zero, which marks a free slot
        dealt.starts[np.int64(mixed >> shift) + 1] += 1
    for part in range(PARTS):
        dealt.starts[part + 1] += dealt.starts[part]
    for i in range(n):
        part = np.int64(dealt.hashes[i] >> shift)
        at = dealt.starts[part]
        dealt.starts[part] = at + 1
        dealt.hash[at] = dealt.hashes[i]
        dealt.flow[at] = i
    for part in range(PARTS, 0, -1):  # each start has moved to its part's end
        dealt.starts[part] = dealt.starts[part - 1]
    dealt.starts[0] = 0


@step
def enter(ranked: Ranked, packets: int, flows: int, first: int) -> None:
    """Enter a sender into the ranking if it belongs there."""
    last = ranked.packets.shape[0] - 1
    if last < 0 or packets < ranked.packets[last] or (packets == ranked.packets[last] and first > ranked.first[last]):
        return
    place = last
    while place > 0 and (packets > ranked.packets[place - 1] or (packets == ranked.packets[place - 1] and first < ranked.first[place - 1])):
        ranked.packets[place] = ranked.packets[place - 1]
        ranked.flows[place] = ranked.flows[place - 1]
        ranked.first[place] = ranked.first[place - 1]
        place -= 1
    ranked.packets[place], ranked.flows[place], ranked.first[place] = packets, flows, first


@kernel
def rank_senders(dealt: Dealt, packets: I64, keys: U64, counts: I64, ranked: Ranked) -> int:
    """Count the distinct senders and rank them. Returns how many there are.

    packets: int64[n] of each flow. keys: uint64[power of two, more than twice the largest part]. counts: int64[len(keys), 3].
    ranked: all -1.
    """
    senders = 0
    for part in range(PARTS):
        size = 1
        while size <= 2 * (dealt.starts[part + 1] - dealt.starts[part]):
            size *= 2
        if size == 1:
            continue
        mask = np.uint64(size - 1)
        keys[:size] = ZERO
        for at in range(dealt.starts[part], dealt.starts[part + 1]):
            mixed, flow = dealt.hash[at], np.int64(dealt.flow[at])
            slot = np.int64((mixed >> np.uint64(8)) & mask)
            while keys[slot] not in (ZERO, mixed):
                slot = np.int64(np.uint64(slot + 1) & mask)
            if keys[slot] == ZERO:
                keys[slot] = mixed
                counts[slot, 0], counts[slot, 1], counts[slot, 2] = 0, 0, flow
                senders += 1
            counts[slot, 0] += packets[flow]
            counts[slot, 1] += 1
        for slot in range(size):
            if keys[slot] != ZERO:
                enter(ranked, counts[slot, 0], counts[slot, 1], counts[slot, 2])
    return senders
