"""Generate captures without an attack that resemble floods and reflections: games, resolvers, tunnels, downloads, swarms, pings.

Each scene takes a random generator and a start time and returns packets, like those of calm.py; SCENES lists them.
"""

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

from answers import (
    GAME_QUERY,
    STUN_COOKIE,
    ZONES,
    Asked,
    bencoded,
    ber,
    binding,
    dtls_handshake,
    dtls_record,
    dtls_server_flight,
    game_info,
    node_status,
    quic_flight,
    quic_long,
    snmp,
    snmp_variable,
    stun,
    stun_address,
    stun_text,
)
from attack import Extent, moments
from calm import Scene
from datagrams import ask_around, exchange, look_up, tell_time, watch
from dialogue import CLIENT, LINUX, MICROSECOND, MILLISECOND, SECOND, SERVER, STACKS, Host, Path, Turn, converse
from hosts import (
    BALANCER,
    FILES,
    MONITOR,
    OFFICE,
    RESOLVER,
    colleague,
    head,
    high_port,
    local,
    stranger,
)
from messages import (
    AGENTS,
    WORDS,
    client_hello,
    dns_answer,
    dns_name,
    dns_query,
    http_answer,
    http_get,
    name,
    ntp,
    page_path,
    sealed,
    server_hello,
    ssdp_search,
    text_data,
)
from people import check_health, fetch, ordinary, store, visit
from wire import BROADCAST_MAC, Head, Packet, checksum, icmp, ip_frame, ipv4, one_sided, snap, udp, udp_datagram, udp_fragments

GRE, ESP, IGMP = 47, 50, 2
GAME_PORT, GAME_CLIENT_PORT = 27015, 27005
ONE_FRAME = 1472  # bytes of UDP payload
NODE_STATUS_QUESTION = b"\x20CK" + b"A" * 30 + b"\0" + struct.pack(">HH", 0x21, 1)


class Line(NamedTuple):
    """Name the two ends of a UDP exchange and their ports."""

    ends: tuple[Host, Host]
    ports: tuple[int, int]


class Group(NamedTuple):
    """Name a multicast group, its datagrams' source and destination ports, and their TTL."""

    address: int
    sport: int
    dport: int
    ttl: int


MDNS, LLMNR, SSDP = Group(0xE00000FB, 5353, 5353, 255), Group(0xE00000FC, 0, 5355, 1), Group(0xEFFFFFFA, 1900, 1900, 4)


def _send(rng: random.Random, at_ns: int, line: Line, who: int, body: bytes) -> Packet:
    """Return one datagram from one end (0 or 1) to the other."""
    source, target = line.ends[who], line.ends[1 - who]
    return Packet(at_ns, udp(head(source, target, rng), line.ports[who], line.ports[1 - who], body))


def _broadcast(packet: Packet) -> Packet:
    """Return the packet with the broadcast MAC address as its destination."""
    return packet._replace(frame=BROADCAST_MAC + packet.frame[6:])


def _within(rng: random.Random, at_ns: int, seconds: float) -> int:
    """Return a random time within ``seconds`` of ``at_ns``."""
    return at_ns + int(rng.random() * seconds * SECOND)


