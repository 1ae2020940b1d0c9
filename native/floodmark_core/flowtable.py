"""Batch of decoded packets in, flows updated: bidirectional five-tuples with the life cycle of RFC 7011 flows.

A flow keeps its row from its first packet on: rows stand in order of first packets and are never moved, so the order of the answer
does not depend on when a flow ended. All timeouts are judged on the capture clock (timeline.py) at the next packet of the same
key; as that clock never steps back, it does not matter when anybody looks.
"""

from typing import NamedTuple

import numpy as np

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.columns import BATCH, I64, U8, U64, FlowTable, Headers, Records, Rows
from floodmark_core.hashing import hash_words
from floodmark_core.payload import (
    head_ends,
    is_http_request,
    is_http_status,
    request_target,
    tcp_code,
    udp_code,
)
from floodmark_core.status import IN_FLOW, IN_FLOW_HEADER_CUT

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58

# Places in the timeouts array, all ns of capture clock.
TCP_ESTABLISHED, TCP_HALF_OPEN, TCP_LINGER, UDP_IDLE, DNS_IDLE, ICMP_IDLE, OTHER_IDLE, ACTIVE, SYN_REUSE = range(9)

COHERENCE_WINDOW = 1 << 20  # octets; a sequence number further away belongs to no window that hosts use
SMALL_PAYLOAD = 64  # octets
SMALL_WINDOW = 1024  # octets
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


@kernel
def hash_batch(headers: Headers, n: int, matcher: Matcher, index: U64) -> None:
    """Hash all keys of a batch and touch their index slots, so that the memory is on its way when the update needs it."""
    seed, hashes = matcher.seed[0], matcher.hashes
    mask = np.uint64(index.shape[0] - 1)
    touched = np.uint64(0)
    for i in range(n):
        rest = key_rest(headers.protocol[i], headers.ip_version[i], headers.fragment[i] == 2, headers.vlan[i])
        hashes[i] = key_hash(
            seed, headers.src_hi[i], headers.src_lo[i], headers.dst_hi[i], headers.dst_lo[i], headers.src_port[i], headers.dst_port[i], rest
        )
    for i in range(n):
        touched |= index[hashes[i] & mask]
    matcher.touched[0] = touched  # kept, or the compiler would drop the loop


@step
def row_matches(row: Rows, headers: Headers, i: int) -> int:
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
def idle_timeout(row: Rows, timeouts: I64) -> int:
    """Return the silence, in ns, after which this flow is over."""
    if row.is_fragment:
        return timeouts[OTHER_IDLE]
    if row.protocol == TCP:
        if row.stage & kinds.STAGE_CLOSED:
            return timeouts[TCP_LINGER]
        half_open = row.stage & (kinds.STAGE_SYN | kinds.STAGE_SYNACK) and not row.stage & kinds.STAGE_ESTABLISHED
        return timeouts[TCP_HALF_OPEN] if half_open else timeouts[TCP_ESTABLISHED]
    if row.protocol == UDP:
        return timeouts[DNS_IDLE] if row.initiator_port == 53 or row.responder_port == 53 else timeouts[UDP_IDLE]
    if row.protocol in (ICMP, ICMPV6):
        return timeouts[ICMP_IDLE]
    return timeouts[OTHER_IDLE]


