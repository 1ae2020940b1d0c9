"""Update the MORE row of a flow from its packets: its payload and the state of its TCP dialogue.

A flow has its FLOW row from its first packet on and a MORE row from its second; :func:`begin` writes what the first packet alone would
have counted, so that both ways to a MORE row give the same result.
"""

from typing import Any

import numpy as np

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.columns import I64, MORE, U8, U32, U64, Headers, MoreRows, Records, Row, Rows
from floodmark_core.flows.endpoints import field_of, is_fragment, is_from_responder, is_header_whole
from floodmark_core.flows.payload import (
    DNS,
    HTTP2,
    REPLY,
    SIP,
    count_frames,
    dns_name_word,
    head_ends,
    is_http_request,
    is_http_status,
    request_target,
    tcp_code,
    text_at,
    udp_code,
)
from floodmark_core.packets.fragments import LATER
from floodmark_core.protocols import ICMP, ICMPV6, TCP, UDP
from floodmark_core.status import IN_FLOW

# Indices into the timeouts array, all in ns of capture clock.
TCP_ESTABLISHED, TCP_HALF_OPEN, TCP_LINGER, UDP_IDLE, DNS_IDLE, ICMP_IDLE, OTHER_IDLE, ACTIVE, SYN_REUSE = range(9)

# Offsets of fields in a MORE row, in bytes.
MORE_WORDS = MORE.itemsize // 8
_OFFSETS: Any = MORE.fields
END_REASON_AT, STAGE_AT, LAST_CLOCK_AT = _OFFSETS["end_reason"][1], _OFFSETS["stage"][1], _OFFSETS["last_clock_ns"][1]

COHERENCE_WINDOW = 1 << 20  # bytes; a sequence number further away is outside any window that hosts use
SMALL_PAYLOAD = 64  # bytes
SMALL_WINDOW = 1024  # bytes


@step
def idle_timeout(row: Row, stage: int, timeouts: I64) -> int:
    """Return the idle timeout, in ns, of a flow in this stage."""
    if is_fragment(row):
        return timeouts[OTHER_IDLE]
    if row.protocol == TCP:
        if stage & kinds.STAGE_CLOSED:
            return timeouts[TCP_LINGER]
        half_open = stage & (kinds.STAGE_SYN | kinds.STAGE_SYNACK) and not stage & kinds.STAGE_ESTABLISHED
        return timeouts[TCP_HALF_OPEN] if half_open else timeouts[TCP_ESTABLISHED]
    if row.protocol == UDP:
        return timeouts[DNS_IDLE] if row.initiator_port == 53 or row.responder_port == 53 else timeouts[UDP_IDLE]
    if row.protocol in (ICMP, ICMPV6):
        return timeouts[ICMP_IDLE]
    return timeouts[OTHER_IDLE]


@step
def prefix_word(block: U8, at: int, end: int) -> np.uint64:
    """Pack up to eight bytes, big endian, padded with zeros."""
    word = np.uint64(0)
    for i in range(8):
        word = (word << np.uint64(8)) | (np.uint64(block[at + i]) if at + i < end else np.uint64(0))
    return word


@kernel
def first_word(block: U8, at: int, end: int, code: int) -> np.uint64:
    """Return the part of a direction's first payload that is kept, beginning with what differs least between similar messages.

    The first eight bytes, big endian, padded with zeros; for a DNS query, whose first bytes are an id, hashes of the queried name
    (`payload.dns_name_word`); for a DNS response its flags, its number of records, and the hash of the whole name; for a SIP response
    what follows the version: the status.
    """
    if code == 2 * DNS:
        return dns_name_word(block, at, end)
    if code == 2 * DNS + REPLY:
        return (
            (prefix_word(block, at + 2, end) >> np.uint64(48) << np.uint64(48))
            | ((prefix_word(block, at + 6, end) >> np.uint64(48)) << np.uint64(32))
            | (dns_name_word(block, at, end) & np.uint64(0xFFFFFFFF))
        )
    return prefix_word(block, at + 8 if code == 2 * SIP + REPLY else at, end)


@step
def is_denial(block: U8, at: int) -> bool:
    """Return whether a three-digit status denies access: 401, 403, 407, 429."""
    hundreds, tens, ones = block[at], block[at + 1], block[at + 2]
    return bool(hundreds == 52 and ((tens == 48 and ones in (49, 51, 55)) or (tens == 50 and ones == 57)))


