"""Generate floods that reach the victim directly: TCP flags of every kind, UDP, ICMP, fragments.

Each function takes a random generator, a start time, an extent and a victim, and returns the packets with their label.
"""

import random
import struct
from collections.abc import Sequence
from typing import NamedTuple

from attack import Attack, Extent, Origin, bots, few_ttls, forged, moments, soon, volumetric
from dialogue import LINUX, MILLISECOND, Host, option_bytes
from hosts import public_address
from wire import (
    ACK,
    CWR,
    DONT_FRAGMENT,
    ECE,
    FIN,
    ICMP,
    MORE_FRAGMENTS,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    URG,
    Head,
    Packet,
    Segment,
    icmp,
    ip_frame,
    ipv4,
    tcp,
    udp,
)

WINDOWS = (512, 1024, 5840, 8192, 14600, 16384, 64240, 65535)
FIXED_OPTIONS = (b"", b"", b"", bytes.fromhex("020405b4"), bytes.fromhex("020405b401010402"))


class Recipe(NamedTuple):
    """Hold what a flood tool keeps constant in every segment."""

    dport: int
    window: int
    options: bytes
    ack: int
    seq: int  # 0 draws a new one each time
    fragment: int


def _recipe(rng: random.Random, ports: Sequence[int] = (80, 443, 22, 25565, 30120, 8080)) -> Recipe:
    """Draw a tool's constants."""
    fixed = rng.getrandbits(32) if rng.random() < 0.3 else 0
    ack = rng.choice((0, rng.getrandbits(32)))
    return Recipe(rng.choice(ports), rng.choice(WINDOWS), rng.choice(FIXED_OPTIONS), ack, fixed, rng.choice((0, DONT_FRAGMENT)))


def _shot(rng: random.Random, origin: Origin, victim: Host, recipe: Recipe, flags: int) -> tuple[Head, Segment]:
    """Return one segment of a TCP flood."""
    head = Head(origin.address, victim.address, origin.ttl, rng.getrandbits(16), recipe.fragment)
    seq = recipe.seq or rng.getrandbits(32)
    return head, Segment(rng.randrange(1024, 65536), recipe.dport, seq, recipe.ack, flags, recipe.window, recipe.options)


def _syn_answer(rng: random.Random, victim: Host, shot: tuple[Head, Segment], at_ns: int) -> Packet:
    """Return the victim's SYN-ACK."""
    head, asked = shot
    options = option_bytes(LINUX, 0, 0, "ms" if asked.options else "m")
    back = Segment(asked.dport, asked.sport, rng.getrandbits(32), asked.seq + 1, SYN | ACK, 64240, options)
    return Packet(at_ns + soon(rng, victim), tcp(Head(victim.address, head.src, 64, 0), back))


def _reset_answer(rng: random.Random, victim: Host, shot: tuple[Head, Segment], at_ns: int) -> Packet:
    """Return the victim's RST to a segment that matches no connection."""
    head, asked = shot
    back = Segment(asked.dport, asked.sport, asked.ack, 0, RST, 0)
    return Packet(at_ns + soon(rng, victim), tcp(Head(victim.address, head.src, 64, 0), back))


