"""Hypothesis strategies that build captures as octets: conversations between a few hosts, written down in both containers.

A capture is played from a list of steps (who, what, after how long, with which twist), so a failing example shrinks to few steps.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

PROFILE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

US = 1_000
S = 1_000_000_000
LAST_NS = (2**32 - 1) * S + 999_999 * US  # the last microsecond that a pcap file can hold
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
ETHERNET = 1


@dataclass(frozen=True)
class Sent:
    """One packet on the wire and what a capture kept of it."""

    time_ns: int
    frame: bytes
    wire_length: int
    link_type: int = ETHERNET


# ---- frames

MAC = bytes.fromhex("020000000002020000000001")
V4 = [bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), bytes((192, 0, 2, 9))]
V6 = [bytes.fromhex("20010db8" + "00" * 11 + end) for end in ("01", "02", "ff")]


def ethernet(ethertype: int, body: bytes, tags: Sequence[int] = ()) -> bytes:
    """Put an Ethernet header before a body, with 802.1Q tags."""
    head = b"".join(struct.pack("!HH", 0x8100 if i else 0x88A8, tag) for i, tag in enumerate(tags))
    return MAC + head + struct.pack("!H", ethertype) + body


def ipv4(src: bytes, dst: bytes, protocol: int, body: bytes, *, fragment: int = 0, options: bytes = b"", total: int | None = None) -> bytes:
    """Put an IPv4 header before a body; ``total`` overrides the true length."""
    words = 5 + len(options) // 4
    octets = 4 * words + len(body) if total is None else total
    return struct.pack("!BBHHHBBH4s4s", 64 + words, 0, octets, 7, fragment, 60, protocol, 0, src, dst) + options + body


def ipv6(
    src: bytes, dst: bytes, protocol: int, body: bytes, *, chain: Sequence[tuple[int, bytes]] = (), length: int | None = None
) -> bytes:
    """Put an IPv6 header and extension headers (number, octets after the next-header octet) before a body."""
    numbers = [number for number, _ in chain] + [protocol]
    between = b"".join(bytes((following,)) + rest for following, (_, rest) in zip(numbers[1:], chain, strict=True))
    octets = len(between) + len(body) if length is None else length
    return struct.pack("!IHBB16s16s", 6 << 28, octets & 0xFFFF, numbers[0], 61, src, dst) + between + body


def tcp(ports: tuple[int, int], seq: int, ack: int, flags: int, payload: bytes = b"", window: int = 8192, options: bytes = b"") -> bytes:
    """Build a TCP segment."""
    offset = (5 + len(options) // 4) << 4
    return struct.pack("!HHIIBBHHH", *ports, seq % 2**32, ack % 2**32, offset, flags, window, 0, 0) + options + payload


def udp(ports: tuple[int, int], payload: bytes) -> bytes:
    """Build a UDP datagram."""
    return struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload


def icmp(icmp_type: int, code: int, identifier: int) -> bytes:
    """Build an ICMP message."""
    return struct.pack("!BBHHH", icmp_type, code, 0, identifier, 1) + b"ping" * 4


# ---- what can be said

SYN_OPTIONS = [
    b"",
    bytes((2, 4, 5, 180)),
    bytes((2, 4, 5, 180, 1, 3, 3, 7)),
    bytes((3, 3, 99, 0)),
    bytes((3, 3, 0, 1)),
    bytes((3, 9, 1, 1)),
]
PAYLOADS = [
    b"",
    b"x",
    b"\r\n",
    b"GET /a?b HTTP/1.1\r\nHost: a\r\n",
    b"Host: b\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\n\r\n",
    b"GET /a\r\n",
    b"GET ?",
    b"POST ",
    b"PUT ",
    b"OPTIONS * HTTP/1.0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\n\r\n",
    b"HTTP/1.0 503",
    b"HTTP/1.0 50",
    b"y" * 64,
    b"z" * 65,
    b"\0\1\2\3" * 300,
]
# Actions of a TCP end: flags, which sequence number, which payload (an index, or None for the step's own).
TCP_ACTIONS = {
    "syn": (SYN, "isn", 0),
    "new syn": (SYN, "new", 0),
    "syn with data": (SYN, "isn", None),
    "synack": (SYN | ACK, "isn", 0),
    "ack": (ACK, "next", 0),
    "data": (ACK | PSH, "next", None),
    "again": (ACK | PSH, "before", None),
    "fin": (FIN | ACK, "next", None),
    "rst": (RST, "next", 0),
    "rst ack": (RST | ACK, "next", 0),
    "rst at the edge": (RST, "edge", 0),
    "rst from afar": (RST, "far", 0),
    "data from afar": (ACK, "far", None),
    "no flags": (0, "next", None),
    "christmas": (FIN | PSH | URG | ACK, "next", None),
    "syn fin": (SYN | FIN, "next", 0),
    "syn rst": (SYN | RST, "next", 0),
}
OTHER_ACTIONS = ["udp", "dns", "reflector", "icmp", "fragment", "protocol", "not ip"]
TWISTS = {
    "": 12,
    "cut": 4,
    "padded": 2,
    "tagged": 1,
    "tagged twice": 1,
    "tag cut": 1,
    "options": 1,
    "extensions": 3,
    "first fragment": 1,
    "later fragment": 1,
    "bad offset": 1,
    "length 0": 1,
    "length short": 1,
    "length long": 1,
    "flip": 1,
    "wire shorter": 1,
    "wire longer": 1,
    "itself": 1,
}
# Nanoseconds between one packet and the next: around every timeout and around the reordering window, in whole microseconds.
GAPS = [
    0,
    1 * US,
    400_000 * US,
    950_000 * US,
    S,
    S + US,
    5 * S,
    5 * S + US,
    10 * S + US,
    25 * S,
    31 * S,
    60 * S,
    61 * S,
    299 * S,
    301 * S,
    1801 * S,
]
BACKWARD = [-US, -S // 2, -S, -S - US, -3 * S, -100 * S]
WILD = [0, 1 * S, 2**31 * S, LAST_NS]
EXTENSIONS = [
    (0, b"\0" + bytes(6)),
    (60, b"\1" + bytes(14)),
    (43, b"\0" + bytes(6)),
    (44, b"\0" + struct.pack("!HI", 1, 9)),
    (44, b"\0" + struct.pack("!HI", 0, 9)),
    (44, b"\0" + struct.pack("!HI", 0x0BB8, 9)),
    (51, b"\4" + bytes(22)),
    (135, b"\0" + bytes(6)),
    (60, b"\xff" + bytes(6)),
    (59, b""),
]


@dataclass(frozen=True)
class Step:
    """One packet of the play."""

    pair: int  # which two hosts, ports and IP version
    backward: bool  # sent by the second of them
    action: str
    twist: str
    gap_ns: int
    wild_ns: int | None  # this time instead
    number: int  # whatever the action or the twist needs: payload, cut, position, code


PAIRS: list[tuple[bytes, bytes, int, int]] = [
    (V4[0], V4[1], 40000, 80),
    (V4[0], V4[1], 40000, 40001),
    (V4[2], V4[1], 123, 53),
    (V6[0], V6[1], 50000, 443),
    (V6[2], V6[1], 1024, 33000),
    (V4[1], V4[1], 7, 7),
]


# What usually follows one another: (sent by the second end, action).
SCENES: list[list[tuple[bool, str]]] = [
    [(False, "syn"), (True, "synack"), (False, "ack")],
    [(False, "syn"), (True, "synack"), (False, "data")],
    [(False, "new syn"), (True, "synack"), (False, "ack")],
    [(False, "data"), (True, "ack"), (True, "data"), (False, "ack")],
    [(False, "fin"), (True, "fin"), (False, "ack")],
    [(True, "fin"), (False, "ack"), (False, "fin"), (True, "ack")],
    [(False, "syn"), (False, "ack"), (False, "data")],
    [(True, "synack"), (True, "ack"), (True, "data")],
    [(False, "syn"), (True, "rst ack")],
    [(True, "rst")],
    [(False, "dns"), (True, "dns")],
    [(False, "icmp"), (True, "icmp")],
]


@st.composite
def steps(draw: st.DrawFn, largest: int = 24) -> list[Step]:
    """Draw a list of steps: scenes of dialogues, single actions between them, and here and there a twist."""
    odd = [twist for twist, weight in TWISTS.items() for _ in range(weight)]
    twists = st.sampled_from([""] * 2 * len(odd) + odd)
    gaps = st.sampled_from([*[US] * 8, *GAPS, *BACKWARD])
    wild = st.sampled_from([None] * 60 + [*WILD])
    pairs = st.sampled_from([0, 0, 0, 3, 3, *range(len(PAIRS))])
    numbers = st.integers(0, 255)
    single = st.builds(lambda backward, action: [(backward, action)], st.booleans(), st.sampled_from([*TCP_ACTIONS, *OTHER_ACTIONS]))
    scenes = st.one_of(st.sampled_from(SCENES), single)
    script: list[Step] = []
    wanted = draw(st.integers(0, largest))
    while len(script) < wanted:
        scene, pair, first_gap_ns = draw(scenes), draw(pairs), draw(gaps)
        gap_ns = draw(st.sampled_from([1, 1, 1, 1000, 450_000])) * US
        script += [
            Step(pair, backward, action, draw(twists), gap_ns if place else first_gap_ns, draw(wild), draw(numbers))
            for place, (backward, action) in enumerate(scene)
        ]
    return script


class Play:
    """Turns steps into packets; remembers how far each end of each pair has come."""

    def __init__(self, start_ns: int) -> None:
        self.time_ns = start_ns
        self.isn = [[1000 * pair + 5, 2**32 - 20 - pair] for pair in range(len(PAIRS))]
        self.next = [list(isn) for isn in self.isn]

    def segment(self, step: Step, ports: tuple[int, int]) -> bytes:
        """Build the TCP segment that a step says."""
        flags, which, index = TCP_ACTIONS[step.action]
        me, peer = int(step.backward), int(not step.backward)
        after, isn = self.next[step.pair], self.isn[step.pair]
        if which == "new":
            isn[me] = (isn[me] + 77_777 + step.number) % 2**32
        payload = PAYLOADS[step.number % len(PAYLOADS)] if index is None else PAYLOADS[index]
        seq = {
            "isn": isn[me],
            "new": isn[me],
            "next": after[me],
            "before": after[me] - 1 - step.number,
            "edge": after[me] + (1 << 20) + step.number % 3 - 1,
            "far": after[me] + 2**31 - step.number * 2**23,
        }[which]
        options = SYN_OPTIONS[step.number % len(SYN_OPTIONS)] if flags & SYN else b""
        segment = tcp(ports, seq, after[peer], flags, payload, (step.number * 97) % 4096, options)
        if which in ("isn", "new", "next"):
            after[me] = (seq + len(payload) + bool(flags & SYN) + bool(flags & FIN)) % 2**32
        return segment

    def body(self, step: Step, ports: tuple[int, int], version: int) -> tuple[int, bytes]:
        """Build what stands behind the IP header. Returns (protocol, octets)."""
        payload = PAYLOADS[step.number % len(PAYLOADS)]
        if step.action in TCP_ACTIONS:
            return 6, self.segment(step, ports)
        if step.action == "dns":
            return 17, udp(
                (53, ports[1]) if step.backward else (ports[0], 53),
                struct.pack("!HHHHHH", 9, 0x8180 if step.number % 2 else 256, 1, 0, 0, 0),
            )
        if step.action == "reflector":
            return (136 if step.number % 5 == 0 else 17), udp((11211, ports[1]), payload)
        if step.action == "icmp":
            types = (
                [(8, 0, 0x0101), (0, 0, 0x0101), (3, 3, 5), (13, 0, 6)]
                if version == 4
                else [(128, 0, 0x0101), (129, 0, 0x0101), (2, 0, 5), (135, 0, 6)]
            )
            return (1 if version == 4 else 58), icmp(*types[step.number % 4])
        if step.action == "protocol":
            return [47, 50, 51, 132, 33, 2, 59, 41, 6, 17, 1, 58][step.number % 12], struct.pack("!HH", *ports) + payload[
                : step.number % 30
            ]
        return 17, udp(ports, payload)

    def packet(self, step: Step) -> Sent:
        """Build the packet that a step says."""
        self.time_ns = min(max(0, self.time_ns + step.gap_ns), LAST_NS) if step.wild_ns is None else step.wild_ns
        if step.action == "not ip":
            others = [
                ethernet(0x0806, bytes(28)),
                ethernet(0x05DC, bytes(30)),
                ethernet(0x0600, b""),
                ethernet(0x88CC, bytes(9), [1]),
                b"",
                MAC,
            ]
            frame = others[step.number % len(others)]
            return Sent(self.time_ns, frame, len(frame))
        src, dst, *numbers = PAIRS[step.pair]
        ports = (numbers[1], numbers[0]) if step.backward else (numbers[0], numbers[1])
        if step.backward:
            src, dst = dst, src
        if step.twist == "itself":
            dst = src
        version = 4 if len(src) == 4 else 6
        protocol, body = self.body(step, ports, version)
        if step.twist == "bad offset" and protocol == 6:
            body = body[:12] + bytes(((step.number & 15) << 4,)) + body[13:]
        twist = "later fragment" if step.action == "fragment" else step.twist
        length = {"length 0": 0, "length short": len(body) - step.number % 24, "length long": len(body) + 1 + step.number}.get(twist)
        if version == 4:
            fragment = {"first fragment": 0x2000, "later fragment": 0x2000 + 1 + step.number}.get(twist, 0)
            options = bytes(4 * (step.number % 11)) if twist in ("options", "extensions") else b""
            total = None if length is None else max(length + 20, 0) if length else 0
            ip = ipv4(src, dst, protocol, body, fragment=fragment, options=options, total=total)
        else:
            chain = {"first fragment": EXTENSIONS[3:4], "later fragment": EXTENSIONS[5:6]}.get(twist, [])
            if twist == "extensions":
                chain = [EXTENSIONS[step.number % 10], *([EXTENSIONS[step.number // 10 % 10]] if step.number > 100 else [])]
            chain = [extension for extension in chain if extension[1]]
            ip = ipv6(src, dst, protocol, body, chain=chain, length=None if length is None else max(length, 0))
        tags = {"tagged": [step.number % 3], "tagged twice": [5, step.number % 3], "tag cut": [1, 2, 3]}.get(twist, [])
        return self.keep(step, ethernet(0x0800 if version == 4 else 0x86DD, ip, tags))

    def keep(self, step: Step, frame: bytes) -> Sent:
        """Do to a frame what capturing may do to it."""
        wire = len(frame)
        if step.twist == "padded":
            frame = frame.ljust(60 + step.number % 8, b"\0")
            wire = len(frame)
        if step.twist in ("cut", "tag cut"):
            frame = frame[: step.number % 128]
        if step.twist == "extensions" and step.number % 3 == 0:
            frame = frame[: 40 + step.number % 64]
        if step.twist == "flip":
            place = step.number % len(frame)
            frame = frame[:place] + bytes((frame[place] ^ (1 << step.number % 8),)) + frame[place + 1 :]
        if step.twist == "wire shorter":
            wire = max(0, wire - step.number)
        if step.twist == "wire longer":
            wire += step.number
        return Sent(self.time_ns, frame, max(wire, len(frame)) if step.twist != "wire shorter" else wire)


def play(script: Sequence[Step], start_ns: int = 1_700_000_000 * S) -> list[Sent]:
    """Turn steps into packets."""
    stage = Play(start_ns)
    return [stage.packet(step) for step in script]


def dialogues(largest: int = 24) -> st.SearchStrategy[list[Sent]]:
    """Packets of a few conversations in Ethernet frames, at whole microseconds that fit a pcap file."""
    return st.builds(play, steps(largest), st.sampled_from([1_700_000_000 * S, 0, 999_999 * US, (2**32 - 4000) * S]))


# The same IP packets behind other link headers.
LINK_HEADERS = {
    1: MAC,
    0: None,
    108: None,
    113: struct.pack("!HHH8s", 0, 1, 6, bytes(8)),
    276: None,
    101: None,
    12: None,
    14: None,
    228: None,
    229: None,
    147: None,
}


def behind(packet: Sent, link_type: int, number: int) -> Sent:
    """Put an untagged Ethernet packet behind another link header."""
    ethertype, rest = packet.frame[12:14], packet.frame[14:]
    if link_type == ETHERNET or len(packet.frame) < 14:
        return replace(packet, link_type=link_type)
    families = [2, 24, 28, 30, 10, 7]
    family = families[number % 6] if number % 7 == 0 else 2 if ethertype == b"\x08\x00" else families[1 + number % 4]
    heads = {
        0: struct.pack("<I" if number % 2 else ">I", family),
        108: struct.pack(">I", family),
        113: struct.pack("!HHH8s", 0, 1, 6, bytes(8)) + ethertype,
        276: ethertype + bytes(18),
        147: b"??",
    }
    frame = heads.get(link_type, b"") + rest
    wire = max(0, packet.wire_length + len(frame) - len(packet.frame))
    return Sent(packet.time_ns, frame, wire, link_type)


# ---- containers


def pcap(packets: Sequence[Sent], order: str = "<", tick_ns: int = US, snaplen: int = 262_144, link_type: int = ETHERNET) -> bytes:
    """Write a pcap file."""
    magic = 0xA1B2C3D4 if tick_ns == US else 0xA1B23C4D
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link_type)]
    for packet in packets:
        seconds, rest = divmod(packet.time_ns, S)
        parts.append(struct.pack(order + "IIII", seconds, rest // tick_ns, len(packet.frame), packet.wire_length) + packet.frame)
    return b"".join(parts)


def modified(packets: Sequence[Sent], order: str = "<") -> bytes:
    """Write a modified pcap file."""
    parts = [struct.pack(order + "IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, ETHERNET)]
    for packet in packets:
        seconds, rest = divmod(packet.time_ns, S)
        lengths = len(packet.frame), packet.wire_length
        parts.append(struct.pack(order + "IIIIIHBB", seconds, rest // US, *lengths, 2, 0x800, 0, 0) + packet.frame)
    return b"".join(parts)


def snoop(packets: Sequence[Sent], pad: int = 4) -> bytes:
    """Write a snoop file, in which every third packet tells of another one lost."""
    parts = [b"snoop\0\0\0" + struct.pack(">II", 2, 4)]
    for place, packet in enumerate(packets):
        seconds, rest = divmod(packet.time_ns, S)
        padding = -len(packet.frame) % pad
        octets = 24 + len(packet.frame) + padding
        head = struct.pack(">6I", packet.wire_length, len(packet.frame), octets, place // 3, seconds, rest // US)
        parts.append(head + packet.frame + bytes(padding))
    return b"".join(parts)


def statistics(order: str, number: int, counts: Sequence[tuple[int, int]]) -> bytes:
    """Write an interface statistics block: options by their codes, 64 bits each."""
    body = struct.pack(order + "III", number, 0, 0)
    return block(order, 5, body + b"".join(option(order, code, struct.pack(order + "Q", count)) for code, count in counts))


def block(order: str, kind: int, body: bytes) -> bytes:
    """Write a pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str) -> bytes:
    """Write a section header block."""
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def option(order: str, code: int, value: bytes) -> bytes:
    """Write an option of a pcapng block."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(order: str, link_type: int, snaplen: int = 0, resolution: int | None = None, offset_s: int | None = None) -> bytes:
    """Write an interface description block."""
    options = option(order, 2, b"eth0")
    if resolution is not None:
        options += option(order, 9, bytes((resolution,)))
    if offset_s is not None:
        options += option(order, 14, struct.pack(order + "q", offset_s))
    return block(order, 1, struct.pack(order + "HHI", link_type, 0, snaplen) + options + option(order, 0, b""))


def enhanced(order: str, number: int, ticks: int, frame: bytes, wire_length: int) -> bytes:
    """Write an enhanced packet block."""
    padding = bytes(-len(frame) % 4)
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), wire_length)
    return block(order, 6, head + frame + padding + option(order, 1, b"why") + option(order, 0, b""))


def obsolete(order: str, number: int, ticks: int, frame: bytes, wire_length: int) -> bytes:
    """Write a packet block of the first pcapng drafts."""
    return block(order, 2, struct.pack(order + "HHIIII", number, 3, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), wire_length) + frame)


def simple(order: str, frame: bytes, wire_length: int) -> bytes:
    """Write a simple packet block."""
    return block(order, 3, struct.pack(order + "I", wire_length) + frame)


def pcapng(packets: Sequence[Sent], order: str = "<", resolution: int | None = None, kind: int = 6, offset_s: int = 0) -> bytes:
    """Write a pcapng file with one interface for each link type; resolution is the if_tsresol octet (6 to 9)."""
    links = sorted({packet.link_type for packet in packets} | {ETHERNET})
    parts = [section(order), *(interface(order, link, 0, resolution, offset_s or None) for link in links)]
    for packet in packets:
        ticks = (packet.time_ns - offset_s * S) * 10 ** (6 if resolution is None else resolution) // S
        write = enhanced if kind == 6 else obsolete
        parts.append(write(order, links.index(packet.link_type), ticks % 2**64, packet.frame, packet.wire_length))
    return b"".join(parts)


CONTAINERS: list[tuple[Callable[..., bytes], dict[str, Any]]] = [
    *((pcap, {"order": order, "tick_ns": tick}) for order in "<>" for tick in (1, US)),
    *((pcapng, {"order": order, "resolution": n, "kind": kind}) for order in "<>" for n, kind in ((None, 6), (6, 2), (9, 6), (7, 6))),
    (pcapng, {"order": "<", "resolution": 9, "offset_s": -3_000_000}),
    *((modified, {"order": order}) for order in "<>"),
    *((snoop, {"pad": pad}) for pad in (1, 4)),
]


def files(largest: int = 24) -> st.SearchStrategy[bytes]:
    """Captures of dialogues in any container that keeps microseconds."""
    written = st.sampled_from(CONTAINERS)
    return st.builds(lambda packets, how: how[0](packets, **how[1]), dialogues(largest), written)


@st.composite
def odd_links(draw: st.DrawFn) -> bytes:
    """Captures of dialogues behind other link headers."""
    packets = draw(dialogues(8))
    numbers = draw(st.lists(st.integers(0, 99), min_size=len(packets), max_size=len(packets)))
    if draw(st.booleans()):
        link_type = draw(st.sampled_from(sorted(LINK_HEADERS)))
        return pcap([behind(packet, link_type, number) for packet, number in zip(packets, numbers, strict=True)], link_type=link_type)
    links = draw(st.lists(st.sampled_from(sorted(LINK_HEADERS)), min_size=len(packets), max_size=len(packets)))
    return pcapng([behind(packet, link, number) for packet, link, number in zip(packets, links, numbers, strict=True)])


def _types(ethertype: int) -> list[bytes]:
    """List what may stand where an EtherType does, for the type of an IP version: itself, or a wrapping that leads to it."""
    number = struct.pack("!H", ethertype)
    ppp_number = b"\0\x21" if ethertype == 0x0800 else b"\0\x57"
    snap = b"\xaa\xaa\x03\0\0\0" + number
    bare = b"\x88\x47" + b"\0\1\0\x40" + b"\0\1\1\x40"
    return [
        number,
        number,
        b"\x81\0\0\7" + number,
        b"\x81\0\0\7\0\x64" + snap,
        b"\0\x64" + snap,
        b"\0\x64\x06\x06\x03",
        b"\0\x64\xfe\xfe\x03\xcc",
        b"\0\x64\xaa\xaa\x03\0\x80\xc2\0\7" + MAC + number,
        b"\0\4" + snap,
        b"\0\1\xff\xff",
        bare,
        bare + b"\0\0\0\0" + MAC + number,
        bare + MAC + number,
        bare + b"\0\x1b" + MAC[2:] + number,
        bare + b"\x10\0\0\x21",
        b"\x88\x64\x11\0\0\1\0\x40" + ppp_number,
        b"\x88\x64\x11\0\0\1\0\x40\xc0\x21",
        b"\x88\xe7\0\0\0\5" + MAC + number,
        b"\x89\x3f" + bytes(6) + number,
        b"\x89\x26" + bytes(4) + number,
        b"\x89\x03\0\x20" + MAC + number,
        b"\x88\xe5\0\0\0\0\0\1" + number,
        b"\x88\xe5\x20\0\0\0\0\1" + bytes(8) + number,
        b"\x88\xe5\x2c\0\0\0\0\1" + bytes(8),
        b"\x08\x06",
    ]


def _radio(control: int, flags: int, extra: int) -> bytes:
    """Build an IEEE 802.11 header of a data frame."""
    return bytes((control, flags, 0, 0)) + MAC + MAC[:6] + bytes(2 + extra)


def _openings(ethertype: int) -> dict[int, list[bytes]]:
    """List openings of frames by link type: what stands before IP."""
    types, version = _types(ethertype), 2 if ethertype == 0x0800 else 30
    ppp = (b"\0\x21" if version == 2 else b"\0\x57", b"\x21" if version == 2 else b"\x57", b"\x80\x21", b"\x02\x81\0\1\1\x40")
    llc = [kind[2:] for kind in types if kind[:2] == b"\0\x64"]
    radio = [_radio(8, 1, 0) + llc[0], _radio(0x88, 2, 2) + llc[0], _radio(0x88, 3, 8) + llc[0], _radio(0x88, 0x81, 6) + llc[0]]
    radio += [_radio(0x88, 1, 0) + b"\x80\0" + bytes(14) + llc[0], _radio(8, 0x41, 0), b"\x80\0" + bytes(30), _radio(0x48, 1, 0)]
    taps = [struct.pack("<BBHI", 0, 0, 8, 0), struct.pack("<BBHIB", 0, 0, 9, 2, 0), struct.pack("<BBHIQB", 0, 0, 17, 3, 0, 0x20)]
    taps += [
        struct.pack("<BBHIIQB", 0, 0, 25, 0x80000003, 0, 0, 0x20),
        struct.pack("<BBHIB", 0, 0, 9, 2, 0x20),
        struct.pack("<BBHI", 0, 0, 7, 0),
    ]
    padded = radio[1][:26] + bytes(2) + radio[1][26:]
    relay = [b"\x18\x41\x03\xcc", b"\x18\x41\x03\0\x8e", b"\x18\x40\x41\x03\0\x80\0\0\0" + types[0], b"\x18\x41" + types[0]]
    relay += [b"\x18\x41\x03\x81"]
    family, network = struct.pack("<I", version), struct.pack("!I", version)
    return {
        0: [family, network, bytes(4)],
        1: [MAC + kind for kind in types],
        6: [b"\x10\x40" + MAC + llc[0], b"\x10\x40" + MAC[:6] + b"\x82" + MAC[7:] + b"\x06\x10abcd" + llc[0]],
        8: [bytes(16)],
        9: [*ppp, b"\xff\x03" + ppp[0], b"\x0f\0" + types[0]],
        10: [b"\x50" + MAC + kind for kind in llc],
        51: [b"\x11\0\0\1\0\x40" + ppp[0]],
        100: llc,
        101: [b""],
        104: [b"\x0f\0" + kind for kind in types],
        105: radio,
        107: relay,
        109: [family + bytes(8), network + bytes(8)],
        113: [bytes(14) + kind for kind in types],
        117: [bytes((61, version)) + bytes(62), bytes((3, version, 0, 0)), bytes((0, version, 0, 0))],
        119: [struct.pack("<II", 0x44, 144) + bytes(136) + radio[0], struct.pack("!II", 0x80211001, 64) + bytes(56) + radio[0], bytes(8)],
        122: [bytes(16) + kind for kind in llc],
        127: [tap + (padded if tap[-1:] == b"\x20" else frame) for tap in taps for frame in radio],
        138: [bytes(16) + kind for kind in types],
        163: [struct.pack("!II", 0x80211002, 64) + bytes(56) + frame for frame in radio],
        192: [
            struct.pack("<BBHI", 0, 0, 8, 105) + radio[0],
            struct.pack("<BBHI", 0, 0, 12, 1) + bytes(4) + MAC + types[0],
            bytes(8) + family,
        ],
        204: [b"\1" + start for start in ppp],
        205: [b"\1\x0f\0" + kind for kind in types],
        206: [b"\1" + start for start in relay],
        239: [bytes((version, 0, 0, 0)) + b"\5\0\1\0a\0\0\0" + b"\x40\0\x09\0", bytes((version, 0, 0, 0)) + b"\2\0\1\0"],
        242: [bytes(40) + kind[:2] + bytes(2) for kind in types],
        276: [types[0] + bytes(18), b"\0\4" + bytes(18) + types[4][2:], b"\0\1" + bytes(18)],
        281: [MAC + bytes(4) + kind for kind in types],
        282: [bytes(4) + MAC + kind for kind in types],
        285: [MAC + bytes(8) + types[0]],
        189: [b""],
        165: [b""],
        143: [b""],
    }


_OPENINGS = {4: _openings(0x0800), 6: _openings(0x86DD)}


@st.composite
def odd_wrappings(draw: st.DrawFn) -> bytes:
    """Captures of packets behind every link header and wrapping, cut and changed at any octet."""
    packets = []
    for place in range(draw(st.integers(1, 6))):
        version = draw(st.sampled_from([4, 4, 6]))
        link = draw(st.sampled_from(sorted(_OPENINGS[version])))
        body = udp((1024, 53), b"data")
        ip = ipv4(V4[0], V4[1], 17, body) if version == 4 else ipv6(V6[0], V6[1], 17, body)
        frame = bytearray(draw(st.sampled_from(_OPENINGS[version][link])) + ip)
        if frame and draw(st.integers(0, 3)) == 0:
            frame[draw(st.integers(0, min(len(frame), 60) - 1))] = draw(
                st.one_of(st.sampled_from([0, 3, 0x45, 0x60, 0x88, 255]), st.integers(0, 255))
            )
        whole = len(frame)
        kept = draw(st.integers(0, whole)) if draw(st.integers(0, 2)) == 0 else whole
        packets.append(Sent(S + place * US, bytes(frame[:kept]), whole, link))
    return pcapng(packets)


def _gre(flags: int, protocol: int, more: bytes = b"") -> bytes:
    return struct.pack("!HH", flags, protocol) + more


def _carriers(version: int) -> list[tuple[int, bytes]]:
    """List what may stand between two IP headers: the outer one's protocol, and the octets before the inner one."""
    kind = 0x0800 if version == 4 else 0x86DD
    frame, ppp = MAC + struct.pack("!H", kind), b"\xff\x03\0" + (b"\x21" if version == 4 else b"\x57")
    tagged = MAC + struct.pack("!HHH", 0x8100, 9, kind)
    gtp_extended = b"\x34\xff\0\0\0\0\0\1\0\0\0\x85\1\0\0\xc0\1\0\0\0"
    datagrams = [
        ((5, 4789), b"\x08\0\0\0\0\0\7\0" + frame),
        ((5, 4789), b"\0\0\0\0\0\0\7\0" + frame),
        ((5, 8472), b"\x08\0\0\0\0\0\7\0" + tagged),
        ((5, 4790), b"\x0c\0\0" + (b"\1" if version == 4 else b"\2") + b"\0\0\7\0"),
        ((5, 4790), b"\x08\0\0\1\0\0\7\0" + frame),
        ((5, 6081), b"\0\0\x65\x58\0\0\7\0" + frame),
        ((5, 6081), b"\2\0" + struct.pack("!H", kind) + b"\0\0\7\0" + bytes(8)),
        ((2152, 5), b"\x30\xff\0\0\0\0\0\1"),
        ((5, 2152), b"\x32\xff\0\0\0\0\0\1\0\1\0\0"),
        ((5, 2152), gtp_extended),
        ((5, 2152), gtp_extended[:12] + b"\0" + gtp_extended[13:]),
        ((1701, 1701), b"\0\2\0\1\0\1" + ppp),
        ((5, 1701), b"\x4a\2\0\x40\0\1\0\1\0\1\0\1\0\2ab" + ppp),
        ((5, 1701), b"\xc8\2\0\x40\0\1\0\1\0\1\0\1"),
        ((3544, 5), b""),
        ((5, 3544), b"\0\1\1\1id" + bytes(9) + b"\0\0" + bytes(6)),
        ((5, 6635), b"\0\1\1\x40"),
        ((5, 6635), b"\0\1\1\x40\0\0\0\0" + frame),
    ]
    wrapped = [(17, struct.pack("!HHHH", *ports, 8, 0) + more) for ports, more in datagrams]
    return [
        *wrapped,
        (4, b""),
        (41, b""),
        (97, b"\x30\0" + frame),
        (47, _gre(0, kind)),
        (47, _gre(0xB000, kind, bytes(12))),
        (47, _gre(0x4000, kind, bytes(4))),
        (47, _gre(0, 0x6558, frame)),
        (47, _gre(0, 0x6558, tagged)),
        (47, _gre(0, 0x88BE, frame)),
        (47, _gre(0x1000, 0x88BE, bytes(12) + frame)),
        (47, _gre(0x1000, 0x22EB, bytes(16) + frame)),
        (47, _gre(0x1000, 0x22EB, bytes(15) + b"\1" + bytes(8) + frame)),
        (47, _gre(0, 0x883E)),
        (47, _gre(0, 0x883E, b"\0\0\0\0")),
        (47, _gre(0x3081, 0x880B, bytes(12) + ppp)),
        (47, _gre(0x2001, 0x880B, bytes(4) + ppp[2:])),
        (47, _gre(0, 0x8847, b"\0\1\1\x40")),
        (47, _gre(0, 0x1234)),
    ]