@step
def over_because(row: Rows, clock_ns: int, pure_syn: bool, from_initiator: bool, seq: int, timeouts: I64) -> int:
    """Say why a flow cannot take this packet (kinds.py END_), or -1 where it can."""
    silence = clock_ns - row.last_clock_ns
    new_isn = pure_syn and (not from_initiator or not row.stage & kinds.STAGE_SYN or seq != row.initiator_isn)
    if row.stage & kinds.STAGE_CLOSED:
        return np.int64(row.end_reason) if silence > timeouts[TCP_LINGER] or new_isn else -1
    if silence > idle_timeout(row, timeouts):
        return kinds.END_IDLE
    if clock_ns - row.start_clock_ns > timeouts[ACTIVE]:
        return kinds.END_ACTIVE
    if new_isn and row.stage & kinds.STAGE_ESTABLISHED and silence > timeouts[SYN_REUSE]:
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
def open_row(row: Rows, headers: Headers, records: Records, i: int, sender_began: bool, basis: int, parent: int) -> None:
    """Begin a flow with packet ``i``; it is counted by the update that follows. The row must be all zero."""
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
    row.parent = parent
    row.first_seen_ns = records.time_ns[i]
    row.last_seen_ns = records.time_ns[i]
    row.start_clock_ns = records.clock_ns[i]
    row.last_clock_ns = records.clock_ns[i]
    row.ttl_min = headers.ttl[i]
    row.ttl_max = headers.ttl[i]
    if headers.protocol[i] in (ICMP, ICMPV6):
        row.first_icmp_type = headers.tcp_flags[i]
    elif headers.protocol[i] == TCP:
        row.first_flags = headers.tcp_flags[i]


@step
def prefix_word(block: U8, at: int, end: int) -> np.uint64:
    """Pack up to eight octets, big endian, padded with zeros."""
    word = np.uint64(0)
    for i in range(8):
        word = (word << np.uint64(8)) | (np.uint64(block[at + i]) if at + i < end else np.uint64(0))
    return word


@step
def count_payload(row: Rows, block: U8, headers: Headers, i: int, from_initiator: bool) -> None:
    """Count a packet's payload; keep and recognise the first of each direction."""
    at = headers.payload_at[i]
    end = at + headers.payload_captured[i]
    first = row.initiator_payload_packets == 0 if from_initiator else row.responder_payload_packets == 0
    code = 0
    if first and end > at:
        if headers.protocol[i] == UDP:
            code = udp_code(block, at, end, headers.payload_octets[i], headers.src_port[i], headers.dst_port[i])
        elif headers.protocol[i] == TCP:
            code = tcp_code(block, at, end, 1 if from_initiator else 0)
    if from_initiator:
        row.initiator_payload_packets += np.uint32(1)
        row.initiator_payload_octets += np.uint64(headers.payload_octets[i])
        if headers.payload_octets[i] <= SMALL_PAYLOAD:
            row.initiator_small_packets += np.uint32(1)
        if first:
            row.initiator_payload_kind = code
            row.initiator_prefix_hi, row.initiator_prefix_lo = prefix_word(block, at, end), prefix_word(block, at + 8, end)
    else:
        row.responder_payload_packets += np.uint32(1)
        row.responder_payload_octets += np.uint64(headers.payload_octets[i])
        if first:
            row.responder_payload_kind = code
            row.responder_prefix_hi, row.responder_prefix_lo = prefix_word(block, at, end), prefix_word(block, at + 8, end)


@step
def count_http(row: Rows, block: U8, headers: Headers, i: int, from_initiator: bool) -> None:
    """Follow HTTP/1 in the clear: request heads begun and ended, status lines and errors."""
    at = headers.payload_at[i]
    end = at + headers.payload_captured[i]
    if from_initiator:
        if is_http_request(block, at, end):
            if row.requests == 0:
                row.path_hash, row.query_hash = request_target(block, at, end)
            row.requests += np.uint32(1)
            row.stage |= np.uint16(kinds.STAGE_HEAD_OPEN)
        if row.stage & kinds.STAGE_HEAD_OPEN and head_ends(block, at, end):
            row.stage = (row.stage & ~np.uint16(kinds.STAGE_HEAD_OPEN)) | np.uint16(kinds.STAGE_HEAD_DONE)
    elif is_http_status(block, at, end):
        row.responses += np.uint32(1)
        if block[at + 9] in (52, 53):  # '4', '5'
            row.error_responses += np.uint32(1)