@step
def count_status(more: Row, block: U8, at: int) -> None:
    """Count a response by its three-digit status."""
    more.responses += np.uint32(1)
    more.error_responses += np.uint32(1) if 52 <= block[at] <= 54 else np.uint32(0)
    if is_denial(block, at) and more.denied_responses < 0xFFFF:
        more.denied_responses += np.uint16(1)


@step
def count_sip(more: Row, block: U8, at: int, end: int, from_initiator: bool) -> None:
    """Count a message of a SIP dialogue over UDP; ACKs expect no response (RFC 3261 section 17)."""
    if text_at(block, at, end, b"SIP/2.0 "):
        if not from_initiator and end - at >= 11 and block[at + 8] and block[at + 10]:
            count_status(more, block, at + 8)
    elif from_initiator and end - at >= 7 and 65 <= block[at] <= 90 and not text_at(block, at, end, b"ACK "):
        more.requests += np.uint32(1)


@step
def count_http2(more: Row, block: U8, at: int, end: int, from_initiator: bool) -> None:
    """Track cleartext HTTP/2 by the frames that begin in a segment."""
    headers, resets, continuations = count_frames(block, at, end)
    if from_initiator:
        more.requests += np.uint32(headers)
        more.resets += np.uint32(resets)
        more.continuations += np.uint32(continuations)
    else:
        more.responses += np.uint32(headers)


@step
def count_payload(more: Row, block: U8, headers: Headers, i: int, from_initiator: bool) -> None:
    """Count a packet's payload; keep and recognise the first of each direction."""
    at = headers.payload_at[i]
    end = at + headers.payload_captured[i]
    first = more.initiator_payload_packets == 0 if from_initiator else more.responder_payload_packets == 0
    code = 0
    if first and end > at and headers.fragment[i] < LATER:
        if headers.protocol[i] == UDP:
            code = udp_code(block, at, end, headers.payload_octets[i], np.int64(headers.src_port[i]), np.int64(headers.dst_port[i]))
        elif headers.protocol[i] == TCP:
            code = tcp_code(block, at, end, 1 if from_initiator else 0)
    if from_initiator:
        more.initiator_payload_packets += np.uint32(1)
        more.initiator_payload_octets += np.uint64(headers.payload_octets[i])
        if headers.payload_octets[i] <= SMALL_PAYLOAD:
            more.initiator_small_packets += np.uint32(1)
        if first:
            more.initiator_payload_kind = code
            more.initiator_prefix = first_word(block, at, end, code)
    else:
        more.responder_payload_packets += np.uint32(1)
        more.responder_payload_octets += np.uint64(headers.payload_octets[i])
        if first:
            more.responder_payload_kind = code
            more.responder_prefix = first_word(block, at, end, code)
    if headers.fragment[i] >= LATER:
        return
    if headers.protocol[i] == UDP:
        if more.initiator_payload_kind >> 1 == SIP or more.responder_payload_kind >> 1 == SIP:
            count_sip(more, block, at, end, from_initiator)
    elif more.initiator_payload_kind == 2 * HTTP2:
        count_http2(more, block, at, end, from_initiator)


@step
def count_http(more: Row, block: U8, headers: Headers, i: int, from_initiator: bool) -> None:
    """Track cleartext HTTP/1: request heads begun and ended, status lines and errors."""
    at = headers.payload_at[i]
    end = at + headers.payload_captured[i]
    if from_initiator:
        if is_http_request(block, at, end):
            path, target = request_target(block, at, end)
            if more.requests == 0:
                more.path_hash, more.query_hash = path, target
            more.requests += np.uint32(1)
            more.same_path_requests += np.uint32(more.path_hash == path)
            if more.path_hash == path and more.query_hash != target and more.varied_requests < 0xFFFF:
                more.varied_requests += np.uint16(1)
            more.stage |= np.uint16(kinds.STAGE_HEAD_OPEN)
        if more.stage & kinds.STAGE_HEAD_OPEN and head_ends(block, at, end):
            more.stage = (more.stage & ~np.uint16(kinds.STAGE_HEAD_OPEN)) | np.uint16(kinds.STAGE_HEAD_DONE)
    elif is_http_status(block, at, end):
        count_status(more, block, at + 9)