_CARRIERS = {4: _carriers(4), 6: _carriers(6)}


@st.composite
def odd_tunnels(draw: st.DrawFn) -> bytes:
    """Captures of packets in tunnels up to six deep, to and fro, cut and changed at any octet."""
    packets = []
    for place in range(draw(st.integers(1, 6))):
        version, (here, there) = draw(st.sampled_from([4, 4, 6])), draw(st.sampled_from([(0, 1), (1, 0)]))
        protocol, octets = 17, udp((1024, 53) if here == 0 else (53, 1024), b"data")
        for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3, 6])) + 1):
            fragment = draw(st.sampled_from([0] * 9 + [0x2000, 0x00FF]))
            if version == 4:
                ip = ipv4(V4[here], V4[there], protocol, octets, fragment=fragment)
            else:
                ip = ipv6(V6[here], V6[there], protocol, octets)
            protocol, before = draw(st.sampled_from(_CARRIERS[version]))
            octets, kind, version = before + ip, version, draw(st.sampled_from([4, 4, 6]))
        frame = bytearray(ethernet(0x0800 if kind == 4 else 0x86DD, ip))
        if draw(st.integers(0, 3)) == 0:
            frame[draw(st.integers(14, len(frame) - 1))] = draw(st.one_of(st.sampled_from([0, 0x45, 0x60, 255]), st.integers(0, 255)))
        whole = len(frame)
        kept = draw(st.integers(0, whole)) if draw(st.integers(0, 3)) == 0 else whole
        packets.append(Sent(S + place * US, bytes(frame[:kept]), whole))
    return pcap(packets)


