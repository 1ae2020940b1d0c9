"""Build frames and capture files with struct alone.

Functions take header fields and return frames with correct checksums and whole capture files. It is a separate file because
everything else here deals with hosts and messages and never with bytes. An address is an integer; one above 32 bits is IPv6.
"""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ETHERNET, RAW_IP, LINUX_SLL = 1, 101, 113  # link types, draft-ietf-opsawg-pcaplinktype
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
IPV4_TYPE, ARP_TYPE, VLAN_TYPE, IPV6_TYPE = 0x0800, 0x0806, 0x8100, 0x86DD
MORE_FRAGMENTS, DONT_FRAGMENT = 0x2000, 0x4000
GATEWAY_MAC = bytes.fromhex("001b2137a0f1")
BROADCAST_MAC = b"\xff" * 6
# Networks on the near side of the tap: first address, mask. TEST-NET-3 and the RFC 1918 blocks.
LOCAL_NETS = ((0xCB007100, 0xFFFFFF00), (0x0A000000, 0xFF000000), (0xAC100000, 0xFFF00000), (0xC0A80000, 0xFFFF0000))
LOCAL_NET6 = 0x20010DB80113


class Packet(NamedTuple):
    """Hold one captured frame; wire_length 0 means that it is not truncated."""

    time_ns: int
    frame: bytes
    wire_length: int = 0


class Head(NamedTuple):
    """Hold the IP header fields besides protocol and payload."""

    src: int
    dst: int
    ttl: int = 64
    ident: int = 0
    fragment: int = DONT_FRAGMENT
    tos: int = 0


class Segment(NamedTuple):
    """Hold the fields of one TCP segment; options are already padded to whole words."""

    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    options: bytes = b""
    payload: bytes = b""


class Format(NamedTuple):
    """Describe a capture file's format."""

    link_type: int = ETHERNET
    nanoseconds: bool = False
    big_endian: bool = False
    pcapng: bool = False
    snaplen: int = 262_144


class Tuple5(NamedTuple):
    """Identify a flow by the header fields of one of its packets."""

    src: int
    dst: int
    sport: int
    dport: int
    protocol: int


def checksum(data: bytes) -> int:
    """Return the Internet checksum of the bytes (RFC 1071)."""
    number = int.from_bytes(data + b"\0" * (len(data) & 1), "big")
    folded = number % 0xFFFF
    return 0xFFFF - (folded or (0xFFFF if number else 0))


def is_six(address: int) -> bool:
    """Return whether the address is IPv6."""
    return address >> 32 != 0


def is_local(address: int) -> bool:
    """Return whether the address is on the near side of the tap."""
    if is_six(address):
        return address >> 80 == LOCAL_NET6 or address >> 112 == 0xFE80
    return any(address & mask == net for net, mask in LOCAL_NETS)


def mac_of(address: int) -> bytes:
    """Return the MAC address of this IP address at the tap."""
    if is_six(address):
        if address >> 120 == 0xFF:
            return b"\x33\x33" + (address & 0xFFFFFFFF).to_bytes(4, "big")
    elif address >> 28 == 0xE:
        return b"\x01\x00\x5e" + (address & 0x7FFFFF).to_bytes(3, "big")
    elif address == 0xFFFFFFFF:
        return BROADCAST_MAC
    if not is_local(address):
        return GATEWAY_MAC
    return b"\x52\x54\x00" + (address * 2654435761 >> 4 & 0xFFFFFF).to_bytes(3, "big")


def ethernet(source: bytes, target: bytes, kind: int, payload: bytes) -> bytes:
    """Return an Ethernet frame, padded to the 60 bytes that a network card delivers."""
    return (target + source + kind.to_bytes(2, "big") + payload).ljust(60, b"\0")


def ipv4(head: Head, protocol: int, payload: bytes) -> bytes:
    """Return an IPv4 packet without options."""
    addresses = struct.pack(">II", head.src, head.dst)
    length = 20 + len(payload)
    first = struct.pack(">BBHHHBB", 0x45, head.tos, length, head.ident & 0xFFFF, head.fragment, head.ttl, protocol)
    return first + struct.pack(">H", checksum(first + addresses)) + addresses + payload


def ipv6(head: Head, protocol: int, payload: bytes) -> bytes:
    """Return an IPv6 packet without extension headers."""
    first = struct.pack(">IHBB", 6 << 28 | head.tos << 20 | head.ident & 0xFFFFF, len(payload), protocol, head.ttl)
    return first + head.src.to_bytes(16, "big") + head.dst.to_bytes(16, "big") + payload


