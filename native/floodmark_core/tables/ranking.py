"""Count and rank the senders of flows: how many there are, and which of them sent most.

Senders are distinguished by a 64-bit hash under a secret seed: among ten million of them two collide once in about 400,000 runs.
The flows are first partitioned to fit the cache, because a table of millions of entries costs a cache miss per flow.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core._jit import kernel, step
from floodmark_core.buffers.hashing import hash_host
from floodmark_core.buffers.probing import first_slot, next_slot, slot_mask
from floodmark_core.columns import I64, U8, U32, U64, FlowRows
from floodmark_core.flows.endpoints import initiator_of, responder_of, version_of

ZERO = np.uint64(0)
PART = 1 << 11  # approximate flows per part: their senders' table fits the cache


class Listed(NamedTuple):
    """Some flows and their senders."""

    flows: FlowRows
    hashes: U64  # of every flow's initiator
    index: U32  # [n] the flows
    from_responder: U8  # [n] whether the responder sent
    packets: U32  # [n] sent by the sender


class Dealt(NamedTuple):
    """Flows by the hash of their sender."""

    hash: U64  # [n]
    flow: U32  # [n] index among the flows
    packets: U32  # [n] sent by the sender


class Ranked(NamedTuple):
    """The senders that sent most, in descending order; ties go to the one whose first flow is earlier."""

    packets: I64  # [k]
    flows: I64  # [k]
    first: I64  # [k] index of the sender's first flow


@kernel
def hash_initiators(seed: np.uint64, flows: FlowRows, first: int, end: int, hashes: U64) -> None:
    """Hash the initiators of the flows in [``first``, ``end``); never to zero, which marks a free slot elsewhere."""
    for i in range(first, end):
        row = flows.rows[flows.place[i]]
        hi, lo = initiator_of(row, flows.addresses)
        hashes[i] = hash_host(seed, hi, lo, version_of(row)) | np.uint64(1)


@step
def sender_hash(seed: np.uint64, listed: Listed, i: int) -> np.uint64:
    """Return the hash of a listed flow's sender."""
    flow = listed.index[i]
    if not listed.from_responder[i]:
        return listed.hashes[flow]
    row = listed.flows.rows[listed.flows.place[flow]]
    hi, lo = responder_of(row, listed.flows.addresses)
    return hash_host(seed, hi, lo, version_of(row)) | np.uint64(1)


@kernel
def count_senders(seed: np.uint64, listed: Listed, first: int, end: int, counts: I64) -> None:
    """Count the listed flows in [``first``, ``end``) by the range that their sender's hash falls into. counts: int64[shares]."""
    many = np.uint64(counts.shape[0])
    for i in range(first, end):
        counts[np.int64((sender_hash(seed, listed, i) >> np.uint64(32)) * many >> np.uint64(32))] += 1


@kernel
def hash_senders(seed: np.uint64, listed: Listed, share: int, shares: int, dealt: Dealt) -> None:
    """List the flows whose sender's hash falls into one of ``shares`` equal ranges; the list must have space for one more."""
    mine, many, count = np.uint64(share), np.uint64(shares), 0
    for i in range(listed.index.shape[0]):
        mixed = sender_hash(seed, listed, i)
        # Written whether it belongs here or not: a branch on it could not be predicted.
        dealt.hash[count], dealt.flow[count], dealt.packets[count] = mixed, i, listed.packets[i]
        count += np.int64((mixed >> np.uint64(32)) * many >> np.uint64(32) == mine)


@kernel
def deal_senders(one: Dealt, count: int, bits: int, starts: I64, cursor: I64, other: Dealt) -> None:
    """Order the first ``count`` flows of a list by part, using bits of the hash that its range does not determine.

    starts, cursor: int64[2^bits + 1], zero; on return the flows of part p are other[starts[p]:starts[p + 1]].
    """
    mask = np.uint64((1 << bits) - 1)
    for k in range(count):
        starts[np.int64(one.hash[k] >> np.uint64(8) & mask) + 1] += 1
    for part in range(1, starts.shape[0]):
        starts[part] += starts[part - 1]
        cursor[part] = starts[part]
    for k in range(count):
        part = np.int64(one.hash[k] >> np.uint64(8) & mask)
        at = cursor[part]
        cursor[part] = at + 1
        other.hash[at], other.flow[at], other.packets[at] = one.hash[k], one.flow[k], one.packets[k]


@step
def enter(ranked: Ranked, packets: int, flows: int, first: int) -> None:
    """Insert a sender into the ranking if it belongs there."""
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
def rank_senders(dealt: Dealt, starts: I64, table: U64, ranked: Ranked) -> int:
    """Count the distinct senders of all parts and rank them. Returns how many there are.

    starts: int64[parts + 1]. table: uint64[power of two, more than twice the largest part, 4]: hash, packets, flows, index of the first.
    ranked: all -1.
    """
    senders = 0
    for part in range(starts.shape[0] - 1):
        size = 1
        while size <= 2 * (starts[part + 1] - starts[part]):
            size *= 2
        if size == 1:
            continue
        mask = slot_mask(size)
        for slot in range(size):
            table[slot, 0] = ZERO
        for at in range(starts[part], starts[part + 1]):
            mixed = dealt.hash[at]
            slot = np.int64(first_slot(mixed >> np.uint64(24), mask))  # signed: with unsigned slots this takes 11 % longer
            while table[slot, 0] != ZERO and table[slot, 0] != mixed:
                slot = np.int64(next_slot(np.uint64(slot), mask))
            if table[slot, 0] == ZERO:
                table[slot, 0], table[slot, 1], table[slot, 2], table[slot, 3] = mixed, ZERO, ZERO, np.uint64(dealt.flow[at])
                senders += 1
            table[slot, 1] += np.uint64(dealt.packets[at])
            table[slot, 2] += np.uint64(1)
        for slot in range(size):
            if table[slot, 0] != ZERO:
                enter(ranked, np.int64(table[slot, 1]), np.int64(table[slot, 2]), np.int64(table[slot, 3]))
    return senders


@kernel
def join_rankings(one: Ranked, other: Ranked) -> None:
    """Merge another ranking, which has no sender in common with this one, into this one."""
    for place in range(other.packets.shape[0]):
        if other.first[place] >= 0:
            enter(one, other.packets[place], other.flows[place], other.first[place])
