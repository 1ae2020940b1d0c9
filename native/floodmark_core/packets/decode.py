"""Decode a batch of records into header columns: link layer, IP, and the transport header as far as it was captured.

Each packet gets exactly one outcome of status.py. Input is hostile: every offset is checked against the end of the captured
bytes before the read, and every loop moves forward in them.
"""

import numpy as np

from floodmark_core import kinds
from floodmark_core._jit import kernel, step
from floodmark_core.buffers.access import big16, big32, big64
from floodmark_core.buffers.hashing import FNV_EMPTY, fnv1a
from floodmark_core.columns import U8, Headers, Records, Tally
from floodmark_core.packets.fragments import (
    FIRST,
    LATER,
    WHOLE,
    Fragments,
    keep_ports,
    tie,
)
from floodmark_core.packets.headers import (
    OPTION_LIST_END,
    OPTION_MSS,
    OPTION_WINDOW_SCALE,
    V4_MORE,
    V4_OFFSET,
    V6_OFFSET,
    extension_header,
    ipv4_lengths,
    ipv6_stop,
    is_extension,
    tcp_option,
)
from floodmark_core.packets.links import ETHERNET, TYPE_IPV4, TYPE_IPV6, unwrap
from floodmark_core.packets.tunnels import carries, inner_packet
from floodmark_core.protocols import AH, DCCP, ESP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE
from floodmark_core.records.framing import remark
from floodmark_core.status import (
    IN_FLOW,
    IN_FLOW_HEADER_CUT,
    INTERFACE_UNKNOWN,
    IP_HEADER_CUT,
    IP_HEADER_LENGTH_BAD,
    IP_LENGTH_BAD,
    IP_VERSION_BAD,
    NOT_IP,
    REMARK_IP_LENGTH_BEYOND_FRAME,
    REMARK_TRANSPORT_HEADER_BAD,
)


@step
def link_layer(block: U8, at: int, end: int, link_type: int) -> tuple[int, int, int, int]:
    """Step over everything before IP. Returns (outcome, position, EtherType, vlan) as :func:`links.unwrap` does."""
    if link_type == ETHERNET and at + 14 <= end:
        ethertype = big16(block, at + 12)
        if ethertype in (TYPE_IPV4, TYPE_IPV6):
            return IN_FLOW, at + 14, ethertype, 0
    return unwrap(block, at, end, link_type)


@step
def ipv4_header(block: U8, at: int, end: int, wire_end: int, i: int, headers: Headers) -> tuple[int, int, int]:
    """Read an IPv4 header (RFC 791). Returns (outcome, position of the payload, end of the payload on the wire)."""
    if at + 20 > end:
        return IP_HEADER_CUT, at, at
    if block[at] >> 4 != 4:
        return IP_VERSION_BAD, at, at
    header, total = ipv4_lengths(block, at, wire_end)
    if header == 0:
        return IP_HEADER_LENGTH_BAD, at, at
    headers.ip_version[i] = 4
    headers.protocol[i] = block[at + 9]
    headers.ttl[i] = block[at + 8]
    headers.src_hi[i] = np.uint64(0)
    headers.dst_hi[i] = np.uint64(0)
    headers.src_lo[i] = np.uint64(big32(block, at + 12))
    headers.dst_lo[i] = np.uint64(big32(block, at + 16))
    field = big16(block, at + 6)
    headers.fragment[i] = LATER if field & V4_OFFSET else (FIRST if field & V4_MORE else WHOLE)
    headers.fragment_id[i] = big16(block, at + 4)
    headers.ip_bytes[i] = total
    return IN_FLOW, at + header, at + total