@step
def distance(a: int, b: int) -> int:
    """Return the signed distance from sequence number ``b`` to ``a`` (RFC 9293 section 3.4)."""
    return ((np.int64(a) - np.int64(b) + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@step
def follow_sequence(row: Rows, headers: Headers, i: int, from_initiator: bool) -> bool:
    """Advance a direction's sequence number. Returns whether this packet's own lies within reach of it."""
    flags = np.int64(headers.tcp_flags[i])
    seq = np.int64(headers.tcp_seq[i])
    after = (seq + headers.payload_octets[i] + (flags & kinds.SYN) // kinds.SYN + (flags & kinds.FIN)) & 0xFFFFFFFF
    known = np.uint16(kinds.STAGE_INITIATOR_SEQ if from_initiator else kinds.STAGE_RESPONDER_SEQ)
    first = not row.stage & known
    row.stage |= known
    expected = np.int64(row.initiator_next_seq if from_initiator else row.responder_next_seq)
    coherent = first or abs(distance(seq, expected)) <= COHERENCE_WINDOW
    if not coherent:
        row.incoherent_packets += np.uint32(1)
    if first or (distance(after, expected) > 0 if coherent else not flags & kinds.RST):
        if from_initiator:
            row.initiator_next_seq = after
        else:
            row.responder_next_seq = after
    return coherent


@step
def follow_handshake(row: Rows, headers: Headers, i: int, from_initiator: bool) -> None:
    """Note SYN, SYN-ACK and what completes them, with what the SYNs offer."""
    flags = np.int64(headers.tcp_flags[i])
    if flags & kinds.SYN:
        if flags & kinds.ACK:
            if not from_initiator:
                row.stage |= np.uint16(kinds.STAGE_SYNACK)
                row.window_shift_responder = headers.window_shift[i]
        elif from_initiator:
            if not row.stage & kinds.STAGE_SYN:
                row.initiator_isn = headers.tcp_seq[i]
                row.tcp_options = headers.tcp_options[i]
                row.window_shift_initiator = headers.window_shift[i]
            row.stage |= np.uint16(kinds.STAGE_SYN)
            row.syn_packets += np.uint32(1)
        else:
            row.syn_packets += np.uint32(1)
        return
    if flags & kinds.RST or not flags & kinds.ACK:
        return
    both = row.stage & kinds.STAGE_SYNACK and from_initiator
    client_side_only = row.stage & kinds.STAGE_SYN and from_initiator and row.responder_packets == 0
    server_side_only = row.stage & kinds.STAGE_SYNACK and not from_initiator and row.initiator_packets == 0
    if both or client_side_only or server_side_only:
        row.stage |= np.uint16(kinds.STAGE_ESTABLISHED)


@step
def follow_close(row: Rows, headers: Headers, i: int, from_initiator: bool, coherent: bool) -> None:
    """Close on FINs of both sides acknowledged, or on a RST whose sequence number is within reach."""
    flags = np.int64(headers.tcp_flags[i])
    if flags & kinds.RST:
        row.rst_packets += np.uint32(1)
        if coherent:
            row.stage |= np.uint16(kinds.STAGE_CLOSED)
            row.end_reason = kinds.END_RST
        return
    if flags & kinds.FIN:
        row.stage |= np.uint16(kinds.STAGE_FIN_INITIATOR if from_initiator else kinds.STAGE_FIN_RESPONDER)
    if flags & kinds.ACK:
        ack = np.int64(headers.tcp_ack[i])
        if from_initiator and row.stage & kinds.STAGE_FIN_RESPONDER and ack == np.int64(row.responder_next_seq):
            row.stage |= np.uint16(kinds.STAGE_FIN_RESPONDER_ACKED)
        if not from_initiator and row.stage & kinds.STAGE_FIN_INITIATOR and ack == np.int64(row.initiator_next_seq):
            row.stage |= np.uint16(kinds.STAGE_FIN_INITIATOR_ACKED)
    both = kinds.STAGE_FIN_INITIATOR_ACKED | kinds.STAGE_FIN_RESPONDER_ACKED
    if row.stage & both == both:
        row.stage |= np.uint16(kinds.STAGE_CLOSED)
        row.end_reason = kinds.END_FIN


@step
def count_window(row: Rows, headers: Headers, i: int) -> None:
    """Count packets in which the initiator, after it has asked, offers almost no room; needs the SYN's window scale."""
    flags = np.int64(headers.tcp_flags[i])
    if not row.stage & kinds.STAGE_SYN or row.initiator_payload_packets == 0 or flags & (kinds.SYN | kinds.RST | kinds.FIN):
        return
    scaled = row.window_shift_initiator > 0 and (row.window_shift_responder > 0 or not row.stage & kinds.STAGE_SYNACK)
    shift = np.int64(row.window_shift_initiator) - 1 if scaled else 0
    if np.int64(headers.tcp_window[i]) << shift <= SMALL_WINDOW:
        row.small_window_packets += np.uint32(1)


@step
def count_tcp(row: Rows, headers: Headers, i: int, from_initiator: bool) -> None:
    """Update what only TCP has; the packet itself is not yet counted in the row."""
    if row.stage & kinds.STAGE_CLOSED:
        row.post_close_packets += np.uint32(1)
    first = not row.stage & (kinds.STAGE_INITIATOR_SEQ if from_initiator else kinds.STAGE_RESPONDER_SEQ)
    coherent = follow_sequence(row, headers, i, from_initiator)
    if from_initiator:
        if first:
            row.initiator_window = headers.tcp_window[i]
        if headers.tcp_flags[i] & kinds.ACK and not headers.tcp_flags[i] & (kinds.SYN | kinds.RST):
            if not row.stage & kinds.STAGE_INITIATOR_ACKS:
                row.initiator_first_ack = headers.tcp_ack[i]
                row.stage |= np.uint16(kinds.STAGE_INITIATOR_ACKS)
            row.initiator_last_ack = headers.tcp_ack[i]
        count_window(row, headers, i)
        row.tcp_flags_initiator |= headers.tcp_flags[i]
    else:
        if first:
            row.responder_window = headers.tcp_window[i]
        row.tcp_flags_responder |= headers.tcp_flags[i]
    follow_handshake(row, headers, i, from_initiator)
    if not row.stage & kinds.STAGE_CLOSED:
        follow_close(row, headers, i, from_initiator, coherent)


@step
def count_packet(row: Rows, block: U8, headers: Headers, records: Records, i: int, from_initiator: bool) -> None:
    """Add packet ``i`` to its flow."""
    if headers.protocol[i] == TCP and headers.outcome[i] == IN_FLOW and not row.is_fragment:
        count_tcp(row, headers, i, from_initiator)
        if headers.payload_captured[i] > 0:
            count_http(row, block, headers, i, from_initiator)
    if headers.payload_octets[i] > 0 and not row.is_fragment:
        count_payload(row, block, headers, i, from_initiator)
    if from_initiator:
        row.initiator_packets += np.uint64(1)
        row.initiator_octets += np.uint64(headers.ip_octets[i])
    else:
        row.responder_packets += np.uint64(1)
        row.responder_octets += np.uint64(headers.ip_octets[i])
    row.first_seen_ns = min(row.first_seen_ns, records.time_ns[i])
    row.last_seen_ns = max(row.last_seen_ns, records.time_ns[i])
    row.max_gap_ns = max(row.max_gap_ns, records.clock_ns[i] - row.last_clock_ns)
    row.last_clock_ns = records.clock_ns[i]
    row.ttl_min = min(row.ttl_min, headers.ttl[i])
    row.ttl_max = max(row.ttl_max, headers.ttl[i])


@kernel
def update_flows(block: U8, n: int, records: Records, headers: Headers, matcher: Matcher, flows: FlowTable) -> None:
    """Count the first ``n`` packets to their flows. The table must have room for ``n`` new rows and an index at most half full."""
    rows, index, hashes = flows.rows, flows.index, matcher.hashes
    mask = np.uint64(index.shape[0] - 1)
    hash_batch(headers, n, matcher, index)
    for i in range(n):
        if headers.outcome[i] > IN_FLOW_HEADER_CUT:
            continue
        tag = hashes[i] >> np.uint64(32)
        slot = hashes[i] & mask
        direction = 0
        number = -1
        while index[slot] != 0:
            if index[slot] >> np.uint64(32) == tag:
                number = np.int64(index[slot] & np.uint64(0xFFFFFFFF)) - 1
                direction = row_matches(rows[number], headers, i)
                if direction:
                    break
            slot = (slot + np.uint64(1)) & mask
        from_initiator = direction == 1
        parent = -1
        if direction:
            pure_syn = headers.kind[i] == kinds.TCP_SYN and headers.protocol[i] == TCP
            reason = over_because(
                rows[number], records.clock_ns[i], pure_syn, from_initiator, np.int64(headers.tcp_seq[i]), matcher.timeouts
            )
            if reason >= 0:
                rows[number].end_reason = reason
                direction = 0
                if reason in (kinds.END_IDLE, kinds.END_ACTIVE) and not pure_syn:
                    parent = number
        if not direction:
            if parent >= 0:
                sender_began, basis = from_initiator, kinds.BASIS_PARENT
            else:
                sender_began, basis = find_initiator(block, headers, i, matcher.service_ports)
            number = flows.used[0]
            flows.used[0] = number + 1
            open_row(rows[number], headers, records, i, sender_began, basis, parent)
            index[slot] = (tag << np.uint64(32)) | np.uint64(number + 1)
            from_initiator = sender_began
        count_packet(rows[number], block, headers, records, i, from_initiator)


@kernel
def rebuild_index(rows: Rows, used: int, seed: np.uint64, index: U64) -> None:
    """Enter every key's latest row into an empty index."""
    mask = np.uint64(index.shape[0] - 1)
    for number in range(used - 1, -1, -1):
        row = rows[number]
        rest = key_rest(row.protocol, row.ip_version, row.is_fragment, row.vlan)
        mixed = key_hash(seed, row.initiator_hi, row.initiator_lo, row.responder_hi, row.responder_lo, row.initiator_port, row.responder_port, rest)
        tag = mixed >> np.uint64(32)
        slot = mixed & mask
        taken = False
        while index[slot] != 0 and not taken:
            if index[slot] >> np.uint64(32) == tag:
                taken = same_key(rows[np.int64(index[slot] & np.uint64(0xFFFFFFFF)) - 1], row)
            if not taken:
                slot = (slot + np.uint64(1)) & mask
        if not taken:
            index[slot] = (tag << np.uint64(32)) | np.uint64(number + 1)


@step
def same_key(a: Rows, b: Rows) -> bool:
    """Tell whether two rows have the same key, in either direction."""
    if a.protocol != b.protocol or a.ip_version != b.ip_version or a.vlan != b.vlan or a.is_fragment != b.is_fragment:
        return False
    straight = (
        a.initiator_hi == b.initiator_hi
        and a.initiator_lo == b.initiator_lo
        and a.responder_hi == b.responder_hi
        and a.responder_lo == b.responder_lo
        and a.initiator_port == b.initiator_port
        and a.responder_port == b.responder_port
    )
    crossed = (
        a.initiator_hi == b.responder_hi
        and a.initiator_lo == b.responder_lo
        and a.responder_hi == b.initiator_hi
        and a.responder_lo == b.initiator_lo
        and a.initiator_port == b.responder_port
        and a.responder_port == b.initiator_port
    )
    return bool(straight or crossed)


@kernel
def finish_flows(rows: Rows, used: int, clock_ns: int, timeouts: I64) -> None:
    """Say of each flow not yet ended whether it was over when the last packet was seen."""
    for number in range(used):
        row = rows[number]
        if row.end_reason == kinds.END_CAPTURE and clock_ns - row.last_clock_ns > idle_timeout(row, timeouts):
            row.end_reason = kinds.END_IDLE


def new_matcher(seed: int, timeouts: I64, service_ports: U8) -> Matcher:
    """Return the scratch space for one meter."""
    return Matcher(np.array([seed], np.uint64), np.zeros(BATCH, np.uint64), np.zeros(1, np.uint64), timeouts, service_ports)
