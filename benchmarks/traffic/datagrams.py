"""Play what ordinary hosts do without TCP: look up names, synchronise time, call, ping, and talk on their LAN.

Functions take a random generator, a time and hosts, and return timed packets. No function here generates an attack.
"""

import random
import struct
from collections.abc import Sequence

from dialogue import (
    MICROSECOND,
    MILLISECOND,
    SECOND,
    Host,
    Path,
)
from hosts import CLOCK, PHONE, RESOLVER, WEB, head, high_port, public_address
from messages import (
    dhcp,
    dns_answer,
    dns_query,
    mdns_question,
    name,
    ntp,
    rtp,
    sip,
    ssdp_search,
)
from wire import Head, Packet, arp, icmp, mac_of, udp


def exchange(rng: random.Random, at_ns: int, path: Path, messages: tuple[bytes, bytes]) -> list[Packet]:
    """Play one UDP request and its response; an empty response is a lost one."""
    client, server, sport, dport = path
    packets = [Packet(at_ns, udp(head(client, server, rng), sport, dport, messages[0]))]
    if messages[1]:
        later = at_ns + 2 * server.delay_ns + int(rng.uniform(60, 900)) * MICROSECOND
        packets.append(Packet(later, udp(head(server, client, rng), dport, sport, messages[1])))
    return packets


def look_up(rng: random.Random, at_ns: int, client: Host, server: Host = RESOLVER) -> list[Packet]:
    """Query one or two names and get the matching responses."""
    text = name(rng)
    packets: list[Packet] = []
    for kind in rng.choice(((1,), (1, 28), (1,), (15,), (12,))):
        number, size = rng.getrandbits(16), rng.choice((0, 1232, 4096))
        asked = f"{rng.randrange(256)}.113.0.203.in-addr.arpa" if kind == 12 else text
        records = [] if rng.random() < 0.07 else _records(rng, kind)
        messages = dns_query(number, asked, kind, size), dns_answer(number, asked, kind, records, size and 1232)
        at_ns += rng.randrange(20, 400) * MICROSECOND
        packets += exchange(rng, at_ns, Path(client, server, high_port(rng), 53), messages)
    return packets


def _records(rng: random.Random, kind: int) -> list[tuple[int, int, bytes]]:
    """Return the records of an ordinary response."""
    life = rng.choice((30, 60, 300, 3600))
    if kind == 28:
        return [(28, life, bytes.fromhex("20010db8") + rng.randbytes(12))]
    if kind == 15:
        return [(15, life, b"\x00\x0a\x04mail\xc0\x0c")]
    if kind == 12:
        return [(12, life, b"\x04host\x07example\x03net\x00")]
    return [(1, life, public_address(rng).to_bytes(4, "big")) for _ in range(rng.choice((1, 1, 2, 4)))]


def tell_time(rng: random.Random, at_ns: int, client: Host, server: Host = CLOCK) -> list[Packet]:
    """Poll an NTP server once."""
    port = rng.choice((123, high_port(rng)))
    messages = ntp(3, 0, at_ns), ntp(4, 2, at_ns + 2 * server.delay_ns, at_ns)
    return exchange(rng, at_ns, Path(client, server, port, 123), messages)


def call(rng: random.Random, at_ns: int, caller: Host, callee: Host = PHONE, seconds: float = 4.0) -> list[Packet]:
    """Set up a call with SIP and speak both ways, one packet every 20 ms."""
    ports = (2 * rng.randrange(5000, 16000), 2 * rng.randrange(5000, 16000))
    packets = _ring(rng, at_ns, (caller, callee), ports)
    begun = at_ns + 3 * SECOND // 2
    for way, (source, target) in enumerate(((caller, callee), (callee, caller))):
        ssrc, first = rng.getrandbits(32), rng.getrandbits(15)
        for number in range(int(seconds * 50)):
            when = begun + number * 20 * MILLISECOND + int(rng.gauss(0, 0.7) * MILLISECOND) + way * 7 * MILLISECOND
            body = rng.randbytes(160)
            frame = udp(head(source, target, rng), ports[way], ports[1 - way], rtp(first + number, ssrc, body))
            packets.append(Packet(when, frame))
    return packets