@step
def ipv6_header(block: U8, at: int, end: int, wire_end: int, i: int, headers: Headers) -> tuple[int, int, int]:
    """Read an IPv6 header and its extension headers (RFC 8200). Returns (outcome, position of the payload, its end on the wire)."""
    if at + 40 > end:
        return IP_HEADER_CUT, at, at
    if block[at] >> 4 != 6:
        return IP_VERSION_BAD, at, at
    stop = ipv6_stop(block, at, wire_end)
    headers.ip_version[i] = 6
    headers.ttl[i] = block[at + 7]
    headers.src_hi[i] = big64(block, at + 8)
    headers.src_lo[i] = big64(block, at + 16)
    headers.dst_hi[i] = big64(block, at + 24)
    headers.dst_lo[i] = big64(block, at + 32)
    headers.fragment[i] = WHOLE
    headers.ip_bytes[i] = stop - at
    protocol = np.int64(block[at + 6])
    at += 40
    while is_extension(protocol):
        if at + 8 > stop:
            return IP_LENGTH_BAD, at, stop
        if at + 8 > end:  # not captured: the protocol remains the extension header's own
            headers.protocol[i] = protocol
            return IN_FLOW_HEADER_CUT, at, stop
        following, size, fragment = extension_header(block, at, protocol)
        if fragment:
            headers.fragment[i] = LATER if fragment & V6_OFFSET else FIRST
            headers.fragment_id[i] = big32(block, at + 4)
        if at + size > stop:
            return IP_LENGTH_BAD, at, stop
        if at + size > end:
            headers.protocol[i] = protocol
            return IN_FLOW_HEADER_CUT, at, stop
        at += size
        protocol = following
        if headers.fragment[i] == LATER:
            break  # what follows is the middle of a payload
    headers.protocol[i] = protocol
    return IN_FLOW, at, stop


@step
def tcp_options(block: U8, at: int, stop: int) -> tuple[int, int]:
    """Summarise the options of a SYN. Returns (signature of their kinds, MSS and window scale; window shift + 1 or 0)."""
    signature = FNV_EMPTY
    shift = 0
    seen = 0
    while at < stop:
        kind, length = tcp_option(block, at, stop)
        if kind == OPTION_LIST_END:
            break
        signature = fnv1a(signature, kind)
        seen += 1
        if length == 0:
            break
        if kind in (OPTION_MSS, OPTION_WINDOW_SCALE):
            for j in range(2, length):
                signature = fnv1a(signature, block[at + j])
        if kind == OPTION_WINDOW_SCALE and length == 3:
            shift = min(np.int64(block[at + 2]), 14) + 1  # RFC 7323: at most 14
        at += length
    return (np.int64(signature) if seen else 0), shift


@step
def tcp_header(block: U8, at: int, end: int, stop: int, i: int, headers: Headers) -> int:
    """Read a TCP header (RFC 9293). Returns its length in bytes; -1 if its data offset is invalid."""
    header = np.int64(block[at + 12] >> 4) * 4  # in 32-bit words
    flags = np.int64(block[at + 13])
    headers.tcp_seq[i] = big32(block, at + 4)
    headers.tcp_ack[i] = big32(block, at + 8)
    headers.tcp_flags[i] = flags
    headers.tcp_window[i] = big16(block, at + 14)
    if flags & kinds.SYN and header > 20:
        signature, shift = tcp_options(block, at + 20, min(at + header, end, stop))
        headers.tcp_options[i] = signature
        headers.window_shift[i] = shift
    return header if header >= 20 and at + header <= stop else -1


@step
def tcp_kind(flags: int, payload: int) -> int:
    """Classify a TCP packet by its flags; congestion bits do not matter."""
    core = flags & 0x3F
    if core == kinds.SYN:
        return kinds.TCP_SYN
    if core in (kinds.SYN | kinds.ACK, kinds.SYN | kinds.ACK | kinds.PSH):
        return kinds.TCP_SYNACK
    if core & kinds.SYN:
        return kinds.TCP_ODD
    if core & kinds.RST:
        return kinds.TCP_ODD if core & kinds.FIN else kinds.TCP_RST
    if not core & kinds.ACK:
        return kinds.TCP_ODD  # RFC 9293: every segment but the first SYN and a RST acknowledges
    if core & kinds.FIN:
        return kinds.TCP_ODD if core & kinds.URG and core & kinds.PSH and payload == 0 else kinds.TCP_FIN
    return kinds.TCP_DATA if payload > 0 else kinds.TCP_ACK


@step
def icmp_kind(version: int, icmp_type: int) -> int:
    """Classify an ICMP or ICMPv6 message by its type (RFC 792, RFC 4443)."""
    if version == 4:
        if icmp_type == 8:
            return kinds.ICMP_ECHO
        if icmp_type == 0:
            return kinds.ICMP_ECHO_REPLY
        return kinds.ICMP_ERROR if icmp_type in (3, 4, 11, 12) else kinds.ICMP_OTHER
    if icmp_type == 128:
        return kinds.ICMP_ECHO
    if icmp_type == 129:
        return kinds.ICMP_ECHO_REPLY
    return kinds.ICMP_ERROR if 1 <= icmp_type <= 4 else kinds.ICMP_OTHER


