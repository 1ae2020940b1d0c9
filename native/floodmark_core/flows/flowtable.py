"""Update flows from a batch of decoded packets: bidirectional five-tuples with the life cycle of RFC 7011 flows.

A flow keeps its row from its first packet on: rows are in order of first packets and are never moved, so the order of the results
does not depend on when a flow ended. All timeouts are evaluated on the capture clock (timeline.py) at the next packet of the same
key; as that clock never steps back, it does not matter when they are evaluated.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.buffers.hashing import hash_words
from floodmark_core.buffers.prefetch import prefetch
from floodmark_core.buffers.probing import entry_of, free_slot, next_slot, row_of, slot_mask, slot_shift, tag_of
from floodmark_core.columns import (
    BATCH,
    BATCHES_SEEN,
    I64,
    NEXT_ADDRESSES,
    NEXT_MORE,
    NEXT_ROW,
    TAKEN_SLOTS,
    U8,
    U32,
    U64,
    FlowTable,
    Headers,
    Records,
    Row,
)
from floodmark_core.flows.dialogue import (
    ACTIVE,
    MORE_WORDS,
    SYN_REUSE,
    TCP_LINGER,
    begin,
    count_http,
    count_http2,
    count_packet,
    first_word,
    idle_timeout,
)
from floodmark_core.flows.endpoints import network_of, sender_of_row
from floodmark_core.flows.payload import (
    HTTP,
    HTTP2,
    REPLY,
    REQUEST,
    tcp_code,
    udp_code,
)
from floodmark_core.packets.fragments import LATER, TIED
from floodmark_core.protocols import ICMP, ICMPV6, TCP, UDP
from floodmark_core.status import IN_FLOW, IN_FLOW_HEADER_CUT

FULLEST_EIGHTHS = 6  # maximum load of the index, in eighths: a hit then takes 2.5 probes, a miss 8.5, in adjacent slots
TOGETHER = 64  # packets whose flows are prefetched together: five cache lines each, and the L1 cache holds 700
SHARE_BITS, SHARE_SHIFT = np.uint64(0xFFFF), np.uint64(16)
DYNAMIC_PORTS = 32_768  # Linux's ip_local_port_range begins here, IANA's dynamic range above it


class Matcher(NamedTuple):
    """Scratch columns of one batch, and what flow lookup needs besides the table."""

    seed: U64  # [1]
    share: I64  # [number of the share whose flows are counted, number of shares]
    hashes: U64
    networks: U32
    mine: I64  # packets of the batch that belong to this share's flows
    slots: U64  # for each of them the index slot where its flow may be, or the free slot it would take
    rows: I64  # those flows' rows
    numbers: I64  # for each packet counted the row of its flow
    from_initiator: U8  # and whether the flow's initiator sent it
    timeouts: I64
    service_ports: U8  # kinds.py PORT_ by port


@step
def key_hash(seed: np.uint64, a_hi: int, a_lo: int, b_hi: int, b_lo: int, a_port: int, b_port: int, rest: np.uint64) -> np.uint64:
    """Hash a flow key so that both directions give the same value: the end with the smaller (address, port) goes first."""
    swap = (a_hi > b_hi) | ((a_hi == b_hi) & ((a_lo > b_lo) | ((a_lo == b_lo) & (a_port > b_port))))
    # Chosen by masks, not by branches: which end is smaller cannot be predicted, and every second guess would cost ten nanoseconds.
    mask = np.uint64(0) - np.uint64(swap)
    hi, lo, port = (a_hi ^ b_hi) & mask, (a_lo ^ b_lo) & mask, (np.uint64(a_port) ^ np.uint64(b_port)) & mask
    ports = ((np.uint64(a_port) ^ port) << np.uint64(16)) | (np.uint64(b_port) ^ port)
    return hash_words(seed, a_hi ^ hi, a_lo ^ lo, b_hi ^ hi, b_lo ^ lo, rest ^ ports)


@step
def choose_packets(headers: Headers, n: int, matcher: Matcher, index: U64) -> int:
    """Hash all keys of a batch, choose the packets of this share's flows, and prefetch their index slots.

    The share is taken from the hash's lowest bits, the slot from its highest. Returns how many were chosen.
    """
    seed, shift = matcher.seed[0], slot_shift(index)
    share, shares = np.uint64(matcher.share[0]), np.uint64(matcher.share[1])
    count = 0
    for i in range(n):
        network = network_of(headers, i)
        rest = (np.uint64(headers.protocol[i]) << np.uint64(56)) ^ (np.uint64(network) << np.uint64(32))
        mixed = key_hash(
            seed, headers.src_hi[i], headers.src_lo[i], headers.dst_hi[i], headers.dst_lo[i], headers.src_port[i], headers.dst_port[i], rest
        )
        if headers.outcome[i] <= IN_FLOW_HEADER_CUT and (mixed & SHARE_BITS) * shares >> SHARE_SHIFT == share:
            matcher.hashes[i], matcher.networks[i], matcher.mine[count] = mixed, network, i
            count += 1
            prefetch(index, np.int64(mixed >> shift))
    return count


@step
def bring_rows(first: int, end: int, matcher: Matcher, flows: FlowTable) -> None:
    """Prefetch the table rows of the chosen packets' flows: three waits for memory, but for all flows at once."""
    rows, index = flows.rows, flows.slots
    mask, shift = slot_mask(index.shape[0]), slot_shift(index)
    found = 0
    for k in range(first, end):
        mixed = matcher.hashes[matcher.mine[k]]
        slot = mixed >> shift
        while index[slot] != 0 and tag_of(index[slot]) != tag_of(mixed):
            slot = next_slot(slot, mask)
        matcher.slots[k] = slot
        if index[slot]:
            number = row_of(index[slot])
            prefetch(rows, number)
            matcher.rows[found] = number
            found += 1
    for k in range(found):
        number = np.int64(rows[matcher.rows[k]].more_row) - 1
        if number >= 0:
            words = flows.more_words
            prefetch(words, number * MORE_WORDS)
            prefetch(words, number * MORE_WORDS + 8)
            prefetch(words, number * MORE_WORDS + 16)


