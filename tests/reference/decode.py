"""Decode one record into one packet: link layer, IP and transport header as far as they were captured.

Each packet gets exactly one outcome. Every header is sliced from the frame as bytes and unpacked completely or not at all.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from reference import links, tunnels
from reference.framing import Record

Outcome = IntEnum(
    "Outcome",
    {
        "IN_FLOW": 0,
        "IN_FLOW_HEADER_CUT": 1,
        "NOT_IP": 2,
        "LINK_TYPE_UNKNOWN": 8,
        "LINK_HEADER_CUT": 9,
        "IP_HEADER_CUT": 10,
        "IP_VERSION_BAD": 11,
        "IP_HEADER_LENGTH_BAD": 12,
        "IP_LENGTH_BAD": 13,
        "INTERFACE_UNKNOWN": 14,
    },
)
Kind = IntEnum(
    "Kind",
    "TCP_SYN TCP_SYNACK TCP_RST TCP_FIN TCP_ACK TCP_DATA TCP_ODD UDP UDP_FROM_SERVICE ICMP_ECHO ICMP_ECHO_REPLY ICMP_ERROR ICMP_OTHER "
    "FRAGMENT GRE IPSEC OTHER_IP",
    start=0,
)

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
REFLECTOR = 2  # rank in the table of service ports
WHOLE, FIRST_FRAGMENT, LATER_FRAGMENT, TIED_FRAGMENT = 0, 1, 2, 3  # tied: later, its ports known from the first
FRAGMENT_LIFETIME_NS = 30 * 10**9

ICMP, TCP, UDP, GRE, ESP, AH, ICMPV6, UDP_LITE = 1, 6, 17, 47, 50, 51, 58, 136
TRANSPORT_BYTES = {TCP: 20, UDP: 8, UDP_LITE: 8, ICMP: 8, ICMPV6: 8, 132: 4, 33: 4}  # 132 SCTP, 33 DCCP: the ports
HOP_BY_HOP, V6_FRAGMENT = 0, 44
V6_EXTENSIONS = {HOP_BY_HOP, 43, V6_FRAGMENT, 60, 135, 139, 140, AH}  # hop-by-hop, routing, destination, mobility, HIP, SHIM6
IPV4, IPV6 = 0x0800, 0x86DD


class RefusedError(Exception):
    """The packet cannot be decoded; the outcome gives the reason."""

    def __init__(self, outcome: Outcome, ethertype: int = 0) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.ethertype = ethertype


@dataclass(frozen=True)
class TcpHeader:
    """The fixed TCP header and the values of a SYN's options."""

    seq: int
    ack: int
    flags: int
    window: int
    window_shift: int | None  # None without the option


@dataclass(frozen=True)
class Transport:
    """What follows the IP header."""

    outcome: Outcome
    kind: Kind
    src_port: int = 0
    dst_port: int = 0
    payload: bytes = b""  # as far as captured
    payload_octets: int = 0  # according to the IP length
    tcp: TcpHeader | None = None  # set even if its data offset is invalid
    icmp_type: int = 0
    bad: bool = False


@dataclass(frozen=True)
class IpHeader:
    """An IP header with its extension headers read."""

    version: int
    protocol: int
    fragment: int
    ttl: int
    src: int
    dst: int
    header_bytes: int
    total_bytes: int  # as the header claims
    whole: bool = True  # False if an extension header is truncated
    identification: int = 0  # of a fragment's datagram


@dataclass(frozen=True)
class Packet:
    """One decoded packet; if it was refused, everything but the outcome is meaningless."""

    outcome: Outcome
    ethertype: int
    time_ns: int
    clock_ns: int
    wire_length: int
    remarks: tuple[str, ...] = ()
    ip_version: int = 0
    protocol: int = 0
    fragment: int = WHOLE
    ttl: int = 0
    src: int = 0
    dst: int = 0
    vlan: int = 0
    ip_bytes: int = 0
    tunnel: int = 0  # the outermost that was decapsulated
    outer: IpHeader | None = None  # ... and its own header
    transport: Transport = Transport(Outcome.NOT_IP, Kind.OTHER_IP)

    @property
    def in_flow(self) -> bool:
        """Whether the packet belongs to a flow and a cell."""
        return self.outcome in (Outcome.IN_FLOW, Outcome.IN_FLOW_HEADER_CUT)