def ip_frame(head: Head, protocol: int, payload: bytes) -> bytes:
    """Return the frame that carries this payload in IPv4 or IPv6."""
    six = is_six(head.dst)
    packet = ipv6(head, protocol, payload) if six else ipv4(head, protocol, payload)
    return ethernet(mac_of(head.src), mac_of(head.dst), IPV6_TYPE if six else IPV4_TYPE, packet)


def pseudo_header(head: Head, protocol: int, length: int) -> bytes:
    """Return the part of the IP header that transport checksums cover."""
    if is_six(head.dst):
        return head.src.to_bytes(16, "big") + head.dst.to_bytes(16, "big") + struct.pack(">II", length, protocol)
    return struct.pack(">IIHH", head.src, head.dst, protocol, length)


def udp_datagram(head: Head, ports: tuple[int, int], payload: bytes) -> bytes:
    """Return a UDP header with its payload."""
    length = 8 + len(payload)
    first = struct.pack(">HHH", *ports, length)
    total = checksum(pseudo_header(head, UDP, length) + first + b"\0\0" + payload)
    return first + (total or 0xFFFF).to_bytes(2, "big") + payload


def udp(head: Head, sport: int, dport: int, payload: bytes) -> bytes:
    """Return a frame with one UDP datagram."""
    return ip_frame(head, UDP, udp_datagram(head, (sport, dport), payload))


def udp_fragments(head: Head, ports: tuple[int, int], payload: bytes, room: int = 1480) -> list[bytes]:
    """Return the frames of one UDP datagram, fragmented if it does not fit into one IPv4 packet."""
    whole = udp_datagram(head, ports, payload)
    if len(whole) <= room:
        return [ip_frame(head._replace(fragment=0), UDP, whole)]
    frames = []
    for offset in range(0, len(whole), room):
        more = MORE_FRAGMENTS if offset + room < len(whole) else 0
        frames.append(ip_frame(head._replace(fragment=more | offset >> 3), UDP, whole[offset : offset + room]))
    return frames


def tcp(head: Head, segment: Segment) -> bytes:
    """Return a frame with one TCP segment."""
    words = 5 + len(segment.options) // 4
    first = struct.pack(
        ">HHIIBBH",
        segment.sport,
        segment.dport,
        segment.seq & 0xFFFFFFFF,
        segment.ack & 0xFFFFFFFF,
        words << 4,
        segment.flags,
        segment.window,
    )
    rest = b"\0\0" + segment.options + segment.payload
    total = checksum(pseudo_header(head, TCP, len(first) + 2 + len(rest)) + first + b"\0\0" + rest)
    return ip_frame(head, TCP, first + total.to_bytes(2, "big") + rest)


def icmp(head: Head, kind: int, code: int, rest: bytes) -> bytes:
    """Return a frame with one ICMP or ICMPv6 message; rest is everything after the checksum."""
    first = bytes((kind, code))
    six = is_six(head.dst)
    cover = pseudo_header(head, ICMP6, 4 + len(rest)) if six else b""
    total = checksum(cover + first + b"\0\0" + rest)
    return ip_frame(head, ICMP6 if six else ICMP, first + total.to_bytes(2, "big") + rest)


def arp(operation: int, sender: int, target: int) -> bytes:
    """Return an ARP request (1, broadcast) or reply (2)."""
    known = BROADCAST_MAC if operation == 1 else mac_of(target)
    asked = b"\0" * 6 if operation == 1 else known
    body = struct.pack(">HHBBH", 1, IPV4_TYPE, 6, 4, operation) + mac_of(sender) + sender.to_bytes(4, "big") + asked
    return ethernet(mac_of(sender), known, ARP_TYPE, body + target.to_bytes(4, "big"))


def tuple_of(frame: bytes) -> Tuple5 | None:
    """Return the five-tuple of an untagged IPv4 frame, with ports 0 if none can be read."""
    if frame[12:14] != b"\x08\x00":
        return None
    protocol = frame[23]
    src, dst = struct.unpack_from(">II", frame, 26)
    at = 14 + (frame[14] & 15) * 4
    later = struct.unpack_from(">H", frame, 20)[0] & 0x1FFF
    sport, dport = struct.unpack_from(">HH", frame, at) if protocol in {TCP, UDP} and not later else (0, 0)
    return Tuple5(src, dst, sport, dport, protocol)


def relink(packets: Iterable[Packet], link_type: int) -> list[Packet]:
    """Convert Ethernet packets to another link type; raw IP drops ARP."""
    if link_type == LINUX_SLL:
        return [_cooked(packet) for packet in packets]
    if link_type == RAW_IP:
        return [_bare(packet) for packet in packets if packet.frame[12:14] != b"\x08\x06"]
    return list(packets)