def game_server(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let 60 players play: 30 packets per second each way, and occasionally a server browser's query, which is answered."""
    server, packets = local(27), []
    seconds, state = rng.uniform(2.5, 4), game_info(rng, Asked(b"", 0, 0, 0))[0]
    ticks = [at_ns + turn * SECOND // 30 for turn in range(int(seconds * 30))]
    for _ in range(60):
        line = Line((stranger(rng), server), (rng.choice((GAME_CLIENT_PORT, high_port(rng))), GAME_PORT))
        phase, numbers, talk = rng.randrange(33 * MILLISECOND), [rng.randrange(5000), rng.randrange(5000)], rng.randrange(40, 300)
        for tick in ticks:
            sizes = rng.randrange(30, 70), int(talk * rng.lognormvariate(0, 0.3)) + 20
            for who, when in ((0, tick + phase + int(rng.gauss(0, 1.5) * MILLISECOND)), (1, tick + rng.randrange(1800) * MICROSECOND)):
                numbers[who] += 1
                body = struct.pack("<IIB", numbers[who], numbers[1 - who], 0) + rng.randbytes(sizes[who])
                packets.append(_send(rng, max(when, at_ns), line, who, body))
    for _ in range(rng.randint(6, 14)):
        line, when = Line((stranger(rng), server), (high_port(rng), GAME_PORT)), _within(rng, at_ns, seconds - 0.7)
        challenge = b"\xff\xff\xff\xffA" + rng.randbytes(4)
        for asked, told in ((GAME_QUERY, challenge), (GAME_QUERY + challenge[5:], state)):
            packets.append(_send(rng, when, line, 0, asked))
            packets.append(_send(rng, when + rng.randrange(80, 900) * MICROSECOND, line, 1, told))
            when += 2 * line.ends[0].delay_ns + rng.randrange(1, 9) * MILLISECOND
    return snap(packets, 74)


def _with_signatures(message: bytes) -> bytes:
    """Return a message that ends in an EDNS record with the bit set that requests, or announces, signatures (DO)."""
    return message[:-6] + b"\0\0\x80\0\0\0"


def _signed_answer(rng: random.Random, number: int, text: str, kind: int) -> bytes:
    """Return a large response as from a signed zone: keys or text, and their signatures."""
    signature = struct.pack(">HBBIIIH", kind, 8, 2, 3600, 1_720_000_000, 1_710_000_000, rng.getrandbits(16)) + dns_name(text)
    records = [(46, 3600, signature + rng.randbytes(256)) for _ in range(rng.randint(1, 2))]
    if kind == 48:
        records += [(48, 3600, struct.pack(">HBB", flags, 3, 8) + b"\x03\x01\0\x01" + rng.randbytes(256)) for flags in (256, 256, 257, 257)]
    else:
        records += [(16, 300, text_data(rng, rng.randrange(60, 400))) for _ in range(rng.randint(2, 9))]
    return _with_signatures(dns_answer(number, text, kind, records[::-1], 4096))


def large_answers(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let a resolver query many servers for keys and texts, and get large responses, some in fragments or over TCP."""
    asker, packets = RESOLVER, ordinary(rng, at_ns, 30, 30_000)
    for when in moments(rng, at_ns, Extent(rng.uniform(15, 28), rng.randint(110, 150))):
        server, text, kind = stranger(rng, LINUX), f"{rng.choice(WORDS)}.{rng.choice(ZONES)}", rng.choice((16, 16, 48))
        path, number, room = Path(asker, server, high_port(rng), 53), rng.getrandbits(16), rng.choice((1232, 4096))
        asked, told = _with_signatures(dns_query(number, text, kind, room)), _signed_answer(rng, number, text, kind)
        if len(told) > room:
            question = dns_name(text) + struct.pack(">HH", kind, 1)
            short = struct.pack(">HHHHHH", number, 0x8700, 1, 0, 0, 0) + question
            packets += exchange(rng, when, path, (asked, short))
            later = when + 2 * server.delay_ns + 2 * MILLISECOND
            turns = [Turn(who, struct.pack(">H", len(body)) + body) for who, body in ((CLIENT, asked), (SERVER, told))]
            packets += converse(rng, later, path._replace(sport=high_port(rng)), turns)
            continue
        packets += exchange(rng, when, path, (asked, b""))
        back = when + 2 * server.delay_ns + rng.randrange(60, 900) * MICROSECOND
        for frame in udp_fragments(head(server, asker, rng), (53, path.sport), told):
            packets.append(Packet(back, frame))
            back += rng.randrange(12, 40) * MICROSECOND
    return packets


def time_client(rng: random.Random, at_ns: int) -> list[Packet]:
    """Synchronise time with several servers: bursts at the start, then a query to each about once a minute."""
    client, packets = local(77), ordinary(rng, at_ns, 60, 30_000)
    for _ in range(rng.randint(5, 9)):
        server, port = stranger(rng, LINUX), rng.choice((123, 123, high_port(rng)))
        when = _within(rng, at_ns, 2)
        times = [when + turn * 2 * SECOND for turn in range(8)]
        times += [times[-1] + int((turn + rng.uniform(-0.03, 0.03)) * 64 * SECOND) for turn in range(1, rng.randint(5, 9))]
        for each in times:
            begun = each + rng.randrange(4000) * MICROSECOND
            messages = ntp(3, 0, begun), ntp(4, 2, begun + server.delay_ns, begun)
            packets += exchange(rng, begun, Path(client, server, port, 123), messages if rng.random() < 0.97 else (messages[0], b""))
    for number in range(rng.randint(4, 12)):
        packets += tell_time(rng, _within(rng, at_ns, 300), local(150 + number), stranger(rng, LINUX))
    return packets


def _table(rng: random.Random, column: int, first: int, rows: int) -> bytes:
    """Return rows of one column of the interfaces table: names, counters or states."""
    bound = b""
    for row in range(first, first + rows):
        if column == 2:
            value = ber(4, f"GigabitEthernet0/{row}".encode())
        elif column in {10, 16}:
            value = ber(0x41, struct.pack(">I", rng.getrandbits(31)))
        else:
            value = ber(2, bytes((rng.choice((1, 1, 1, 2)),)))
        bound += snmp_variable(bytes((2, 2, 1, column, row)), value)
    return bound


def network_monitor(rng: random.Random, at_ns: int) -> list[Packet]:
    """Poll 40 switches by SNMP every 20 seconds: the uptime, then four columns of the interfaces table."""
    devices = [
        Host(0x0A140000 | rng.getrandbits(16), LINUX._replace(ttl=255), 2, rng.randrange(200, 4000) * MICROSECOND) for _ in range(40)
    ]
    packets = ordinary(rng, at_ns, 50, 30_000)
    for turn in range(3):
        for device in devices:
            when, path = _within(rng, at_ns + turn * 20 * SECOND, 1.5), Path(MONITOR, device, high_port(rng), 161)
            number = rng.getrandbits(30)
            up = b"\x01\x03\x00"
            asked, told = snmp_variable(up, b"\x05\0"), snmp_variable(up, ber(0x43, struct.pack(">I", rng.getrandbits(30))))
            packets += exchange(rng, when, path, (snmp(0xA0, number, (0, 0), asked), snmp(0xA2, number, (0, 0), told)))
            for place, column in enumerate((2, 8, 10, 16), 1):
                when += 2 * device.delay_ns + rng.randrange(1, 6) * MILLISECOND
                wanted = snmp_variable(bytes((2, 2, 1, column)), b"\x05\0")
                answer = snmp(0xA2, number + place, (0, 0), _table(rng, column, 1, 24))
                packets += exchange(rng, when, path, (snmp(0xA5, number + place, (0, 24), wanted), answer))
    return snap(packets, 300)


def serial_adapters(rng: random.Random, at_ns: int) -> list[Packet]:
    """Look for 60 serial-to-Ethernet adapters every 20 seconds: each is asked for its firmware and its setup record, and answers."""
    adapters = [
        Host(0x0A150000 | rng.getrandbits(16), LINUX._replace(ttl=64), 2, rng.randrange(200, 4000) * MICROSECOND) for _ in range(60)
    ]
    packets = ordinary(rng, at_ns, 50, 30_000)
    for turn in range(3):
        for adapter in adapters:
            when, path = _within(rng, at_ns + turn * 20 * SECOND, 1.5), Path(MONITOR, adapter, high_port(rng), 30718)
            for asked in (0xF6, 0xF8):
                told = struct.pack(">I", asked + 1) + rng.randbytes(8) + bytes(108)
                packets += exchange(rng, when, path, (struct.pack(">I", asked), told))
                when += 2 * adapter.delay_ns + rng.randrange(1, 6) * MILLISECOND
    return packets


def _quic_short(rng: random.Random, target: bytes, octets: int) -> bytes:
    """Return a protected QUIC packet with a short header."""
    return bytes((0x40 | rng.getrandbits(6),)) + target + rng.randbytes(octets)


def _download(rng: random.Random, at_ns: int, line: Line, octets: int) -> list[Packet]:
    """Fetch something over HTTP/3: handshake, request, data in bursts clocked by acknowledgements."""
    mine, theirs, trip = rng.choice((b"", rng.randbytes(8))), rng.randbytes(8), 2 * line.ends[1].delay_ns
    first = quic_long(rng, 0, (rng.randbytes(8), mine), 1250 - 26 - len(mine))
    packets, when = [_send(rng, at_ns, line, 0, first)], at_ns + trip + rng.randrange(300, 2000) * MICROSECOND
    for body in quic_flight(rng, (mine, theirs), 1250):
        packets.append(_send(rng, when, line, 1, body))
        when += rng.randrange(12, 60) * MICROSECOND
    when += rng.randrange(200, 1500) * MICROSECOND
    packets.append(_send(rng, when, line, 0, quic_long(rng, 0, (theirs, mine), 24) + quic_long(rng, 2, (theirs, mine), 1150)))
    packets.append(_send(rng, when + 90 * MICROSECOND, line, 0, quic_long(rng, 2, (theirs, mine), 60) + _quic_short(rng, theirs, 40)))
    packets.append(_send(rng, when + 140 * MICROSECOND, line, 0, _quic_short(rng, theirs, rng.randrange(120, 420))))
    when += trip + rng.randrange(1, 12) * MILLISECOND
    window = 10
    while octets > 0:
        for number in range(min(window, 1 + octets // 1200)):
            packets.append(_send(rng, when, line, 1, _quic_short(rng, mine, max(40, min(1250, octets)) - 1 - len(mine))))
            if number % 2:
                packets.append(
                    _send(rng, when + rng.randrange(60, 700) * MICROSECOND, line, 0, _quic_short(rng, theirs, rng.randrange(24, 34)))
                )
            octets -= 1200
            when += rng.randrange(12, 130) * MICROSECOND
        window = min(2 * window, 80)
        when += int(trip * rng.uniform(0.9, 1.1))
    return packets


def modern_downloads(rng: random.Random, at_ns: int) -> list[Packet]:
    """Fetch over HTTP/3 from a dozen servers at the same time."""
    client, packets = colleague(rng), []
    for _ in range(12):
        server, when = stranger(rng, LINUX), _within(rng, at_ns + 40 * MILLISECOND, 6)
        packets += look_up(rng, when - 30 * MILLISECOND, client, local(2, LINUX, OFFICE))
        packets += _download(rng, when, Line((client, server), (high_port(rng), 443)), rng.randint(100_000, 350_000))
    return snap(packets, 110)


def _dht(rng: random.Random, at_ns: int, line: Line, asker: int) -> list[Packet]:
    """Query a node of a distributed hash table for nodes, peers or a ping; a node that is gone does not reply."""
    token, kind = rng.randbytes(2), rng.choice((b"ping", b"find_node", b"get_peers"))
    fields: dict[bytes, object] = {b"id": rng.randbytes(20)}
    told: dict[bytes, object] = {b"id": rng.randbytes(20)}
    if kind != b"ping":
        fields[b"target" if kind == b"find_node" else b"info_hash"] = rng.randbytes(20)
        told |= {b"nodes": rng.randbytes(208)}
    if kind == b"get_peers":
        told |= {b"token": rng.randbytes(8), b"values": [rng.randbytes(6) for _ in range(rng.choice((0, 0, 8, 20)))]}
    packets = [_send(rng, at_ns, line, asker, bencoded({b"a": fields, b"q": kind, b"t": token, b"v": b"LT\x02\0", b"y": b"q"}))]
    if asker or rng.random() < 0.75:
        wait = (2 * line.ends[1].delay_ns if not asker else 0) + rng.randrange(300, 3000) * MICROSECOND
        packets.append(_send(rng, at_ns + wait, line, 1 - asker, bencoded({b"r": told, b"t": token, b"v": b"LT\x02\0", b"y": b"r"})))
    return packets


def _micro_transport(rng: random.Random, at_ns: int, line: Line, count: int) -> list[Packet]:
    """Download pieces of a file over uTP (BEP 29): data one way, state the other."""
    packets, number, ident, when = [], rng.randrange(60000), rng.randrange(60000), at_ns
    for turn in range(count):
        stamps = struct.pack(">III", when // 1000 & 0xFFFFFFFF, rng.randrange(10_000, 90_000), 1_048_576)
        tail = stamps + struct.pack(">HH", number + turn & 0xFFFF, 7)
        packets.append(_send(rng, when, line, 1, struct.pack(">BBH", 0x01, 0, ident) + tail + rng.randbytes(1380)))
        state = stamps + struct.pack(">HH", 8, number + turn & 0xFFFF)
        back = when + rng.randrange(100, 2500) * MICROSECOND
        packets.append(_send(rng, back, line, 0, struct.pack(">BBH", 0x21, 0, ident + 1) + state))
        when += int(rng.expovariate(1 / 25) * MILLISECOND)
    return packets


def swarm(rng: random.Random, at_ns: int) -> list[Packet]:
    """Share files by BitTorrent: queries from and to 300 nodes of the hash table, and pieces from a few peers."""
    client, packets, seconds = colleague(rng), ordinary(rng, at_ns, 40, 20_000), rng.uniform(25, 45)
    port = rng.choice((6881, 51413, rng.randrange(20000, 60000)))
    for number in range(300):
        line = Line((client, stranger(rng)), (port, rng.choice((6881, 51413, rng.randrange(1024, 65536)))))
        for _ in range(rng.choice((1, 1, 2))):
            packets += _dht(rng, _within(rng, at_ns, seconds), line, int(rng.random() < 0.35))
        if number < 6:
            packets += _micro_transport(rng, _within(rng, at_ns, seconds / 2), line, rng.randrange(60, 160))
    return snap(packets, 240)


def _checks(rng: random.Random, at_ns: int, line: Line, count: int) -> list[Packet]:
    """Play ICE connectivity checks both ways, which continue as consent checks during the call."""
    packets = []
    for turn in range(count):
        for who in (0, 1):
            when = at_ns + turn * 5 * SECOND + rng.randrange(400) * MILLISECOND
            token, caller, sign = rng.randbytes(12), line.ends[who].address, stun_text(8, rng.randbytes(20))
            asked = (
                stun_text(6, b"9uB6:F7gI")
                + struct.pack(">HHQ", 0x802A - who, 8, rng.getrandbits(64))
                + struct.pack(">HHI", 0x24, 4, 0x6E7F1EFF)
            )
            told = stun_address(0x20, caller ^ STUN_COOKIE, line.ports[who] ^ 0x2112) + sign
            packets.append(_send(rng, when, line, who, stun(0x0001, token, asked + sign, sealed=True)))
            later = when + 2 * line.ends[1 - who].delay_ns + rng.randrange(200, 1500) * MICROSECOND
            packets.append(_send(rng, later, line, 1 - who, stun(0x0101, token, told, sealed=True)))
    return packets


def _agreement(rng: random.Random, at_ns: int, line: Line) -> list[Packet]:
    """Play the DTLS handshake of a call."""
    hello = bytes.fromhex("fefd") + rng.randbytes(32) + b"\0\0" + bytes.fromhex("0004c02b009c0100")
    hello += struct.pack(">H", 13) + bytes.fromhex("000e0005000200010000170000")
    trip = 2 * line.ends[1].delay_ns
    keys = dtls_record(0xFEFD, 1, dtls_handshake(16, 1, b"\x01\0" + rng.randbytes(256))) + dtls_record(0xFEFD, 2, b"\x01", 20)
    flights = (
        (0, dtls_record(0xFEFF, 0, dtls_handshake(1, 0, hello))),
        (1, dtls_server_flight(rng)),
        (0, keys + dtls_record(0xFEFD, 0, rng.randbytes(48), 22, 1)),
        (1, dtls_record(0xFEFD, 3, b"\x01", 20) + dtls_record(0xFEFD, 0, rng.randbytes(48), 22, 1)),
    )
    packets, when = [], at_ns
    for who, body in flights:
        when += (trip if who else 0) + rng.randrange(800, 4000) * MICROSECOND
        packets.append(_send(rng, when, line, who, body))
    return packets


def _media(rng: random.Random, at_ns: int, line: Line, who: int, seconds: float) -> list[Packet]:
    """Send encrypted audio, 50 packets per second, and video, 25 frames per second in several packets each, from one end."""
    packets, marks = [], (rng.getrandbits(32), rng.getrandbits(32))
    number = rng.getrandbits(14)
    for turn in range(int(seconds * 50)):
        when = at_ns + turn * 20 * MILLISECOND + int(abs(rng.gauss(0, 1.2)) * MILLISECOND)
        sound = struct.pack(">BBHII", 0x80, 111, turn & 0xFFFF, turn * 960, marks[0])
        packets.append(_send(rng, when, line, who, sound + rng.randbytes(rng.randrange(60, 130))))
        if turn % 2:
            parts = rng.randint(9, 14) if turn % 100 == 1 else rng.choice((1, 2, 2, 3))
            for part in range(parts):
                number += 1
                mark = 0x80 if part == parts - 1 else 0
                picture = struct.pack(">BBHII", 0x80, mark | 96, number & 0xFFFF, turn * 1800, marks[1])
                size = 1060 if part < parts - 1 else rng.randrange(120, 1000)
                packets.append(_send(rng, when + (part * 350 + rng.randrange(200)) * MICROSECOND, line, who, picture + rng.randbytes(size)))
        if turn % 50 == 25:
            report = (
                struct.pack(">BBHI", 0x81, 201, 7, marks[0]) + rng.randbytes(24) + struct.pack(">I", 1 << 31 | turn) + rng.randbytes(10)
            )
            packets.append(_send(rng, when + 3 * MILLISECOND, line, who, report))
    return packets


def browser_call(rng: random.Random, at_ns: int) -> list[Packet]:
    """Hold a call between browsers: STUN to servers and between the ends, a DTLS handshake, audio and video both ways."""
    caller, callee = local(61), stranger(rng)
    line, packets = Line((caller, callee), (high_port(rng), high_port(rng))), ordinary(rng, at_ns, 14, 20_000)
    for turn in range(3):
        for _ in range(2):
            server, token = stranger(rng, LINUX), rng.randbytes(16)
            asked = Asked(token, server.address, caller.address, line.ports[0])
            messages = stun(0x0001, token, b""), binding(rng, asked)[0]
            when = _within(rng, at_ns + turn * 4 * SECOND, 0.2)
            packets += exchange(rng, when, Path(caller, server, line.ports[0], rng.choice((3478, 19302))), messages)
    begun, seconds = at_ns + SECOND, rng.uniform(7, 11)
    packets += _checks(rng, begun, line, 2) + _agreement(rng, begun + 700 * MILLISECOND, line)
    for who in (0, 1):
        packets += _media(rng, begun + 1200 * MILLISECOND + who * 8 * MILLISECOND, line, who, seconds)
    return snap(packets, 120)


def _tunnelled(rng: random.Random, at_ns: int, wrap: Callable[[int, bytes], bytes], protocol: int) -> list[Packet]:
    """Transfer files both ways between two private networks through two gateways, each packet encapsulated."""
    near, far = local(4), stranger(rng, LINUX)._replace(delay_ns=rng.randrange(800, 3000) * MICROSECOND)
    inner: list[Packet] = []
    small = STACKS[3]
    for number in range(rng.randint(4, 6)):
        here = Host(0x0A010000 | 10 + number, small, 1, 200 * MICROSECOND)
        there = Host(0x0A020000 | 20 + number, small, 1, far.delay_ns)
        client, server = rng.choice(((here, there), (there, here)))
        inner += rng.choice((fetch, store))(rng, _within(rng, at_ns, 1), client, server, rng.randint(250_000, 500_000))
    packets = ordinary(rng, at_ns, 6, 15_000)
    for time_ns, frame, _ in sorted(inner, key=lambda packet: packet.time_ns):
        body = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
        way = int(frame[27] == 2)  # the source's second byte: 10.1 is near, 10.2 far
        source, target = ((near, far), (far, near))[way]
        packets.append(Packet(time_ns, ip_frame(head(source, target, rng), protocol, wrap(way, body))))
    return packets


def plain_tunnel(rng: random.Random, at_ns: int) -> list[Packet]:
    """Carry private networks' traffic over GRE at full speed."""
    return snap(_tunnelled(rng, at_ns, lambda _, body: struct.pack(">HH", 0, 0x0800) + body, GRE), 110)


def sealed_tunnel(rng: random.Random, at_ns: int) -> list[Packet]:
    """Carry private networks' traffic over ESP at full speed: one SPI per direction, sequence numbers that count up."""
    indexes, numbers = (rng.randrange(1 << 24, 1 << 32), rng.randrange(1 << 24, 1 << 32)), [rng.randrange(90_000), rng.randrange(90_000)]

    def wrap(way: int, body: bytes) -> bytes:
        numbers[way] += 1
        return struct.pack(">II", indexes[way], numbers[way]) + rng.randbytes(8 + (len(body) + 5) // 4 * 4 + 16)

    return snap(_tunnelled(rng, at_ns, wrap, ESP), 80)


def _name_question(rng: random.Random, host: str) -> bytes:
    """Return a NetBIOS name query, broadcast."""
    coded = b"".join(bytes((0x41 + (byte >> 4), 0x41 + (byte & 15))) for byte in host.upper().ljust(15).encode() + b"\0")
    return rng.randbytes(2) + struct.pack(">HHHHH", 0x0110, 1, 0, 0, 0) + b"\x20" + coded + b"\0" + struct.pack(">HH", 0x20, 1)


def _notice(rng: random.Random, host: Host, first: str) -> bytes:
    """Return an SSDP notification or response of a device."""
    text = ".".join(str(byte) for byte in host.address.to_bytes(4, "big"))
    lines = [first, "CACHE-CONTROL: max-age=1800", f"LOCATION: http://{text}:49152/root.xml", "SERVER: Linux UPnP/1.0 device/1.0"]
    kind = rng.choice(("upnp:rootdevice", "urn:schemas-upnp-org:device:MediaRenderer:1"))
    lines += [f"{'NT' if first[0] == 'N' else 'ST'}: {kind}", f"USN: uuid:{rng.getrandbits(64):016x}::{kind}"]
    lines += ["HOST: 239.255.255.250:1900", "NTS: ssdp:alive"] if first[0] == "N" else ["EXT:"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _multicast(rng: random.Random, at_ns: int, host: Host, group: Group, body: bytes) -> Packet:
    """Return one datagram to a multicast group."""
    spread = Head(host.address, group.address, group.ttl, rng.getrandbits(16), 0)
    return Packet(at_ns, udp(spread, group.sport, group.dport, body))


def _neighbour(rng: random.Random, at_ns: int, host: Host, others: list[Host]) -> list[Packet]:
    """Play one host's announcements and queries to all others on a LAN: mDNS, LLMNR, NetBIOS, SSDP, IGMP."""
    title = f"{rng.choice(WORDS)}-{host.address & 255}"
    service = dns_name(rng.choice(("_ipp._tcp.local", "_airplay._tcp.local", "_googlecast._tcp.local", "_smb._tcp.local")))
    data = bytes((len(title),)) + title.encode() + b"\xc0\x0c"
    told = struct.pack(">HHHHHH", 0, 0x8400, 0, 1, 0, 0) + service + struct.pack(">HHIH", 12, 1, 4500, len(data)) + data
    everyone, packets = host.address | 0xFF, [_multicast(rng, at_ns + wait * SECOND, host, MDNS, told) for wait in (0, 1, 3)]
    question = (
        struct.pack(">HHHHHH", rng.getrandbits(16), 0, 1, 0, 0, 0)
        + bytes((len(title),))
        + title.encode()
        + b"\0"
        + struct.pack(">HH", 1, 1)
    )
    when = _within(rng, at_ns, 20)
    if host.stack.ttl == 128:
        group = LLMNR._replace(sport=high_port(rng))
        packets += [_multicast(rng, when + turn * 100 * MILLISECOND, host, group, question) for turn in (0, 4)]
        asked = _name_question(rng, rng.choice(WORDS))
        for turn in range(3):
            spread = Head(host.address, everyone, 128, rng.getrandbits(16), 0)
            packets.append(_broadcast(Packet(when + turn * 750 * MILLISECOND, udp(spread, 137, 137, asked))))
        answerer, token = rng.choice(others), rng.randbytes(16)
        messages = token[:2] + struct.pack(">HHHHH", 0, 1, 0, 0, 0) + NODE_STATUS_QUESTION, node_status(rng, Asked(token, 0, 0, 0))[0]
        packets += exchange(rng, when + 3 * SECOND, Path(host, answerer, 137, 137), messages)
    else:
        packets += [
            _multicast(rng, when + turn * 40 * MILLISECOND, host, SSDP, _notice(rng, host, "NOTIFY * HTTP/1.1"))
            for turn in range(rng.randint(2, 6))
        ]
    port = high_port(rng)
    for turn in range(2):
        begun = _within(rng, at_ns + turn * 10 * SECOND, 10)
        packets.append(_multicast(rng, begun, host, SSDP._replace(sport=port, ttl=2), ssdp_search()))
        for each in rng.sample(others, min(4, len(others))):
            later = begun + rng.randrange(20, 1900) * MILLISECOND
            packets.append(Packet(later, udp(head(each, host, rng), 1900, port, _notice(rng, each, "HTTP/1.1 200 OK"))))
    return packets + [_membership(rng, _within(rng, at_ns, 20), host, group) for group in (MDNS.address, SSDP.address)]


def _membership(rng: random.Random, at_ns: int, host: Host, group: int) -> Packet:
    """Return an IGMPv2 report."""
    first, last = b"\x16\0", group.to_bytes(4, "big")
    body = first + checksum(first + b"\0\0" + last).to_bytes(2, "big") + last
    return Packet(at_ns, ip_frame(Head(host.address, group, 1, rng.getrandbits(16), 0), IGMP, body))


def lan_chatter(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let the hosts of an office announce and discover each other, while one of them streams television to a multicast group."""
    team = [
        Host(OFFICE | 20 + 4 * number, rng.choice(STACKS), 0, rng.randrange(80, 900) * MICROSECOND) for number in range(rng.randint(25, 45))
    ]
    packets = ask_around(rng, at_ns, team)
    for host in team:
        packets += _neighbour(rng, _within(rng, at_ns, 20), host, [other for other in team if other != host])
    source, group, mark = team[0], Group(0xEFC00000 | rng.getrandbits(16), 5004, 5004, 8), rng.getrandbits(32)
    for turn in range(rng.randint(500, 900)):
        body = struct.pack(">BBHII", 0x80, 33, turn & 0xFFFF, turn * 810, mark) + (b"\x47\x01\x00\x10" + rng.randbytes(184)) * 7
        when = at_ns + 8 * SECOND + turn * 9 * MILLISECOND + rng.randrange(900) * MICROSECOND
        packets.append(_multicast(rng, when, source, group, body))
    return snap(packets, 300)


def joined_downloads(rng: random.Random, at_ns: int) -> list[Packet]:
    """Begin in the middle of many downloads to one gateway, with only the incoming direction captured."""
    shared = local(9)._replace(delay_ns=rng.randrange(300, 2000) * MICROSECOND)
    packets: list[Packet] = []
    for _ in range(30):
        server, port = stranger(rng, LINUX), rng.choice((80, 443, 443))
        turns = [Turn(CLIENT, client_hello(rng, name(rng))), Turn(SERVER, server_hello(rng))] if port == 443 else []
        for _ in range(rng.randint(9, 14)):
            size = rng.randrange(8_000, 26_000)
            wait = int(rng.uniform(0.5, 3) * SECOND)
            asked = sealed(rng, 400) if port == 443 else http_get(rng, name(rng), page_path(rng), rng.choice(AGENTS))
            told = sealed(rng, size) if port == 443 else http_answer(rng, size, kind="application/octet-stream")
            turns += [Turn(CLIENT, asked, wait), Turn(SERVER, told, rng.randrange(2, 30) * MILLISECOND)]
        client = shared._replace(stack=rng.choice(STACKS))
        packets += converse(rng, _within(rng, at_ns, 2), Path(client, server, high_port(rng), port), turns, "none")
    middle = [packet for packet in packets if 5 * SECOND <= packet.time_ns - at_ns < 16 * SECOND]
    return snap(one_sided(middle, shared.address), 90)


def busy_prefix(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let most hosts of a prefix do a little each, all of it answered: DNS, NTP, pings, pages."""
    packets, resolvers = [], [stranger(rng, LINUX) for _ in range(3)]
    for number in sorted(rng.sample(range(2, 254), rng.randint(150, 230))):
        host, when = local(number), _within(rng, at_ns, 8)
        packets += look_up(rng, when, host, rng.choice(resolvers))
        packets += rng.choice((look_up, tell_time))(rng, _within(rng, at_ns, 8), host, stranger(rng, LINUX))
        if rng.random() < 0.35:
            packets += visit(rng, when + 60 * MILLISECOND, host, stranger(rng, LINUX))
        if rng.random() < 0.15:
            packets += watch(rng, _within(rng, at_ns, 8), stranger(rng), host, rng.randint(1, 3))
    return snap(packets, 140)


def regular_backup(rng: random.Random, at_ns: int) -> list[Packet]:
    """Send changes to the backup store every 20 seconds, one burst each time."""
    packets = ordinary(rng, at_ns, 120, 50_000)
    sources = [local(70 + number)._replace(delay_ns=rng.randrange(80, 300) * MICROSECOND) for number in range(rng.randint(1, 3))]
    for turn in range(6):
        for source in sources:
            when = at_ns + (3 + 20 * turn) * SECOND + rng.randrange(400) * MILLISECOND
            packets += store(rng, when, source, FILES, rng.randint(500_000, 900_000) // len(sources))
    return snap(packets, 110)


def _trace(rng: random.Random, at_ns: int, source: Host, target: Host) -> list[Packet]:
    """Trace the route to a host as traceroute does: three datagrams per hop, and the returned errors."""
    routers = [stranger(rng, LINUX._replace(ttl=255))._replace(hops=hop) for hop in range(1, rng.randint(7, 14))]
    packets, when, dport = [], at_ns, 33434
    for hop, router in enumerate([*routers, target], 1):
        for _ in range(3):
            asked = head(source, target, rng)._replace(ttl=hop, fragment=0)
            body = udp_datagram(asked, (high_port(rng), dport), bytes(range(0x40, 0x60)))
            packets.append(Packet(when, ip_frame(asked, 17, body)))
            if rng.random() < 0.88:
                final = router == target
                cited = ipv4(asked._replace(ttl=1), 17, body)
                back = Head(router.address, source.address, max(router.stack.ttl - router.hops, 1), rng.getrandbits(16), 0, 0xC0)
                trip = hop * rng.randrange(900, 2600) * MICROSECOND
                packets.append(Packet(when + trip, icmp(back, 3 if final else 11, 3 if final else 0, b"\0\0\0\0" + cited)))
            dport += 1
            when += rng.randrange(2, 30) * MILLISECOND
    return packets


def ping_monitor(rng: random.Random, at_ns: int) -> list[Packet]:
    """Ping 200 hosts every ten seconds, a few of which are down, and trace some routes."""
    watched = [local(number) for number in range(30, 90)] + [
        Host(0x0A1E0000 | number, STACKS[number % 12], 1, 400_000) for number in range(1, 41)
    ]
    watched += [stranger(rng) for _ in range(100)]
    down, number, packets = set(rng.sample(range(200), rng.randint(2, 12))), rng.getrandbits(16), ordinary(rng, at_ns, 35, 20_000)
    for turn in range(rng.randint(3, 4)):
        for place, host in enumerate(watched):
            when = at_ns + turn * 10 * SECOND + place * 10 * MILLISECOND + rng.randrange(900) * MICROSECOND
            rest = struct.pack(">HH", number, turn) + struct.pack("<QQ", when // SECOND, when % SECOND // 1000) + bytes(range(16, 56))
            packets.append(Packet(when, icmp(head(MONITOR, host, rng), 8, 0, rest)))
            if place not in down and rng.random() < 0.995:
                back = when + 2 * host.delay_ns + rng.randrange(30, 400) * MICROSECOND
                packets.append(Packet(back, icmp(head(host, MONITOR, rng), 0, 0, rest)))
    for _ in range(rng.randint(3, 6)):
        packets += _trace(rng, _within(rng, at_ns, 25), MONITOR, stranger(rng))
    return packets


def busy_balancer(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let a load balancer pass clients' requests to eight servers, from one address over many short connections, and check their health."""
    farm, seconds = [local(100 + number) for number in range(8)], rng.uniform(10, 16)
    packets: list[Packet] = []
    for server in farm:
        packets += check_health(rng, _within(rng, at_ns, 1), server, int(seconds), 1.0)
    for when in moments(rng, at_ns, Extent(seconds, rng.randint(140, 220))):
        client, site, path, agent = stranger(rng), name(rng), page_path(rng), rng.choice(AGENTS)
        asked, told = http_get(rng, site, path, agent), http_answer(rng, int(rng.lognormvariate(7.2, 0.7)))
        later = when + 2 * client.delay_ns + rng.randrange(200, 900) * MICROSECOND
        behind = [Turn(CLIENT, asked), Turn(SERVER, told, rng.randrange(1, 9) * MILLISECOND)]
        packets += converse(rng, later, Path(BALANCER, rng.choice(farm), high_port(rng), 80), behind, "server-fin")
        front = [Turn(CLIENT, asked), Turn(SERVER, told, rng.randrange(3, 14) * MILLISECOND)]
        packets += converse(rng, when, Path(client, BALANCER, high_port(rng), 80), front, rng.choice(("fin", "rst", "none")))
    return snap(packets, 150)


SCENES = {
    "game-server": Scene(game_server, "ordinary", "60 players both ways and answered queries; not a query or UDP flood"),
    "large-dns-answers": Scene(large_answers, "ordinary", "large answers of many servers, all asked for; not a DNS reflection"),
    "ntp-client": Scene(time_client, "ordinary", "answers of time servers, all asked for; not an NTP reflection"),
    "snmp-polling": Scene(network_monitor, "measurement", "bulk answers of 40 devices, all asked for; not an SNMP reflection"),
    "serial-adapters": Scene(serial_adapters, "measurement", "replies of 60 adapters, all asked for; not a Lantronix reflection"),
    "http3-downloads": Scene(modern_downloads, "bulk-transfer", "large datagrams from port 443 of a dozen servers, acknowledged"),
    "bittorrent": Scene(swarm, "ordinary", "300 peers both ways over UDP; not a reflection"),
    "webrtc-call": Scene(browser_call, "ordinary", "STUN, DTLS and media both ways; not a UDP flood"),
    "gre-tunnel": Scene(plain_tunnel, "bulk-transfer", "a tunnel at full speed; not a GRE flood"),
    "ipsec-tunnel": Scene(sealed_tunnel, "bulk-transfer", "a tunnel at full speed; not an ESP flood"),
    "lan-chatter": Scene(lan_chatter, "ordinary", "discovery, answers to it and multicast on a LAN; not a reflection"),
    "joined-downloads": Scene(joined_downloads, "bulk-transfer", "half a view of old connections; not an ACK flood or a TCP reflection"),
    "busy-prefix": Scene(busy_prefix, "ordinary", "a little to each host of a prefix, all answered; not carpet bombing"),
    "regular-backup": Scene(regular_backup, "bulk-transfer", "a burst every 20 seconds; not a pulse wave"),
    "ping-monitor": Scene(ping_monitor, "measurement", "200 hosts pinged every ten seconds, and traces; not an echo flood, smurf or sweep"),
    "busy-balancer": Scene(busy_balancer, "ordinary", "many short connections from one address; not a connection flood"),
}