@step
def distance(a: int, b: int) -> int:
    """Return the signed distance from sequence number ``b`` to ``a`` (RFC 9293 section 3.4)."""
    return ((np.int64(a) - np.int64(b) + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@step
def follow_sequence(more: Row, headers: Headers, i: int, from_initiator: bool) -> bool:
    """Advance a direction's sequence number. Returns whether this packet's own is within :data:`COHERENCE_WINDOW` of it."""
    flags = np.int64(headers.tcp_flags[i])
    seq = np.int64(headers.tcp_seq[i])
    after = (seq + headers.payload_octets[i] + (flags & kinds.SYN) // kinds.SYN + (flags & kinds.FIN)) & 0xFFFFFFFF
    known = np.uint16(kinds.STAGE_INITIATOR_SEQ if from_initiator else kinds.STAGE_RESPONDER_SEQ)
    first = not more.stage & known
    more.stage |= known
    expected = np.int64(more.initiator_next_seq if from_initiator else more.responder_next_seq)
    coherent = first or abs(distance(seq, expected)) <= COHERENCE_WINDOW
    if not coherent:
        more.incoherent_packets += np.uint32(1)
    if first or (distance(after, expected) > 0 if coherent else not flags & kinds.RST):
        if from_initiator:
            more.initiator_next_seq = after
        else:
            more.responder_next_seq = after
    return coherent


@step
def follow_handshake(more: Row, headers: Headers, i: int, from_initiator: bool) -> None:
    """Record SYN, SYN-ACK and the packet that completes the handshake, with the options of the SYNs."""
    flags = np.int64(headers.tcp_flags[i])
    if flags & kinds.SYN:
        if flags & kinds.ACK:
            if not from_initiator:
                more.stage |= np.uint16(kinds.STAGE_SYNACK)
                more.window_shift_responder = headers.window_shift[i]
        elif from_initiator:
            if not more.stage & kinds.STAGE_SYN:
                more.initiator_isn = headers.tcp_seq[i]
                more.tcp_options = headers.tcp_options[i]
                more.window_shift_initiator = headers.window_shift[i]
            more.stage |= np.uint16(kinds.STAGE_SYN)
            more.syn_packets += np.uint32(1)
        else:
            more.syn_packets += np.uint32(1)
        return
    if flags & kinds.RST or not flags & kinds.ACK:
        return
    both = more.stage & kinds.STAGE_SYNACK and from_initiator
    client_side_only = more.stage & kinds.STAGE_SYN and from_initiator and more.responder_packets == 0
    server_side_only = more.stage & kinds.STAGE_SYNACK and not from_initiator and more.initiator_packets == 0
    if both or client_side_only or server_side_only:
        more.stage |= np.uint16(kinds.STAGE_ESTABLISHED)


@step
def follow_close(more: Row, headers: Headers, i: int, from_initiator: bool, coherent: bool) -> None:
    """Close the dialogue once the FINs of both sides are acknowledged, or on a RST whose sequence number is coherent."""
    flags = np.int64(headers.tcp_flags[i])
    if flags & kinds.RST:
        more.rst_packets += np.uint32(1)
        if coherent:
            more.stage |= np.uint16(kinds.STAGE_CLOSED)
            more.end_reason = kinds.END_RST
        return
    if flags & kinds.FIN:
        more.stage |= np.uint16(kinds.STAGE_FIN_INITIATOR if from_initiator else kinds.STAGE_FIN_RESPONDER)
    if flags & kinds.ACK:
        ack = np.int64(headers.tcp_ack[i])
        if from_initiator and more.stage & kinds.STAGE_FIN_RESPONDER and ack == np.int64(more.responder_next_seq):
            more.stage |= np.uint16(kinds.STAGE_FIN_RESPONDER_ACKED)
        if not from_initiator and more.stage & kinds.STAGE_FIN_INITIATOR and ack == np.int64(more.initiator_next_seq):
            more.stage |= np.uint16(kinds.STAGE_FIN_INITIATOR_ACKED)
    both = kinds.STAGE_FIN_INITIATOR_ACKED | kinds.STAGE_FIN_RESPONDER_ACKED
    if more.stage & both == both:
        more.stage |= np.uint16(kinds.STAGE_CLOSED)
        more.end_reason = kinds.END_FIN


@step
def count_window(more: Row, headers: Headers, i: int) -> None:
    """Count packets in which the initiator, after its first payload, offers almost no window; needs the SYN's window scale."""
    flags = np.int64(headers.tcp_flags[i])
    if not more.stage & kinds.STAGE_SYN or more.initiator_payload_packets == 0 or flags & (kinds.SYN | kinds.RST | kinds.FIN):
        return
    scaled = more.window_shift_initiator > 0 and (more.window_shift_responder > 0 or not more.stage & kinds.STAGE_SYNACK)
    shift = np.int64(more.window_shift_initiator) - 1 if scaled else 0
    if np.int64(headers.tcp_window[i]) << shift <= SMALL_WINDOW:
        more.small_window_packets += np.uint32(1)


@step
def count_tcp(more: Row, headers: Headers, i: int, from_initiator: bool) -> None:
    """Update the TCP fields; the packet itself is not yet counted in the row."""
    if more.stage & kinds.STAGE_CLOSED:
        more.post_close_packets += np.uint32(1)
    coherent = follow_sequence(more, headers, i, from_initiator)
    if from_initiator:
        if headers.tcp_flags[i] & kinds.ACK and not headers.tcp_flags[i] & (kinds.SYN | kinds.RST):
            more.stage |= np.uint16(kinds.STAGE_INITIATOR_ACKS)
        count_window(more, headers, i)
        more.tcp_flags_initiator |= headers.tcp_flags[i]
    else:
        more.tcp_flags_responder |= headers.tcp_flags[i]
    follow_handshake(more, headers, i, from_initiator)
    if not more.stage & kinds.STAGE_CLOSED:
        follow_close(more, headers, i, from_initiator, coherent)


@step
def count_packet(row: Row, more: Row, block: U8, headers: Headers, records: Records, i: int, from_initiator: bool) -> None:
    """Add packet ``i`` to its flow."""
    if headers.protocol[i] == TCP and headers.outcome[i] == IN_FLOW and headers.fragment[i] < LATER:
        count_tcp(more, headers, i, from_initiator)
        if headers.payload_captured[i] > 0:
            count_http(more, block, headers, i, from_initiator)
    if headers.payload_octets[i] > 0 and not is_fragment(row):
        count_payload(more, block, headers, i, from_initiator)
    if from_initiator:
        more.initiator_packets += np.uint64(1)
        more.initiator_octets += np.uint64(headers.ip_bytes[i])
    else:
        more.responder_packets += np.uint64(1)
        more.responder_octets += np.uint64(headers.ip_bytes[i])
    row.first_seen_ns = min(row.first_seen_ns, records.time_ns[i])
    more.last_seen_ns = max(more.last_seen_ns, records.time_ns[i])
    more.max_gap_ns = max(more.max_gap_ns, records.clock_ns[i] - more.last_clock_ns)
    more.last_clock_ns = records.clock_ns[i]
    more.ttl_min = min(more.ttl_min, headers.ttl[i])
    more.ttl_max = max(more.ttl_max, headers.ttl[i])


@step
def begin(row: Row, more: Row) -> None:
    """Count a flow's first packet, as its FLOW row keeps it, in a MORE row that is all zero."""
    from_initiator = not is_from_responder(row)
    more.parent = -1
    more.last_seen_ns = row.first_seen_ns
    more.last_clock_ns = row.start_clock_ns
    more.ttl_min = row.ttl
    more.ttl_max = row.ttl
    if row.protocol == TCP and is_header_whole(row) and not is_fragment(row):
        begin_tcp(row, more, from_initiator)
    said = row.payload_octets > 0
    if from_initiator:
        more.initiator_packets = np.uint64(1)
        more.initiator_octets = np.uint64(row.octets)
        if said:
            more.initiator_payload_octets = np.uint64(row.payload_octets)
            more.initiator_payload_packets = np.uint32(1)
            more.initiator_small_packets = np.uint32(row.payload_octets <= SMALL_PAYLOAD)
            more.initiator_payload_kind = row.payload_kind
            more.initiator_prefix = row.prefix
            if row.payload_kind == 2 * SIP and row.protocol == UDP:
                more.requests = np.uint32(1)
    else:
        more.responder_packets = np.uint64(1)
        more.responder_octets = np.uint64(row.octets)
        if said:
            more.responder_payload_octets = np.uint64(row.payload_octets)
            more.responder_payload_packets = np.uint32(1)
            more.responder_payload_kind = row.payload_kind
            more.responder_prefix = row.prefix
            if row.payload_kind == 2 * SIP + REPLY and row.protocol == UDP:
                begin_sip_answer(more, row.prefix)


@step
def begin_sip_answer(more: Row, prefix: np.uint64) -> None:
    """Count a first packet that is a SIP response, by the status that was kept of it."""
    hundreds, status = prefix >> np.uint64(56), prefix >> np.uint64(40)
    if hundreds == 0 or status & np.uint64(0xFF) == 0:
        return
    more.responses = np.uint32(1)
    more.error_responses = np.uint32(1) if 52 <= hundreds <= 54 else np.uint32(0)
    if status in (0x343031, 0x343033, 0x343037, 0x343239):  # 401, 403, 407, 429
        more.denied_responses = np.uint16(1)


@step
def begin_tcp(row: Row, more: Row, from_initiator: bool) -> None:
    """Begin a TCP dialogue with its first packet."""
    flags, seq = np.int64(row.flags), np.int64(row.tcp_seq)
    after = (seq + np.int64(row.payload_octets) + (flags & kinds.SYN) // kinds.SYN + (flags & kinds.FIN)) & 0xFFFFFFFF
    stage = 0
    if from_initiator:
        stage |= kinds.STAGE_INITIATOR_SEQ
        more.initiator_next_seq, more.tcp_flags_initiator = after, row.flags
        if flags & kinds.ACK and not flags & (kinds.SYN | kinds.RST):
            stage |= kinds.STAGE_INITIATOR_ACKS
    else:
        stage |= kinds.STAGE_RESPONDER_SEQ
        more.responder_next_seq, more.tcp_flags_responder = after, row.flags
    if flags & kinds.SYN:
        if not flags & kinds.ACK:
            more.syn_packets = np.uint32(1)
            if from_initiator:
                stage |= kinds.STAGE_SYN
                more.initiator_isn, more.window_shift_initiator = row.tcp_seq, row.window_shift
                if row.payload_octets == 0:
                    more.tcp_options = np.uint32(row.prefix)
        elif not from_initiator:
            stage |= kinds.STAGE_SYNACK
            more.window_shift_responder = row.window_shift
    if flags & kinds.RST:
        stage |= kinds.STAGE_CLOSED
        more.rst_packets = np.uint32(1)
        more.end_reason = kinds.END_RST
    elif flags & kinds.FIN:
        stage |= kinds.STAGE_FIN_INITIATOR if from_initiator else kinds.STAGE_FIN_RESPONDER
    more.stage = stage


@kernel
def copy_fields(rows: Rows, more: MoreRows, at: U32, clock_ns: int, timeouts: I64, scratch: MoreRows, fields: I64, out: U64) -> None:
    """Write fields of flows' MORE rows, computed for one-packet flows, with the end reason as of the last packet.

    rows: FLOW. at: uint32[n], the flows' rows. scratch: one row.
    fields: see field_of. out: uint64[k, n or more].
    """
    end_at, end_shift = np.int64(END_REASON_AT // 8), np.uint64(END_REASON_AT % 8 * 8)
    for n in range(at.shape[0]):
        row = rows[at[n]]
        if row.more_row:
            words, first = more.words, (np.int64(row.more_row) - 1) * MORE_WORDS
        else:
            for word in range(MORE_WORDS):
                scratch.words[word] = np.uint64(0)
            begin(row, scratch.rows[0])
            words, first = scratch.words, 0
        for k in range(fields.shape[0]):
            value = field_of(words, first, fields, k)
            if fields[k, 0] == end_at and np.uint64(fields[k, 1]) == end_shift and value == np.uint64(kinds.END_CAPTURE):
                stage = np.int64(words[first + STAGE_AT // 8] >> np.uint64(STAGE_AT % 8 * 8) & np.uint64(0xFFFF))
                if clock_ns - np.int64(words[first + LAST_CLOCK_AT // 8]) > idle_timeout(row, stage, timeouts):
                    value = np.uint64(kinds.END_IDLE)
            out[k, n] = value