def _cooked(packet: Packet) -> Packet:
    """Replace the Ethernet header with a Linux cooked header."""
    frame = packet.frame
    kind = {0xFF: 1, 0x01: 2, 0x33: 2}.get(frame[0], 0)
    head = struct.pack(">HHH", kind, 1, 6) + frame[6:12] + b"\0\0" + frame[12:14]
    return packet._replace(frame=head + frame[14:], wire_length=packet.wire_length and packet.wire_length + 2)


def _bare(packet: Packet) -> Packet:
    """Drop the Ethernet header and padding."""
    body = packet.frame[14:]
    length = int.from_bytes(body[2:4], "big") if body[0] >> 4 == 4 else 40 + int.from_bytes(body[4:6], "big")
    return packet._replace(frame=body[:length], wire_length=packet.wire_length and length)


def tagged(packets: Iterable[Packet], vlan: int) -> list[Packet]:
    """Return the packets with an 802.1Q tag."""
    tag = struct.pack(">HH", VLAN_TYPE, vlan)
    return [
        packet._replace(frame=packet.frame[:12] + tag + packet.frame[12:], wire_length=packet.wire_length and packet.wire_length + 4)
        for packet in packets
    ]


def pcap_bytes(packets: Sequence[Packet], form: Format) -> bytes:
    """Return a classic capture file."""
    order = ">" if form.big_endian else "<"
    unit = 1 if form.nanoseconds else 1000
    magic = 0xA1B23C4D if form.nanoseconds else 0xA1B2C3D4
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, form.snaplen, form.link_type)]
    for time_ns, frame, wire in packets:
        seconds, rest = divmod(time_ns, 1_000_000_000)
        parts += (struct.pack(order + "IIII", seconds, rest // unit, len(frame), wire or len(frame)), frame)
    return b"".join(parts)


def _block(order: str, kind: int, body: bytes) -> bytes:
    """Return one pcapng block around the body."""
    body += b"\0" * (-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def pcapng_bytes(packets: Sequence[Packet], form: Format) -> bytes:
    """Return a pcapng file with one section and one interface."""
    order = ">" if form.big_endian else "<"
    unit, digits = (1, 9) if form.nanoseconds else (1000, 6)
    resolution = struct.pack(order + "HHBxxxHH", 9, 1, digits, 0, 0)  # if_tsresol, opt_endofopt
    parts = [
        _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)),
        _block(order, 1, struct.pack(order + "HHI", form.link_type, 0, form.snaplen) + resolution),
    ]
    for time_ns, frame, wire in packets:
        tick = time_ns // unit
        head = struct.pack(order + "IIIII", 0, tick >> 32, tick & 0xFFFFFFFF, len(frame), wire or len(frame))
        parts.append(_block(order, 6, head + frame))
    return b"".join(parts)


def write_capture(path: Path, packets: Sequence[Packet], form: Format) -> bytes:
    """Write the packets in the given format and return the bytes written."""
    data = (pcapng_bytes if form.pcapng else pcap_bytes)(packets, form)
    path.write_bytes(data)
    return data


def write_pcap(path: Path, packets: Sequence[Packet], form: Format | None = None) -> bytes:
    """Write a classic capture file and return its bytes."""
    return write_capture(path, packets, (form or Format())._replace(pcapng=False))


def write_pcapng(path: Path, packets: Sequence[Packet], form: Format | None = None) -> bytes:
    """Write a pcapng file and return its bytes."""
    return write_capture(path, packets, (form or Format())._replace(pcapng=True))


def merge(*streams: Iterable[Packet]) -> list[Packet]:
    """Return all packets in time order; equal times keep the order of the arguments."""
    return sorted((packet for stream in streams for packet in stream), key=lambda packet: packet.time_ns)


def snap(packets: Iterable[Packet], octets: int) -> list[Packet]:
    """Return the packets with at most ``octets`` captured bytes each."""
    return [packet._replace(frame=packet.frame[:octets], wire_length=packet.wire_length or len(packet.frame)) for packet in packets]


def one_sided(packets: Iterable[Packet], victim: int) -> list[Packet]:
    """Return only the IPv4 packets that go to the victim; victim 0 keeps all that goes to a local address."""
    kept = []
    for packet in packets:
        ends = tuple_of(packet.frame)
        if ends is not None and (ends.dst == victim or (not victim and is_local(ends.dst) and not is_local(ends.src))):
            kept.append(packet)
    return kept
