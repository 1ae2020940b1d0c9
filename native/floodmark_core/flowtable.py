"""Batch of decoded packets in, flows updated: bidirectional five-tuples with the life cycle of RFC 7011 flows.

A flow keeps its row from its first packet on: rows stand in order of first packets and are never moved, so the order of the answer
does not depend on when a flow ended. All timeouts are judged on the capture clock (timeline.py) at the next packet of the same
key; as that clock never steps back, it does not matter when anybody looks.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.columns import BATCH, I64, U8, U64, FlowTable, Headers, Records, Row
from floodmark_core.dialogue import (
    ACTIVE,
    ICMP,
    ICMPV6,
    SYN_REUSE,
    TCP,
    TCP_LINGER,
    UDP,
    begin,
    count_http,
    count_packet,
    idle_timeout,
    prefix_word,
)
from floodmark_core.hashing import hash_words
from floodmark_core.payload import HTTP, REPLY, REQUEST, tcp_code, udp_code
from floodmark_core.status import IN_FLOW, IN_FLOW_HEADER_CUT

FULLEST_EIGHTHS = 5  # of the index that may be taken: then 1.8 probes find a key that is there, 4 find that one is not
DYNAMIC_PORTS = 32_768  # Linux's ip_local_port_range begins here, IANA's dynamic range above it


class Matcher(NamedTuple):
    """Scratch columns of one batch and what looking flows up needs beside the table."""

    seed: U64  # [1]
    hashes: U64
    touched: U64  # [1]
    timeouts: I64
    service_ports: U8  # kinds.py PORT_ by port


@step
def key_hash(seed: np.uint64, a_hi: int, a_lo: int, b_hi: int, b_lo: int, a_port: int, b_port: int, rest: int) -> np.uint64:
    """Hash a flow key so that both directions give the same: the end with the smaller (address, port) goes first."""
    swap = a_hi > b_hi or (a_hi == b_hi and (a_lo > b_lo or (a_lo == b_lo and a_port > b_port)))
    ports = (np.uint64(b_port) << np.uint64(16)) | np.uint64(a_port) if swap else (np.uint64(a_port) << np.uint64(16)) | np.uint64(b_port)
    last = (np.uint64(rest) << np.uint64(32)) | ports
    if swap:
        return hash_words(seed, b_hi, b_lo, a_hi, a_lo, last)
    return hash_words(seed, a_hi, a_lo, b_hi, b_lo, last)


@step
def key_rest(protocol: int, version: int, is_fragment: int, vlan: int) -> int:
    """Pack what belongs to a key beside addresses and ports into 32 bits."""
    return (np.int64(protocol) | (np.int64(version) << 8) | (np.int64(is_fragment) << 12)) ^ (np.int64(vlan) << 8)


@step
def slot_shift(index: U64) -> np.uint64:
    """Return by how much a hash is shifted to give its slot: the slot is made of the highest bits."""
    shift, size = 64, index.shape[0]
    while size > 1:
        size >>= 1
        shift -= 1
    return np.uint64(shift)


@kernel
def hash_batch(headers: Headers, n: int, matcher: Matcher, index: U64) -> None:
    """Hash all keys of a batch and touch their index slots, so that the memory is on its way when the update needs it."""
    seed, hashes = matcher.seed[0], matcher.hashes
    shift = slot_shift(index)
    touched = np.uint64(0)
    for i in range(n):
        rest = key_rest(headers.protocol[i], headers.ip_version[i], headers.fragment[i] == 2, headers.vlan[i])
        hashes[i] = key_hash(
            seed, headers.src_hi[i], headers.src_lo[i], headers.dst_hi[i], headers.dst_lo[i], headers.src_port[i], headers.dst_port[i], rest
        )
    for i in range(n):
        touched |= index[hashes[i] >> shift]
    matcher.touched[0] = touched  # kept, or the compiler would drop the loop


@step
def row_matches(row: Row, headers: Headers, i: int) -> int:
    """Tell whether a row has packet ``i``'s key: 1 sent by the initiator, 2 by the responder, 0 another key."""
    if (
        row.protocol != headers.protocol[i]
        or row.ip_version != headers.ip_version[i]
        or row.vlan != headers.vlan[i]
        or row.is_fragment != (headers.fragment[i] == 2)
    ):
        return 0
    if (
        row.initiator_lo == headers.src_lo[i]
        and row.responder_lo == headers.dst_lo[i]
        and row.initiator_port == headers.src_port[i]
        and row.responder_port == headers.dst_port[i]
        and row.initiator_hi == headers.src_hi[i]
        and row.responder_hi == headers.dst_hi[i]
    ):
        return 1
    if (
        row.initiator_lo == headers.dst_lo[i]
        and row.responder_lo == headers.src_lo[i]
        and row.initiator_port == headers.dst_port[i]
        and row.responder_port == headers.src_port[i]
        and row.initiator_hi == headers.dst_hi[i]
        and row.responder_hi == headers.src_hi[i]
    ):
        return 2
    return 0