@step
def icmp_ports(block: U8, at: int, i: int, version: int, headers: Headers) -> None:
    """Assign ICMP a pair of ports that a reply reverses: identifier on one side, type 8 or 128 in the high byte on the other."""
    icmp_type, code = np.int64(block[at]), np.int64(block[at + 1])
    kind = icmp_kind(version, icmp_type)
    if kind == kinds.ICMP_ECHO:
        headers.src_port[i], headers.dst_port[i] = big16(block, at + 4), icmp_type << 8
    elif kind == kinds.ICMP_ECHO_REPLY:
        headers.src_port[i], headers.dst_port[i] = (8 if version == 4 else 128) << 8, big16(block, at + 4)
    else:
        headers.src_port[i], headers.dst_port[i] = 0, (icmp_type << 8) | code
    headers.kind[i] = kind
    headers.tcp_flags[i] = icmp_type  # kept as the flow's flags


@step
def transport_header(block: U8, at: int, end: int, stop: int, i: int, service_ports: U8, headers: Headers) -> int:
    """Read the transport header. Returns its length; -1 if it is truncated, -2 if it is invalid."""
    protocol = headers.protocol[i]
    if protocol == TCP:
        headers.kind[i] = kinds.OTHER_IP  # until the flags are known
        need = 20
    elif protocol in (UDP, UDP_LITE):
        headers.kind[i] = kinds.UDP
        need = 8
    elif protocol in (ICMP, ICMPV6):
        headers.kind[i] = kinds.ICMP_OTHER
        need = 8
    else:
        headers.kind[i] = kinds.GRE if protocol == GRE else (kinds.IPSEC if protocol in (ESP, AH) else kinds.OTHER_IP)
        need = 4 if protocol in (SCTP, DCCP) else 0
        if need == 0:
            return 0
    if at + need > stop:
        return -2
    if protocol not in (ICMP, ICMPV6) and at + 4 <= end:
        headers.src_port[i], headers.dst_port[i] = big16(block, at), big16(block, at + 2)
    if at + need > end:
        return -1
    if protocol == TCP:
        length = tcp_header(block, at, end, stop, i, headers)
        payload = stop - at - length if length >= 0 else 0
        headers.kind[i] = tcp_kind(np.int64(headers.tcp_flags[i]), payload)
        return length if length >= 0 else -2
    if protocol in (UDP, UDP_LITE):
        if service_ports[headers.src_port[i]] == kinds.PORT_REFLECTOR:
            headers.kind[i] = kinds.UDP_FROM_SERVICE
    elif protocol in (ICMP, ICMPV6):
        icmp_ports(block, at, i, np.int64(headers.ip_version[i]), headers)
    return need


@step
def keep_outer(tunnel: int, i: int, headers: Headers) -> None:
    """Save the endpoints of a tunnel's own packet before the inner packet is read."""
    headers.tunnel[i] = tunnel
    headers.outer_version[i] = headers.ip_version[i]
    headers.outer_src_hi[i], headers.outer_src_lo[i] = headers.src_hi[i], headers.src_lo[i]
    headers.outer_dst_hi[i], headers.outer_dst_lo[i] = headers.dst_hi[i], headers.dst_lo[i]


@step
def innermost(
    block: U8, first: int, end: int, first_stop: int, first_type: int, first_vlan: int, depth: int, i: int, headers: Headers
) -> tuple[int, int, int, bool]:
    """Read IP headers down to the innermost packet, decapsulating tunnels.

    Returns (outcome, position of the payload, its end on the wire, whether an IP length exceeds the available bytes). If the inner packet
    cannot be read, the packet counts as one of the tunnel around it, and the headers are read again with one tunnel less.
    """
    opened, place, ethertype, wire_end, beyond = 0, first, first_type, first_stop, False
    headers.tunnel[i] = 0
    headers.vlan[i] = first_vlan
    while True:
        if ethertype == TYPE_IPV4:
            outcome, at, stop = ipv4_header(block, place, end, wire_end, i, headers)
        else:
            outcome, at, stop = ipv6_header(block, place, end, wire_end, i, headers)
        if outcome > IN_FLOW_HEADER_CUT:
            if opened == 0:
                return outcome, at, stop, False
            depth = opened - 1
            opened, place, ethertype, wire_end, beyond = 0, first, first_type, first_stop, False
            headers.tunnel[i] = 0
            headers.vlan[i] = first_vlan
            continue
        if stop > wire_end:
            headers.ip_bytes[i] -= stop - wire_end  # a forged length must not inflate what is counted
            stop, beyond = wire_end, True
        if headers.protocol[i] == TCP or opened == depth or outcome != IN_FLOW or headers.fragment[i] or not carries(headers.protocol[i]):
            return outcome, at, stop, beyond
        tunnel, inner, inner_type, vlan = inner_packet(block, at, end, stop, np.int64(headers.protocol[i]))
        if tunnel == 0:
            return outcome, at, stop, beyond
        if opened == 0:
            keep_outer(tunnel, i, headers)
        headers.vlan[i] = vlan
        opened, place, ethertype, wire_end = opened + 1, inner, inner_type, stop