def spoofed_syn_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood one port with SYNs from random addresses, few TTLs and one fixed header."""
    recipe, ttls, packets = _recipe(rng), few_ttls(rng), []
    flags = rng.choice((SYN, SYN, SYN, SYN | ECE | CWR))
    answered = rng.choice((0.0, 0.2, 0.6))  # of all SYNs, until the backlog is full
    for when in moments(rng, at_ns, extent):
        shot = _shot(rng, forged(rng, ttls), victim, recipe, flags)
        packets.append(Packet(when, tcp(*shot)))
        if rng.random() < answered:
            packets.append(_syn_answer(rng, victim, shot, when))
    return volumetric(packets, "tcp-syn-flood", victim)


def bot_syn_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood one port with SYNs from a few real machines whose ports and sequence numbers repeat or count up."""
    recipe, senders, packets = _recipe(rng)._replace(seq=0), bots(rng, rng.randint(2, 9)), []
    first, step, answered = rng.randrange(1024, 30000), rng.choice((0, 1, 1)), rng.choice((0.0, 0.3, 0.7))
    base = rng.getrandbits(31)
    for number, when in enumerate(moments(rng, at_ns, extent)):
        head, drawn = _shot(rng, rng.choice(senders), victim, recipe, SYN)
        shot = head, drawn._replace(sport=first + number // len(senders) % 4000 * step, seq=base + number * step)
        packets.append(Packet(when, tcp(*shot)))
        if rng.random() < answered:
            packets.append(_syn_answer(rng, victim, shot, when))
    return volumetric(packets, "tcp-syn-flood", victim)


def _stateless(rng: random.Random, at_ns: int, extent: Extent, victim: Host, flags: Sequence[int]) -> list[Packet]:
    """Return segments that belong to no connection, from spoofed sources or from a crowd of bots."""
    recipe, ttls, packets = _recipe(rng)._replace(options=b"", seq=0), few_ttls(rng), []
    crowd = bots(rng, rng.randint(20, 300)) if rng.random() < 0.4 else []
    answered = rng.choice((0.0, 0.3, 0.8)) if not flags[0] & RST else 0.0
    body = rng.randbytes(rng.choice((0, 0, 0, 16, 512))) if flags[0] & PSH else b""
    for when in moments(rng, at_ns, extent):
        head, drawn = _shot(rng, rng.choice(crowd) if crowd else forged(rng, ttls), victim, recipe, rng.choice(flags))
        shot = head, drawn._replace(ack=rng.getrandbits(32) if drawn.flags & ACK else 0, payload=body)
        packets.append(Packet(when, tcp(*shot)))
        if rng.random() < answered:
            packets.append(_reset_answer(rng, victim, shot, when))
    return packets


def ack_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with ACKs, sometimes PSH-ACKs, that match no connection."""
    return volumetric(_stateless(rng, at_ns, extent, victim, rng.choice(((ACK,), (PSH | ACK,)))), "tcp-ack-flood", victim)


def rst_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with RSTs that match no connection."""
    return volumetric(_stateless(rng, at_ns, extent, victim, rng.choice(((RST,), (RST | ACK,), (RST, RST | ACK)))), "tcp-rst-flood", victim)


def fin_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with FINs that match no connection."""
    return volumetric(_stateless(rng, at_ns, extent, victim, rng.choice(((FIN,), (FIN | ACK,)))), "tcp-fin-flood", victim)


def odd_flags_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with flag combinations that no stack sends."""
    everything = FIN | SYN | RST | PSH | ACK | URG
    sets = ((FIN | PSH | URG,), (SYN | FIN,), (everything,), (SYN | PSH | URG, SYN | FIN, FIN | PSH | URG), (SYN | RST, everything))
    return volumetric(_stateless(rng, at_ns, extent, victim, rng.choice(sets)), "tcp-flag-flood", victim)


def udp_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with datagrams of one size and content from a few machines, to random ports or one."""
    senders, packets = bots(rng, rng.randint(1, 6)), []
    size = rng.choice((1, 18, 64, 128, 512))
    body = rng.choice((b"\0" * size, b"A" * size, rng.randbytes(size)))
    target, port = rng.choice((0, 0, 9999, 7777, 22005)), rng.randrange(20000, 60000)
    refused = rng.choice((0.0, 0.02, 0.1))
    for when in moments(rng, at_ns, extent):
        sender = rng.choice(senders)
        head = Head(sender.address, victim.address, sender.ttl, rng.getrandbits(16), 0)
        dport = target or rng.randrange(20000, 65536)
        frame = udp(head, port, dport, body)
        packets.append(Packet(when, frame))
        if rng.random() < refused:
            back = Head(victim.address, sender.address, 64, rng.getrandbits(16), 0, 0xC0)
            packets.append(Packet(when + soon(rng, victim), icmp(back, 3, 3, b"\0\0\0\0" + frame[14 : 42 + min(size, 28)])))
    return volumetric(packets, "udp-flood", victim)


def echo_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with echo requests of one size, some of them answered."""
    crowd, ttls, packets = bots(rng, rng.choice((3, 40, 0))), few_ttls(rng), []
    body, number = b"\x41" * rng.choice((0, 32, 56, 500)), rng.getrandbits(16)
    answered = rng.choice((0.0, 0.3, 1.0))
    for turn, when in enumerate(moments(rng, at_ns, extent)):
        sender = rng.choice(crowd) if crowd else forged(rng, ttls)
        rest = struct.pack(">HH", number, turn & 0xFFFF) + body
        packets.append(Packet(when, icmp(Head(sender.address, victim.address, sender.ttl, rng.getrandbits(16), 0), 8, 0, rest)))
        if rng.random() < answered:
            back = Head(victim.address, sender.address, 64, rng.getrandbits(16), 0)
            packets.append(Packet(when + soon(rng, victim), icmp(back, 0, 0, rest)))
    return volumetric(packets, "icmp-echo-flood", victim)


def unreachable_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with port-unreachable messages about packets that the victim never sent (BlackNurse)."""
    senders, packets = bots(rng, rng.randint(1, 5)), []
    for when in moments(rng, at_ns, extent):
        sender = rng.choice(senders)
        inner = ipv4(
            Head(victim.address, sender.address, 51, rng.getrandbits(16), 0),
            UDP,
            struct.pack(">HHHH", rng.randrange(1024, 65536), 53, 40, 0),
        )
        cited = inner[:2] + struct.pack(">H", 60) + inner[4:]
        head = Head(sender.address, victim.address, sender.ttl, rng.getrandbits(16), 0)
        packets.append(Packet(when, icmp(head, 3, 3, b"\0\0\0\0" + _cited(cited))))
    return volumetric(packets, "icmp-unreachable-flood", victim)


def _cited(packet: bytes) -> bytes:
    """Return a cited IPv4 packet with the header checksum corrected."""
    header = packet[:10] + b"\0\0" + packet[12:20]
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return packet[:10] + struct.pack(">H", 0xFFFF - total) + packet[12:]


def fragment_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with later fragments whose first one never arrives."""
    crowd, ttls, packets = bots(rng, rng.choice((2, 30, 0))), few_ttls(rng), []
    protocol, size = rng.choice((UDP, UDP, TCP, ICMP)), 8 * rng.choice((4, 16, 60, 120))
    for when in moments(rng, at_ns, extent):
        sender = rng.choice(crowd) if crowd else forged(rng, ttls)
        mark = rng.randrange(1, 180) | rng.choice((0, MORE_FRAGMENTS))
        head = Head(sender.address, victim.address, sender.ttl, rng.getrandbits(16), mark)
        packets.append(Packet(when, ip_frame(head, protocol, b"\x55" * size)))
    return volumetric(packets, "ip-fragment-flood", victim)


def synack_reflection(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Reflect SYN-ACKs, retransmitted after a second or three, off many servers; the victim resets some."""
    servers = [Origin(public_address(rng), rng.choice((64, 64, 128, 255)) - rng.randint(5, 22)) for _ in range(rng.randint(60, 400))]
    ports, packets = rng.choice(((80,), (443,), (80, 443), (22, 80, 443, 25))), []
    sized = bytes.fromhex("020405b4"), bytes.fromhex("020405b401010402"), bytes.fromhex("020405a0")
    again, refused = rng.choice((0.0, 0.3)), rng.choice((0.0, 0.12))
    for when in moments(rng, at_ns, extent._replace(amount=int(extent.amount / (1 + again)))):
        place = rng.randrange(len(servers))
        server, port = servers[place], ports[place % len(ports)]
        head = Head(server.address, victim.address, server.ttl, 0)
        segment = Segment(
            port, rng.randrange(1024, 65536), rng.getrandbits(32), rng.getrandbits(32), SYN | ACK, 14600 + place, sized[place % 3]
        )
        packets.append(Packet(when, tcp(head, segment)))
        if rng.random() < again:
            packets.append(Packet(when + 1000 * MILLISECOND + rng.randrange(9) * MILLISECOND, tcp(head, segment)))
        elif rng.random() < refused:
            packets.append(_reset_answer(rng, victim, (head, segment), when))
    return volumetric(packets, "tcp-synack-reflection", victim)