@step
def over_because(row: Row, more: Row, clock_ns: int, new_isn: bool, timeouts: I64) -> int:
    """Say why a flow cannot take this packet (kinds.py END_), or -1 where it can. new_isn: it is a SYN that is no retransmission."""
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
    """Settle who began a flow from its first packet. Returns (the sender did, kinds.py BASIS_)."""
    protocol = headers.protocol[i]
    if headers.fragment[i] == 2 or headers.outcome[i] != IN_FLOW:
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
def open_row(row: Row, block: U8, headers: Headers, records: Records, i: int, sender_began: bool, basis: int) -> None:
    """Begin a flow with packet ``i``, which is thereby counted. The row must be all zero."""
    if sender_began:
        row.initiator_hi, row.initiator_lo, row.initiator_port = headers.src_hi[i], headers.src_lo[i], headers.src_port[i]
        row.responder_hi, row.responder_lo, row.responder_port = headers.dst_hi[i], headers.dst_lo[i], headers.dst_port[i]
    else:
        row.initiator_hi, row.initiator_lo, row.initiator_port = headers.dst_hi[i], headers.dst_lo[i], headers.dst_port[i]
        row.responder_hi, row.responder_lo, row.responder_port = headers.src_hi[i], headers.src_lo[i], headers.src_port[i]
    row.vlan = headers.vlan[i]
    row.protocol = headers.protocol[i]
    row.ip_version = headers.ip_version[i]
    row.is_fragment = headers.fragment[i] == 2
    row.initiator_basis = basis
    row.from_responder = not sender_began
    row.first_seen_ns = records.time_ns[i]
    row.start_clock_ns = records.clock_ns[i]
    row.octets = headers.ip_octets[i]
    row.ttl = headers.ttl[i]
    row.flags = headers.tcp_flags[i]
    row.header_whole = headers.outcome[i] == IN_FLOW
    if headers.protocol[i] == TCP:
        row.tcp_seq = headers.tcp_seq[i]
        row.tcp_window = headers.tcp_window[i]
        row.window_shift = headers.window_shift[i]
        is_syn = headers.tcp_flags[i] & (kinds.SYN | kinds.ACK) == kinds.SYN
        row.tcp_options_or_ack = headers.tcp_options[i] if is_syn else headers.tcp_ack[i]
    if headers.payload_octets[i] > 0 and not row.is_fragment:
        row.payload_octets = headers.payload_octets[i]
        at = headers.payload_at[i]
        end = at + headers.payload_captured[i]
        row.prefix = prefix_word(block, at, end)
        if headers.protocol[i] == UDP:
            row.payload_kind = udp_code(
                block, at, end, headers.payload_octets[i], np.int64(headers.src_port[i]), np.int64(headers.dst_port[i])
            )
        elif headers.protocol[i] == TCP:
            row.payload_kind = tcp_code(block, at, end, 1 if sender_began else 0)


@step
def more_of(row: Row, flows: FlowTable) -> int:
    """Return the number of a flow's MORE row, which is begun where there is none."""
    if row.more_row == 0:
        number = flows.used[1]
        flows.used[1] = number + 1
        begin(row, flows.more[number])
        row.more_row = number + 1
    return np.int64(row.more_row) - 1


@kernel
def update_flows(block: U8, n: int, records: Records, headers: Headers, matcher: Matcher, flows: FlowTable) -> None:
    """Count the first ``n`` packets to their flows.

    The table must have room for ``n`` new flows, twice as many MORE rows (a packet that finds its flow over may need one for that and
    one for the flow it begins) and free slots in the index.
    """
    rows, index, hashes = flows.rows, flows.slots, matcher.hashes
    mask, shift = np.uint64(index.shape[0] - 1), slot_shift(index)
    hash_batch(headers, n, matcher, index)
    for i in range(n):
        if headers.outcome[i] > IN_FLOW_HEADER_CUT:
            continue
        tag = hashes[i] >> np.uint64(32)
        slot = hashes[i] >> shift
        direction = 0
        number = -1
        while index[slot] != 0:
            if index[slot] >> np.uint64(32) == tag:
                number = np.int64(index[slot] & np.uint64(0xFFFFFFFF)) - 1
                direction = row_matches(rows[number], headers, i)
                if direction:
                    break
            slot = (slot + np.uint64(1)) & mask
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
                continue
            more.end_reason = reason
            if reason in (kinds.END_IDLE, kinds.END_ACTIVE) and not pure_syn:
                parent = number
        if parent >= 0:
            sender_began, basis = from_initiator, kinds.BASIS_PARENT
        else:
            sender_began, basis = find_initiator(block, headers, i, matcher.service_ports)
        number = flows.used[0]
        flows.used[0] = number + 1
        index[slot] = (tag << np.uint64(32)) | np.uint64(number + 1)
        row = rows[number]
        open_row(row, block, headers, records, i, sender_began, basis)
        is_http = row.payload_kind in (2 * HTTP + REQUEST, 2 * HTTP + REPLY) and headers.protocol[i] == TCP
        if parent >= 0 or is_http:  # more to keep than the row of a one-packet flow holds
            more = flows.more[more_of(row, flows)]
            more.parent = parent
            if is_http and headers.outcome[i] == IN_FLOW:
                count_http(more, block, headers, i, sender_began)


@kernel
def move_index(old: U64, new: U64) -> None:
    """Move every entry into a larger index, which is all zero.

    The slot is made of the hash's highest bits, which the entry keeps as its tag, so both tables are walked in order and no row is read.
    """
    mask, shift = np.uint64(new.shape[0] - 1), slot_shift(new)
    for place in range(old.shape[0]):
        if old[place]:
            slot = old[place] >> shift
            while new[slot] != 0:
                slot = (slot + np.uint64(1)) & mask
            new[slot] = old[place]


def new_matcher(seed: int, timeouts: I64, service_ports: U8) -> Matcher:
    """Return the scratch space for one meter."""
    return Matcher(np.array([seed], np.uint64), np.zeros(BATCH, np.uint64), np.zeros(1, np.uint64), timeouts, service_ports)