@st.composite
def odd_headers(draw: st.DrawFn) -> bytes:
    """Captures of single packets whose header fields, extension headers, lengths and cuts are drawn one by one."""
    packets = []
    link_type = draw(st.sampled_from([101, 101, ETHERNET]))
    for place in range(draw(st.integers(1, 4))):
        protocol = draw(st.sampled_from([6, 6, 17, 1, 58, 47, 50, 51, 132, 33, 136, 59, 0, 43, 44, 60]))
        ports = draw(st.sampled_from([(53, 1024), (1024, 80), (11211, 7)]))
        bodies = [
            tcp(ports, 5, 6, draw(st.integers(0, 255)), b"data", options=draw(st.sampled_from(SYN_OPTIONS))),
            udp(ports, b"data"),
            icmp(3, 1, 0),
        ]
        body = {6: bodies[0], 17: bodies[1], 136: bodies[1], 1: icmp(8, 0, 7), 58: icmp(129, 0, 7)}.get(
            protocol, draw(st.sampled_from([b"", bytes(range(24))]))
        )
        if protocol == 6 and draw(st.booleans()):
            body = body[:12] + bytes((draw(st.integers(0, 15)) << 4,)) + body[13:]
        if draw(st.booleans()):
            chain = draw(st.lists(st.sampled_from(EXTENSIONS[:-1]), max_size=3))
            ip = ipv6(V6[0], V6[1], protocol, body, chain=chain)
            length_at, true_length = 4, len(ip) - 40
        else:
            fragment = draw(st.sampled_from([0, 0, 0x4000, 0x2000, 0x2001, 0x1FFF]))
            ip = ipv4(V4[0], V4[1], protocol, body, fragment=fragment, options=bytes(4 * draw(st.sampled_from([0, 0, 1, 10]))))
            length_at, true_length = 2, len(ip)
        if draw(st.booleans()):
            claimed = draw(st.one_of(st.sampled_from([0, 19, 20, 40, 65535]), st.integers(max(true_length - 30, 0), true_length + 9)))
            ip = ip[:length_at] + struct.pack("!H", claimed) + ip[length_at + 2 :]
        if draw(st.integers(0, 9)) == 0:
            ip = bytes((draw(st.integers(0, 255)),)) + ip[1:]
        wire = len(ip) + draw(st.sampled_from([0, 0, 0, 6, -10]))
        kept = ip[: draw(st.integers(0, len(ip)))] if draw(st.booleans()) else ip
        frame = kept if link_type != ETHERNET else ethernet(0x86DD if ip[0] >> 4 == 6 else 0x0800, kept)
        packets.append(Sent(1_700_000_000 * S + place, frame, max(0, wire + len(frame) - len(kept)), link_type))
    return pcap(packets, tick_ns=1, link_type=link_type)


