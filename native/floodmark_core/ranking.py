"""Flows in, their senders counted and ranked: how many there are, and which of them sent most.

Senders are told apart by a 64-bit hash under a secret seed: among ten million of them two coincide once in some 400,000 runs.
The hashes are first dealt into parts that fit the cache, because a table of millions of entries costs a cache miss for each flow.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.columns import I64, U8, U32, U64, Rows
from floodmark_core.endpoints import initiator_of, responder_of, version_of
from floodmark_core.hashing import hash_host

ZERO = np.uint64(0)
PART_BITS = 10
PARTS = 1 << PART_BITS
PART_SHIFT = np.uint64(64 - PART_BITS)


class Dealt(NamedTuple):
    """Flows dealt into parts by the hash of their sender."""

    hash: U64  # [n] in order of parts
    flow: U32  # [n] place among the flows


class Ranked(NamedTuple):
    """The senders that sent most, most first; of equals the one whose first flow is earlier."""

    packets: I64  # [k]
    flows: I64  # [k]
    first: I64  # [k] place of the sender's first flow


@kernel
def hash_initiators(seed: np.uint64, rows: Rows, addresses: Rows, place: U32, first: int, end: int, hashes: U64) -> None:
    """Hash the initiators of the flows from ``first`` to before ``end``; never zero, which marks a free slot elsewhere."""
    for i in range(first, end):
        row = rows[place[i]]
        hi, lo = initiator_of(row, addresses)
        hashes[i] = hash_host(seed, hi, lo, version_of(row)) | np.uint64(1)


@step
def sender_hash(seed: np.uint64, rows: Rows, addresses: Rows, place: U32, hashes: U64, flow: int, from_responder: int) -> np.uint64:
    """Return the hash of a flow's sender."""
    if not from_responder:
        return hashes[flow]
    row = rows[place[flow]]
    hi, lo = responder_of(row, addresses)
    return hash_host(seed, hi, lo, version_of(row)) | np.uint64(1)


@kernel
def count_parts(
    seed: np.uint64, rows: Rows, addresses: Rows, place: U32, hashes: U64, index: I64, from_responder: U8, first: int, end: int, counts: I64
) -> None:
    """Count how many of the listed flows from ``first`` to before ``end`` go to each part. counts: int64[PARTS], zero."""
    for i in range(first, end):
        counts[np.int64(sender_hash(seed, rows, addresses, place, hashes, index[i], from_responder[i]) >> PART_SHIFT)] += 1


@kernel
def deal_senders(
    seed: np.uint64,
    rows: Rows,
    addresses: Rows,
    place: U32,
    hashes: U64,
    index: I64,
    from_responder: U8,
    first: int,
    end: int,
    cursor: I64,
    dealt: Dealt,
) -> None:
    """Deal the listed flows from ``first`` to before ``end`` into parts. cursor: int64[PARTS], where each part goes on."""
    for i in range(first, end):
        mixed = sender_hash(seed, rows, addresses, place, hashes, index[i], from_responder[i])
        part = np.int64(mixed >> PART_SHIFT)
        at = cursor[part]
        cursor[part] = at + 1
        dealt.hash[at] = mixed
        dealt.flow[at] = i


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
def rank_senders(dealt: Dealt, starts: I64, packets: U32, first: int, end: int, keys: U64, counts: I64, ranked: Ranked) -> int:
    """Count the distinct senders of the parts from ``first`` to before ``end`` and rank them. Returns how many there are.

    starts: int64[PARTS + 1]. packets: uint32[n] of each flow. keys: uint64[power of two, more than twice the largest part].
    counts: int64[len(keys), 3]. ranked: all -1.
    """
    senders = 0
    for part in range(first, end):
        size = 1
        while size <= 2 * (starts[part + 1] - starts[part]):
            size *= 2
        if size == 1:
            continue
        mask = np.uint64(size - 1)
        keys[:size] = ZERO
        for at in range(starts[part], starts[part + 1]):
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


@kernel
def join_rankings(one: Ranked, other: Ranked) -> None:
    """Enter the senders of another ranking, which has none of this one's, into this one."""
    for place in range(other.packets.shape[0]):
        if other.first[place] >= 0:
            enter(one, other.packets[place], other.flows[place], other.first[place])