def link_layer(frame: bytes, link_type: int) -> tuple[int, list[int], bytes]:
    """Remove the link header. Returns (EtherType, VLAN ids from the outside in, what follows). Raises RefusedError."""
    try:
        return links.unwrap(frame, link_type)
    except links.CutError:
        raise RefusedError(Outcome.LINK_HEADER_CUT) from None
    except links.NotIpError as other:
        raise RefusedError(Outcome.NOT_IP, other.code) from None
    except links.UnknownLinkError:
        raise RefusedError(Outcome.LINK_TYPE_UNKNOWN) from None


def ipv4_header(ip: bytes, wire_bytes: int) -> IpHeader:
    """Read an IPv4 header (RFC 791); ``wire_bytes`` were on the wire from its first byte on. Raises RefusedError."""
    if len(ip) < 20:
        raise RefusedError(Outcome.IP_HEADER_CUT, IPV4)
    first, _tos, total, identification, fragment, ttl, protocol, _checksum, src, dst = struct.unpack("!BBHHHBBH4s4s", ip[:20])
    if first >> 4 != 4:
        raise RefusedError(Outcome.IP_VERSION_BAD, IPV4)
    header = 4 * (first & 15)
    total = total or wire_bytes  # 0 if the network card fills it in
    if not 20 <= header <= total:
        raise RefusedError(Outcome.IP_HEADER_LENGTH_BAD, IPV4)
    place = LATER_FRAGMENT if fragment & 0x1FFF else FIRST_FRAGMENT if fragment & 0x2000 else WHOLE
    return IpHeader(4, protocol, place, ttl, int.from_bytes(src, "big"), int.from_bytes(dst, "big"), header, total, True, identification)


def ipv6_header(ip: bytes, wire_bytes: int) -> IpHeader:
    """Read an IPv6 header and the chain of its extension headers (RFC 8200 section 4). Raises RefusedError."""
    if len(ip) < 40:
        raise RefusedError(Outcome.IP_HEADER_CUT, IPV6)
    first, length, protocol, ttl, src, dst = struct.unpack("!IHBB16s16s", ip[:40])
    if first >> 28 != 6:
        raise RefusedError(Outcome.IP_VERSION_BAD, IPV6)
    jumbo = length == 0 and (protocol == HOP_BY_HOP or wire_bytes > 40 + 0xFFFF)  # RFC 2675, or an offloading network card
    total = wire_bytes if jumbo else 40 + length
    at, place, whole, identification = 40, WHOLE, True, 0
    while protocol in V6_EXTENSIONS and place != LATER_FRAGMENT:
        if at + 8 > total:
            raise RefusedError(Outcome.IP_LENGTH_BAD, IPV6)
        if at + 8 > len(ip):
            whole = False
            break
        following, count, field = struct.unpack("!BBH", ip[at : at + 4])
        nbytes = 8 if protocol == V6_FRAGMENT else 4 * (count + 2) if protocol == AH else 8 * (count + 1)
        if at + nbytes > total:
            raise RefusedError(Outcome.IP_LENGTH_BAD, IPV6)
        if at + nbytes > len(ip):
            whole = False
            break
        if protocol == V6_FRAGMENT:  # 13 bits of offset, 2 reserved, 1 "more"; offset 0 and no more is an unfragmented packet
            place = LATER_FRAGMENT if field >> 3 else FIRST_FRAGMENT if field & 1 else place
            identification = int.from_bytes(ip[at + 4 : at + 8], "big") if field >> 3 or field & 1 else identification
        at += nbytes
        protocol = following
    return IpHeader(6, protocol, place, ttl, int.from_bytes(src, "big"), int.from_bytes(dst, "big"), at, total, whole, identification)


def window_shift(options: bytes) -> int | None:
    """Find the window scale among TCP options (RFC 7323 section 2): the last one, 14 at most; None without."""
    shift = None
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or not 2 <= options[1] <= len(options):
            break
        if options[0] == 3 and options[1] == 3:
            shift = min(options[2], 14)
        options = options[options[1] :]
    return shift