@step
def decode_packet(
    block: U8, i: int, base: int, records: Records, service_ports: U8, depth: int, fragments: Fragments, headers: Headers, tally: Tally
) -> tuple[int, int]:
    """Decode one packet into row ``i``. Returns (outcome, EtherType)."""
    start = records.frame_at[i]
    end = start + records.captured_length[i]
    wire_end = start + max(records.wire_length[i], records.captured_length[i])
    headers.src_port[i] = 0
    headers.dst_port[i] = 0
    headers.tcp_flags[i] = 0
    headers.tcp_options[i] = 0
    headers.tcp_window[i] = 0
    headers.window_shift[i] = 0
    headers.tcp_seq[i] = 0
    headers.tcp_ack[i] = 0
    headers.payload_octets[i] = 0
    headers.payload_captured[i] = 0
    if records.link_type[i] < 0:
        return INTERFACE_UNKNOWN, 0
    outcome, at, ethertype, vlan = link_layer(block, start, end, np.int64(records.link_type[i]))
    if outcome != IN_FLOW:
        return outcome, ethertype
    if ethertype not in (TYPE_IPV4, TYPE_IPV6):
        return NOT_IP, ethertype
    headers.ip_at[i] = at
    outcome, at, stop, beyond = innermost(block, at, end, wire_end, ethertype, vlan, depth, i, headers)
    if outcome > IN_FLOW_HEADER_CUT:
        return outcome, ethertype
    if beyond:
        remark(tally, REMARK_IP_LENGTH_BEYOND_FRAME, base + start)
    if outcome == IN_FLOW_HEADER_CUT:
        headers.kind[i] = kinds.IPSEC if headers.protocol[i] == AH else kinds.OTHER_IP
        return outcome, ethertype
    if headers.fragment[i] == LATER:
        headers.kind[i] = kinds.FRAGMENT
        length = 0
        tie(i, records.clock_ns[i], headers, fragments)
    else:
        length = transport_header(block, at, end, stop, i, service_ports, headers)
        if length < 0:
            if length == -2:
                remark(tally, REMARK_TRANSPORT_HEADER_BAD, base + start)
            return IN_FLOW_HEADER_CUT, ethertype
        if headers.fragment[i] == FIRST:
            keep_ports(i, records.clock_ns[i], headers, fragments)
    headers.payload_at[i] = at + length
    headers.payload_octets[i] = max(stop - at - length, 0)
    headers.payload_captured[i] = max(min(stop, end) - at - length, 0)
    return IN_FLOW, ethertype


@kernel
def decode_batch(
    block: U8, n: int, base: int, records: Records, service_ports: U8, depth: int, fragments: Fragments, headers: Headers, tally: Tally
) -> None:
    """Decode the first ``n`` records and count their outcomes. depth: maximum number of nested tunnels over IP to decapsulate.

    The records' clock must be set (timeline.py). ``fragments`` carries over from batch to batch.
    """
    for i in range(n):
        outcome, ethertype = decode_packet(block, i, base, records, service_ports, depth, fragments, headers, tally)
        headers.outcome[i] = outcome
        if tally.outcome_count[outcome] == 0:
            tally.outcome_first[outcome] = base + records.frame_at[i]
        tally.outcome_count[outcome] += 1
        if outcome == NOT_IP:
            tally.ethertype_count[ethertype] += 1
        if records.link_type[i] >= 0:
            tally.link_type_count[records.link_type[i] & 0xFFFF] += 1
        tally.totals[0] += 1
        tally.totals[1] += records.wire_length[i]