def _ring(rng: random.Random, at_ns: int, ends: tuple[Host, Host], ports: tuple[int, int]) -> list[Packet]:
    """Play the signalling of a call."""
    caller, callee = ends
    common = ["Via: SIP/2.0/UDP phone.example;branch=z9hG4bK77", "From: <sip:ann@voice.example>;tag=1", "To: <sip:bob@voice.example>"]
    common.append(f"Call-ID: {rng.getrandbits(48):012x}@voice.example")
    packets = []
    told = (
        (0, "INVITE sip:bob@voice.example SIP/2.0", "1 INVITE", ports[0], 0.0),
        (1, "SIP/2.0 100 Trying", "1 INVITE", 0, 0.02),
        (1, "SIP/2.0 180 Ringing", "1 INVITE", 0, 0.2),
        (1, "SIP/2.0 200 OK", "1 INVITE", ports[1], 1.3),
        (0, "ACK sip:bob@voice.example SIP/2.0", "1 ACK", 0, 1.38),
    )
    for who, first, number, port, after in told:
        fields = [*common, f"CSeq: {number}", "Contact: <sip:ann@voice.example>"]
        body = ""
        if port:
            fields.append("Content-Type: application/sdp")
            text = ".".join(str(byte) for byte in ends[who].address.to_bytes(4, "big"))
            body = f"v=0\r\no=- 1 1 IN IP4 {text}\r\ns=-\r\nc=IN IP4 {text}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        frame = udp(head((caller, callee)[who], (callee, caller)[who], rng), 5060, 5060, sip(first, fields, body))
        packets.append(Packet(at_ns + int(after * SECOND), frame))
    return packets


def watch(rng: random.Random, at_ns: int, client: Host, server: Host = WEB, count: int = 10) -> list[Packet]:
    """Ping a host once a second."""
    number, packets = rng.getrandbits(16), []
    for turn in range(count):
        when = at_ns + turn * SECOND + rng.randrange(300) * MICROSECOND
        rest = struct.pack(">HH", number, turn + 1) + struct.pack("<QQ", when // SECOND, when % SECOND // 1000) + bytes(range(16, 56))
        packets.append(Packet(when, icmp(head(client, server, rng), 8, 0, rest)))
        back = when + 2 * server.delay_ns + rng.randrange(30, 90) * MICROSECOND
        packets.append(Packet(back, icmp(head(server, client, rng), 0, 0, rest)))
    return packets


def ask_around(rng: random.Random, at_ns: int, hosts: Sequence[Host]) -> list[Packet]:
    """Play the broadcast traffic of a LAN: ARP, DHCP, mDNS and SSDP."""
    packets: list[Packet] = []
    gateway = hosts[0].address & 0xFFFFFF00 | 1
    for host in hosts:
        when = at_ns + rng.randrange(4000) * MILLISECOND
        packets += [Packet(when, arp(1, host.address, gateway)), Packet(when + 200 * MICROSECOND, arp(2, gateway, host.address))]
        service = rng.choice(("_ipp._tcp.local", "_airplay._tcp.local", "_googlecast._tcp.local"))
        spread = Head(host.address, 0xE00000FB, 255, rng.getrandbits(16))
        packets.append(Packet(when + 90 * MILLISECOND, udp(spread, 5353, 5353, mdns_question(service))))
        if host.stack.ttl == 128:
            search = Head(host.address, 0xEFFFFFFA, rng.choice((1, 2, 4)), rng.getrandbits(16))
            port = high_port(rng)
            packets += [Packet(when + turn * SECOND, udp(search, port, 1900, ssdp_search())) for turn in range(3)]
    return packets + _lease(rng, at_ns + rng.randrange(900) * MILLISECOND, hosts[-1].address)


def _lease(rng: random.Random, at_ns: int, address: int) -> list[Packet]:
    """Play a DHCP lease."""
    number, mac = rng.getrandbits(32), mac_of(address)
    keeper = address & 0xFFFFFF00 | 1
    packets = []
    for turn, kind in enumerate((1, 2, 3, 5)):
        operation = 1 + turn % 2
        ends = Head(0, 0xFFFFFFFF, 64, rng.getrandbits(16)) if operation == 1 else Head(keeper, address, 64, rng.getrandbits(16))
        ports = (68, 67) if operation == 1 else (67, 68)
        packets.append(Packet(at_ns + turn * 15 * MILLISECOND, udp(ends, *ports, dhcp(operation, kind, number, mac, address))))
    return packets