def tcp_kind(flags: int, payload_octets: int) -> Kind:
    """Classify a TCP packet by its flags without the ECN bits (RFC 9293): what no state sends is odd."""
    flags &= 0x3F
    if flags & SYN:
        return Kind.TCP_SYN if flags == SYN else Kind.TCP_SYNACK if flags & ~PSH == SYN | ACK else Kind.TCP_ODD
    if flags & RST:
        return Kind.TCP_ODD if flags & FIN else Kind.TCP_RST
    if not flags & ACK:
        return Kind.TCP_ODD
    if flags & FIN:
        christmas = flags & URG and flags & PSH and not payload_octets
        return Kind.TCP_ODD if christmas else Kind.TCP_FIN
    return Kind.TCP_DATA if payload_octets else Kind.TCP_ACK


def icmp_kind(version: int, icmp_type: int) -> Kind:
    """Classify an ICMP message (RFC 792, RFC 4443)."""
    echo, reply, errors = (8, 0, (3, 4, 11, 12)) if version == 4 else (128, 129, (1, 2, 3, 4))
    known = {echo: Kind.ICMP_ECHO, reply: Kind.ICMP_ECHO_REPLY} | dict.fromkeys(errors, Kind.ICMP_ERROR)
    return known.get(icmp_type, Kind.ICMP_OTHER)


def transport_header(ip: IpHeader, nbytes: bytes, wire_bytes: int, service_ports: Sequence[int]) -> Transport:
    """Read the transport header. ``nbytes`` were captured of the ``wire_bytes`` after the IP header."""
    if ip.fragment == LATER_FRAGMENT:
        return Transport(Outcome.IN_FLOW, Kind.FRAGMENT, payload=nbytes, payload_octets=max(wire_bytes, 0))
    by_protocol = {
        UDP: Kind.UDP,
        UDP_LITE: Kind.UDP,
        ICMP: Kind.ICMP_OTHER,
        ICMPV6: Kind.ICMP_OTHER,
        GRE: Kind.GRE,
        ESP: Kind.IPSEC,
        AH: Kind.IPSEC,
    }
    kind = by_protocol.get(ip.protocol, Kind.OTHER_IP)
    if not ip.whole:
        return Transport(Outcome.IN_FLOW_HEADER_CUT, kind)
    need = TRANSPORT_BYTES.get(ip.protocol, 0)
    if need and wire_bytes < need:
        return Transport(Outcome.IN_FLOW_HEADER_CUT, kind, bad=True)
    has_ports = need > 0 and ip.protocol not in (ICMP, ICMPV6)
    src_port, dst_port = struct.unpack("!HH", nbytes[:4]) if has_ports and len(nbytes) >= 4 else (0, 0)
    if len(nbytes) < need:
        return Transport(Outcome.IN_FLOW_HEADER_CUT, kind, src_port, dst_port)
    tcp, icmp_type = None, 0
    if ip.protocol == TCP:
        seq, ack, offset, flags, window = struct.unpack("!IIBBH", nbytes[4:16])
        need = 4 * (offset >> 4)
        tcp = TcpHeader(seq, ack, flags, window, window_shift(nbytes[20:need]) if flags & SYN else None)
        if not 20 <= need <= wire_bytes:
            return Transport(Outcome.IN_FLOW_HEADER_CUT, tcp_kind(flags, 0), src_port, dst_port, tcp=tcp, bad=True)
        kind = tcp_kind(flags, wire_bytes - need)
    elif kind == Kind.UDP and service_ports[src_port] == REFLECTOR:
        kind = Kind.UDP_FROM_SERVICE
    elif ip.protocol in (ICMP, ICMPV6):
        icmp_type, code, _checksum, identifier = struct.unpack("!BBHH", nbytes[:6])
        kind = icmp_kind(ip.version, icmp_type)
        request = (8 if ip.version == 4 else 128) << 8  # the "port" of the end that gets the request
        ports = {Kind.ICMP_ECHO: (identifier, request), Kind.ICMP_ECHO_REPLY: (request, identifier)}
        src_port, dst_port = ports.get(kind, (0, icmp_type << 8 | code))
    return Transport(Outcome.IN_FLOW, kind, src_port, dst_port, nbytes[need:], max(wire_bytes - need, 0), tcp, icmp_type)


class Layer(NamedTuple):
    """One IP header and what follows it."""

    ip: IpHeader
    nbytes: bytes  # captured, from its first byte on
    wire_bytes: int
    ids: list[int]  # VLAN tags around it
    tunnel: int = 0  # that contains the next layer