@step
def over_because(row: Row, more: Row, clock_ns: int, new_isn: bool, timeouts: I64) -> int:
    """Return why a flow cannot take this packet (kinds.py END_), or -1 if it can. new_isn: it is a SYN and not a retransmission."""
    silence = clock_ns - more.last_clock_ns
    stage = np.int64(more.stage)
    if stage & kinds.STAGE_CLOSED:  # its end is known: neither idle nor active timeout applies
        return np.int64(more.end_reason) if silence > timeouts[TCP_LINGER] or new_isn else -1
    if silence > idle_timeout(row, stage, timeouts):
        return kinds.END_IDLE
    if clock_ns - row.start_clock_ns > timeouts[ACTIVE]:
        return kinds.END_ACTIVE
    if new_isn and stage & kinds.STAGE_ESTABLISHED and silence > timeouts[SYN_REUSE]:
        return kinds.END_REUSE
    return -1


@step
def find_initiator(block: U8, headers: Headers, i: int, service_ports: U8) -> tuple[bool, int]:
    """Determine from its first packet who began a flow. Returns (whether the sender did, kinds.py BASIS_)."""
    protocol = headers.protocol[i]
    if headers.fragment[i] >= LATER or headers.outcome[i] != IN_FLOW:
        return True, kinds.BASIS_FIRST
    if protocol in (ICMP, ICMPV6):
        return (False, kinds.BASIS_PROTO) if headers.kind[i] == kinds.ICMP_ECHO_REPLY else (True, kinds.BASIS_FIRST)
    if protocol == TCP and headers.tcp_flags[i] & kinds.SYN:
        return (False, kinds.BASIS_SYNACK) if headers.tcp_flags[i] & kinds.ACK else (True, kinds.BASIS_SYN)
    if protocol not in (TCP, UDP):
        return True, kinds.BASIS_FIRST
    src_port, dst_port = headers.src_port[i], headers.dst_port[i]
    if protocol == UDP and 53 in (src_port, dst_port) and headers.payload_captured[i] >= 3:
        return not block[headers.payload_at[i] + 2] & 0x80, kinds.BASIS_PROTO  # QR bit, RFC 1035 section 4.1.1
    src_serves, dst_serves = service_ports[src_port] > 0, service_ports[dst_port] > 0
    if src_serves == dst_serves and protocol == TCP:
        src_serves, dst_serves = src_port < DYNAMIC_PORTS, dst_port < DYNAMIC_PORTS
    if src_serves == dst_serves:
        return True, kinds.BASIS_FIRST
    return bool(dst_serves), kinds.BASIS_PORT


@step
def put_pair(pair: Row, sender_began: bool, src_hi: int, src_lo: int, dst_hi: int, dst_lo: int) -> None:
    """Write a packet's two addresses into a row of ADDRESSES."""
    if sender_began:
        pair.initiator_hi, pair.initiator_lo, pair.responder_hi, pair.responder_lo = src_hi, src_lo, dst_hi, dst_lo
    else:
        pair.initiator_hi, pair.initiator_lo, pair.responder_hi, pair.responder_lo = dst_hi, dst_lo, src_hi, src_lo