@st.composite
def odd_sections(draw: st.DrawFn) -> bytes:
    """pcapng files of several sections and interfaces with any resolution, offset and time, blocks of every type, known and not."""
    frames = [packet.frame for packet in draw(dialogues(6))] or [b"?"]
    resolutions = st.one_of(
        st.none(), st.integers(0, 255), st.sampled_from([0, 6, 9, 12, 18, 19, 20, 0x80, 0x9E, 0xA1, 0xA2, 0xBF, 0xC0, 0xC1])
    )
    edge = st.sampled_from([-(2**63), 2**63 - 1, 9_223_372_035, 9_223_372_036, 0, -1, 2**40])
    offsets = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), edge)
    ticks = st.one_of(
        st.integers(0, 2**64 - 1), st.integers(0, 2**34), st.sampled_from([9_223_372_035 * S + 5, 9_223_372_036 * S, 2**64 - 1])
    )
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        order = draw(st.sampled_from("<>"))
        parts.append(section(order))
        for _ in range(draw(st.integers(0, 6))):
            frame, number = draw(st.sampled_from(frames)), draw(st.integers(0, 2))
            wire = draw(st.sampled_from([len(frame), len(frame) + 9, max(len(frame) - 3, 0)]))
            which = draw(
                st.sampled_from(
                    ["interface", "interface", "enhanced", "enhanced", "obsolete", "simple", "unknown", "options", "statistics"]
                )
            )
            if which == "interface":
                snaplen = draw(st.sampled_from([0, 40, 65535]))
                parts.append(interface(order, draw(st.sampled_from([1, 101, 147])), snaplen, draw(resolutions), draw(offsets)))
            elif which == "enhanced":
                parts.append(enhanced(order, number, draw(ticks), frame, wire))
            elif which == "obsolete":
                parts.append(obsolete(order, number, draw(ticks), frame, wire))
            elif which == "simple":
                parts.append(simple(order, frame, wire))
            elif which == "statistics":
                counts = st.tuples(st.sampled_from([4, 5, 7, 8]), st.one_of(st.integers(0, 9), st.just(2**40)))
                parts.append(statistics(order, number, draw(st.lists(counts, max_size=3))))
            elif which == "unknown":
                parts.append(block(order, draw(st.sampled_from([4, 5, 10, 0x0BAD, 0x80000001])), draw(st.binary(max_size=9))))
            else:
                parts.append(block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + draw(st.binary(max_size=24))))
    return b"".join(parts)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Captures with some octets overwritten, taken out or put in, and the end cut off."""
    data = bytearray(draw(st.one_of(files(8), odd_sections(), odd_links())))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        octets = draw(st.one_of(st.binary(max_size=4), st.sampled_from([b"\xff" * 4, bytes(4), b"\0\0\0\x0c", b"\x0a\x0d\x0d\x0a"])))
        data[place : place + draw(st.integers(0, 4))] = octets
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)