def ip_layers(nbytes: bytes, wire_bytes: int, ethertype: int, ids: list[int], depth: int = tunnels.DEPTH) -> list[Layer]:
    """Read IP headers, the outermost first; an invalid inner header is ignored. Raises RefusedError if the first is invalid."""
    ip = ipv4_header(nbytes, wire_bytes) if ethertype == IPV4 else ipv6_header(nbytes, wire_bytes)
    layer = Layer(ip, nbytes, wire_bytes, ids)
    stop = min(ip.total_bytes, wire_bytes)
    if depth == 0 or not ip.whole or ip.fragment != WHOLE:
        return [layer]
    found = tunnels.inner(ip.protocol, nbytes[ip.header_bytes :], stop - ip.header_bytes)
    if found is None:
        return [layer]
    try:
        rest = ip_layers(found.nbytes, stop - ip.header_bytes - found.missing, found.ethertype, found.ids, depth - 1)
    except RefusedError:
        return [layer]
    return [layer._replace(tunnel=found.tunnel), *rest]


Fragments: TypeAlias = dict[tuple[int, ...], tuple[int, int, int]]  # a datagram's key -> (ports, clock) of its first fragment


def tied(packet: Packet, identification: int, fragments: Fragments) -> Packet:
    """Store the ports of a first fragment; give them to a later one."""
    key = packet.ip_version, packet.src, packet.dst, packet.protocol, packet.vlan, packet.tunnel, identification
    if packet.fragment == FIRST_FRAGMENT and packet.outcome == Outcome.IN_FLOW:
        fragments[key] = packet.transport.src_port, packet.transport.dst_port, packet.clock_ns
    if packet.fragment != LATER_FRAGMENT or key not in fragments:
        return packet
    src_port, dst_port, first_ns = fragments[key]
    if packet.clock_ns - first_ns > FRAGMENT_LIFETIME_NS:
        return packet
    return replace(packet, fragment=TIED_FRAGMENT, transport=replace(packet.transport, src_port=src_port, dst_port=dst_port))


def decode(record: Record, service_ports: Sequence[int], clock_ns: int, fragments: Fragments) -> Packet:
    """Decode one record. service_ports: rank of each of the 65,536 ports. fragments: carries over from record to record."""
    try:
        if record.link_type < 0:
            raise RefusedError(Outcome.INTERFACE_UNKNOWN)
        ethertype, ids, rest = link_layer(record.frame, record.link_type)
        if ethertype not in (IPV4, IPV6):
            raise RefusedError(Outcome.NOT_IP, ethertype)
        # The packet on the wire was never shorter than in the capture, whatever the record says.
        wire_bytes = max(record.wire_length, record.captured_length) - (record.captured_length - len(rest))
        layers = ip_layers(rest, wire_bytes, ethertype, ids)
    except RefusedError as refusal:
        return Packet(refusal.outcome, refusal.ethertype, record.time_ns, clock_ns, record.wire_length)
    ip, rest, wire_bytes, ids, _ = layers[-1]
    stop = min(ip.total_bytes, wire_bytes)
    transport = transport_header(ip, rest[ip.header_bytes : stop], stop - ip.header_bytes, service_ports)
    beyond = any(layer.ip.total_bytes > layer.wire_bytes for layer in layers)
    remarks = ["IP_LENGTH_BEYOND_FRAME"] * beyond + ["TRANSPORT_HEADER_BAD"] * transport.bad
    vlan = 0
    for identifier in ids[:2]:  # the two outermost
        vlan = vlan << 12 | identifier
    packet = Packet(
        outcome=transport.outcome,
        ethertype=ethertype,
        time_ns=record.time_ns,
        clock_ns=clock_ns,
        wire_length=record.wire_length,
        remarks=tuple(remarks),
        ip_version=ip.version,
        protocol=ip.protocol,
        fragment=ip.fragment,
        ttl=ip.ttl,
        src=ip.src,
        dst=ip.dst,
        vlan=vlan,
        tunnel=layers[0].tunnel,
        outer=layers[0].ip if len(layers) > 1 else None,
        ip_bytes=stop,  # a forged length must not inflate what is counted
        transport=transport,
    )
    return tied(packet, ip.identification, fragments)