@step
def open_row(
    row: Row, block: U8, headers: Headers, records: Records, i: int, network: np.uint32, sender_began: bool, basis: int, flows: FlowTable
) -> None:
    """Begin a flow with packet ``i``, which is thereby counted. The row must be all zero."""
    if network & np.uint32(kinds.NETWORK_WIDE):
        number = flows.used[NEXT_ADDRESSES]
        row.initiator = row.responder = number
        put_pair(flows.addresses[number], sender_began, headers.src_hi[i], headers.src_lo[i], headers.dst_hi[i], headers.dst_lo[i])
        if headers.tunnel[i]:
            number += 1
            put_pair(
                flows.addresses[number],
                sender_began,
                headers.outer_src_hi[i],
                headers.outer_src_lo[i],
                headers.outer_dst_hi[i],
                headers.outer_dst_lo[i],
            )
        flows.used[NEXT_ADDRESSES] = number + 1
    elif sender_began:
        row.initiator, row.responder = headers.src_lo[i], headers.dst_lo[i]
    else:
        row.initiator, row.responder = headers.dst_lo[i], headers.src_lo[i]
    if sender_began:
        row.initiator_port, row.responder_port = headers.src_port[i], headers.dst_port[i]
    else:
        row.initiator_port, row.responder_port = headers.dst_port[i], headers.src_port[i]
    row.network = network
    row.protocol = headers.protocol[i]
    whole = kinds.ORIGIN_HEADER_WHOLE if headers.outcome[i] == IN_FLOW and headers.fragment[i] != TIED else 0
    row.origin = basis | whole | (0 if sender_began else kinds.ORIGIN_FROM_RESPONDER)
    row.first_seen_ns = records.time_ns[i]
    row.start_clock_ns = records.clock_ns[i]
    row.octets = headers.ip_bytes[i]
    row.ttl = headers.ttl[i]
    row.flags = headers.tcp_flags[i]
    if headers.protocol[i] == TCP and headers.fragment[i] < LATER:
        row.tcp_seq = headers.tcp_seq[i]
        row.tcp_window = headers.tcp_window[i]
        row.window_shift = headers.window_shift[i]
        if headers.tcp_flags[i] & (kinds.SYN | kinds.ACK) == kinds.SYN:
            row.prefix = np.uint64(headers.tcp_options[i])
    if headers.payload_octets[i] > 0 and not network & np.uint32(kinds.NETWORK_FRAGMENT):
        row.payload_octets = headers.payload_octets[i]
        at = headers.payload_at[i]
        end = at + headers.payload_captured[i]
        code = 0
        if headers.fragment[i] == TIED:
            pass  # the middle of a payload does not identify its protocol
        elif headers.protocol[i] == UDP:
            code = udp_code(block, at, end, headers.payload_octets[i], np.int64(headers.src_port[i]), np.int64(headers.dst_port[i]))
        elif headers.protocol[i] == TCP:
            code = tcp_code(block, at, end, 1 if sender_began else 0)
        row.payload_kind = code
        row.prefix = first_word(block, at, end, code)


@step
def more_of(row: Row, flows: FlowTable) -> int:
    """Return the number of a flow's MORE row, which is begun if there is none."""
    if row.more_row == 0:
        number = flows.used[NEXT_MORE]
        flows.used[NEXT_MORE] = number + 1
        begin(row, flows.more[number])
        row.more_row = number + 1
    return np.int64(row.more_row) - 1


@step
def says_more(row: Row, headers: Headers, i: int) -> bool:
    """Return whether a flow's first packet has more to keep than a FLOW row can hold: HTTP, or a SYN with options and payload."""
    if row.protocol != TCP or row.payload_octets == 0:
        return False
    opens = headers.tcp_flags[i] & (kinds.SYN | kinds.ACK) == kinds.SYN
    return bool(opens or row.payload_kind in (2 * HTTP + REQUEST, 2 * HTTP + REPLY, 2 * HTTP2))


@step
def keep_more(row: Row, more: Row, block: U8, headers: Headers, i: int, sender_began: bool) -> None:
    """Keep the parts of a flow's first packet that only a MORE row can hold."""
    if headers.outcome[i] != IN_FLOW:
        return
    if more.stage & kinds.STAGE_SYN:
        more.tcp_options = headers.tcp_options[i]
    if row.payload_kind in (2 * HTTP + REQUEST, 2 * HTTP + REPLY):
        count_http(more, block, headers, i, sender_began)
    elif row.payload_kind == 2 * HTTP2:
        at = headers.payload_at[i]
        count_http2(more, block, at, at + headers.payload_captured[i], sender_began)


@kernel
def update_flows(block: U8, n: int, records: Records, headers: Headers, matcher: Matcher, flows: FlowTable) -> int:
    """Count those of the first ``n`` packets that belong to this share's flows. Returns how many, listed in ``matcher.mine``.

    The share must have space for ``n`` new flows, twice as many address pairs and MORE rows (a packet that finds its flow ended may need
    one for that and one for the flow it begins), and free slots in its index.
    """
    rows, index, hashes = flows.rows, flows.slots, matcher.hashes
    mask = slot_mask(index.shape[0])
    count, before = choose_packets(headers, n, matcher, index), flows.used[NEXT_ROW]
    for k in range(count):
        if k % TOGETHER == 0:
            bring_rows(k, min(k + TOGETHER, count), matcher, flows)
        i = matcher.mine[k]
        network = matcher.networks[i]
        tag = tag_of(hashes[i])
        slot = matcher.slots[k]  # the slots before it have other keys, and nothing is ever removed
        direction = 0
        number = -1
        while index[slot] != 0:
            if tag_of(index[slot]) == tag:
                number = row_of(index[slot])
                direction = sender_of_row(rows[number], network, headers, i, flows.addresses)
                if direction:
                    break
            slot = next_slot(slot, mask)
        parent = -1
        if direction:
            row = rows[number]
            more = flows.more[more_of(row, flows)]
            from_initiator = direction == 1
            pure_syn = headers.kind[i] == kinds.TCP_SYN and headers.protocol[i] == TCP and headers.outcome[i] == IN_FLOW
            repeated = from_initiator and more.stage & kinds.STAGE_SYN and headers.tcp_seq[i] == more.initiator_isn
            reason = over_because(row, more, records.clock_ns[i], pure_syn and not repeated, matcher.timeouts)
            if reason < 0:
                count_packet(row, more, block, headers, records, i, from_initiator)
                matcher.numbers[i], matcher.from_initiator[i] = number, from_initiator
                continue
            more.end_reason = reason
            if reason in (kinds.END_IDLE, kinds.END_ACTIVE) and not pure_syn:
                parent = number
        else:
            flows.used[TAKEN_SLOTS] += 1
        if parent >= 0:
            sender_began, basis = from_initiator, kinds.BASIS_PARENT
        else:
            sender_began, basis = find_initiator(block, headers, i, matcher.service_ports)
        number = flows.used[NEXT_ROW]
        flows.used[NEXT_ROW] = number + 1
        matcher.numbers[i], matcher.from_initiator[i] = number, sender_began
        index[slot] = entry_of(tag, number)
        row = rows[number]
        open_row(row, block, headers, records, i, network, sender_began, basis, flows)
        if flows.births.shape[0]:
            flows.births[number] = i
        if parent >= 0 or says_more(row, headers, i):
            more = flows.more[more_of(row, flows)]
            more.parent = parent
            keep_more(row, more, block, headers, i, sender_began)
    if n > 0 and flows.births.shape[0]:
        flows.opened[flows.used[BATCHES_SEEN]] = flows.used[NEXT_ROW] - before
        flows.used[BATCHES_SEEN] += 1
    return count


@kernel
def move_index(old: U64, new: U64) -> None:
    """Move every entry into a larger index, which is all zero.

    The slot is taken from the hash's highest bits, which the entry keeps as its tag, so both tables are walked in order and no row is read.
    """
    mask, shift = slot_mask(new.shape[0]), slot_shift(new)
    for place in range(old.shape[0]):
        if old[place]:
            new[free_slot(new, old[place] >> shift, mask)] = old[place]


def new_matcher(seed: int, timeouts: I64, service_ports: U8, share: int = 0, shares: int = 1) -> Matcher:
    """Return the scratch space for metering one share of the flows."""
    hashes, networks, slots = np.zeros(BATCH, np.uint64), np.zeros(BATCH, np.uint32), np.zeros(BATCH, np.uint64)
    mine, rows, numbers = (np.zeros(BATCH, np.int64) for _ in range(3))
    chosen = np.array([share, shares], np.int64)
    return Matcher(
        np.array([seed], np.uint64),
        chosen,
        hashes,
        networks,
        mine,
        slots,
        rows,
        numbers,
        np.zeros(BATCH, np.uint8),
        timeouts,
        service_ports,
    )
