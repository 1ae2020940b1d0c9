"""Generate further direct floods: by middleboxes, out of state, by queries, by other IP protocols, over a whole prefix.

Each function takes a random generator, a start time, an extent and a victim, and returns the packets with their label. Those
that attack in several ways, or several victims in turn, return several attacks.
"""

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

from answers import GAME_QUERY, ZONES, Asked, game_info
from attack import VOLUMETRIC, Attack, Extent, Label, Origin, bots, dotted, few_ttls, forged, moments, soon, volumetric
from dialogue import LINUX, MICROSECOND, MILLISECOND, SECOND, Host, option_bytes
from floods import spoofed_syn_flood
from hosts import SITE, local, public_address
from messages import WORDS, dns_answer, text_data, words
from reflections import dns_amplification
from wire import (
    ACK,
    DONT_FRAGMENT,
    FIN,
    GATEWAY_MAC,
    ICMP,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    Head,
    Packet,
    Segment,
    icmp,
    ip_frame,
    ipv4,
    is_local,
    mac_of,
    tcp,
    udp,
    udp_datagram,
)

GRE, ESP = 47, 50
GRE_ETHERNET, GRE_IPV4 = 0x6558, 0x0800
SECOND_SITE = 0xC6336400  # 198.51.100.0, TEST-NET-2 (RFC 5737), a prefix that the site's router serves as well
HOSTS_OF_PREFIX = 254

Maker = Callable[[random.Random, int, Extent, Host], Attack]


class Middlebox(NamedTuple):
    """Describe a middlebox: the addresses it replies for, its page in segments, its resets, and how far it acknowledges (-1: not)."""

    addresses: tuple[int, ...]
    ttl: int
    ident: int
    page: tuple[bytes, ...]
    flags: int
    resets: tuple[int, ...]
    window: int
    beyond: int


class Tool(NamedTuple):
    """Hold what a SYN tool keeps constant while it moves from victim to victim."""

    dport: int
    window: int
    options: bytes
    ttls: tuple[int, ...]
    answered: float


def _block_page(rng: random.Random) -> tuple[bytes, ...]:
    """Return the segments of a block page, or of a redirect to one; some boxes have none."""
    site = f"http://{rng.choice(('block', 'warning', 'filter', 'portal'))}.{rng.choice(ZONES)}/"
    kind = rng.choice(("page", "page", "way", "long", "none"))
    if kind == "none":
        return ()
    if kind == "way":
        body = b"HTTP/1.1 302 Found\r\nLocation: " + f"{site}?id={rng.getrandbits(24)}".encode() + b"\r\nContent-Length: 0\r\n"
        return (body + b"Connection: close\r\n\r\n",)
    text = b"<html><head><title>403 Forbidden</title></head><body><h1>" + words(rng, rng.choice((60, 300)) if kind == "page" else 2600)
    text += b'</h1><iframe src="' + site.encode() + b'"></iframe></body></html>'
    head = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(text)
    whole, room = head + text, rng.choice((1460, 1400, 1360))
    return tuple(whole[at : at + room] for at in range(0, len(whole), room))


def _middlebox(rng: random.Random) -> Middlebox:
    """Return a middlebox that replies for some addresses of one network."""
    network = public_address(rng) & 0xFFFFFF00
    addresses = tuple(network | rng.randrange(1, 255) for _ in range(rng.choice((1, 1, 4, 30))))
    page = _block_page(rng)
    resets = rng.choice(((RST,), (RST | ACK,), (RST | ACK, RST | ACK, RST | ACK))) if not page or rng.random() < 0.5 else ()
    ttl = rng.choice((64, 64, 128, 255)) - rng.randint(5, 22)
    flags = rng.choice((PSH | ACK, PSH | ACK, FIN | PSH | ACK))
    return Middlebox(
        addresses, ttl, rng.choice((0, 0, 1, 0x1234)), page, flags, resets, rng.choice((0, 229, 8192, 65535)), rng.choice((62, 62, 1, -1))
    )


def _verdict(rng: random.Random, box: Middlebox, victim: Host, dport: int) -> list[tuple[Head, Segment]]:
    """Return a middlebox's response to one spoofed request: the page and its resets."""
    head = Head(rng.choice(box.addresses), victim.address, box.ttl, box.ident or rng.getrandbits(16), rng.choice((0, DONT_FRAGMENT)))
    seq, asked = rng.getrandbits(32), rng.getrandbits(32)
    ack = asked + box.beyond if box.beyond >= 0 else 0  # past the request, past its SYN alone, or none
    segments = []
    for number, piece in enumerate(box.page):
        last = number == len(box.page) - 1
        segments.append((head, Segment(80, dport, seq, ack, box.flags if last else ACK, box.window, b"", piece)))
        seq += len(piece)
    for number, flags in enumerate(box.resets):
        segments.append((head, Segment(80, dport, seq + number * 1460, ack if flags & ACK else 0, flags, 0)))
    return segments


def middlebox_reflection(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Reflect block pages and resets off middleboxes that reply without a handshake; the victim resets some."""
    boxes, packets = [_middlebox(rng) for _ in range(rng.randint(30, 200))], []
    target, refused = rng.choice((0, 0, 80, rng.randrange(1024, 65536))), rng.choice((0.0, 0.0, 0.3))
    told: list[list[tuple[Head, Segment]]] = []
    spent = 0
    while spent < extent.amount:
        told.append(_verdict(rng, rng.choice(boxes), victim, target or rng.randrange(1024, 65536)))
        spent += len(told[-1])
    for begun, shots in zip(moments(rng, at_ns, extent._replace(amount=len(told))), told, strict=True):
        when = begun
        for number, shot in enumerate(shots):
            packets.append(Packet(when, tcp(shot[0]._replace(ident=shot[0].ident + number), shot[1])))
            if not shot[1].flags & RST and rng.random() < refused:
                packets.append(_reset(rng, victim, shot, when))
            when += rng.randrange(8, 400) * MICROSECOND
    return volumetric(packets, "tcp-middlebox-reflection", victim)


def _reset(rng: random.Random, victim: Host, shot: tuple[Head, Segment], at_ns: int) -> Packet:
    """Return the victim's RST to a segment that matches no connection (RFC 9293, section 3.10.7.1)."""
    head, got = shot
    grown = len(got.payload) + bool(got.flags & SYN) + bool(got.flags & FIN)
    back = (
        Segment(got.dport, got.sport, got.ack, 0, RST, 0)
        if got.flags & ACK
        else Segment(got.dport, got.sport, 0, got.seq + grown, RST | ACK, 0)
    )
    return Packet(at_ns + soon(rng, victim), tcp(Head(victim.address, head.src, 64, 0), back))


def out_of_state_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with a mixture of ACK, PSH-ACK with data, FIN-ACK, RST and SYN-ACK, each from a different source and port."""
    ttls, ports, packets = few_ttls(rng), rng.choice(((80,), (443,), (80, 443), (22, 25, 80, 443, 8080))), []
    kinds = (ACK, PSH | ACK, FIN | ACK, RST, SYN | ACK)
    weights = [rng.uniform(0.3, 1.5) for _ in kinds]
    size, answered = rng.choice((8, 64, 200)), rng.choice((0.0, 0.0, 0.3, 0.8))
    for when in moments(rng, at_ns, extent):
        origin, flags = forged(rng, ttls), rng.choices(kinds, weights)[0]
        head = Head(origin.address, victim.address, origin.ttl, rng.getrandbits(16), DONT_FRAGMENT)
        body = rng.randbytes(rng.randint(1, size)) if flags & PSH else b""
        options = bytes.fromhex("020405b4") if flags & SYN else b""
        numbers = rng.getrandbits(32), rng.getrandbits(32) if flags & ACK else 0
        window = 0 if flags & RST else rng.randrange(200, 65536)
        shot = head, Segment(rng.randrange(1024, 65536), rng.choice(ports), *numbers, flags, window, options, body)
        packets.append(Packet(when, tcp(*shot)))
        if not flags & RST and rng.random() < answered:
            packets.append(_reset(rng, victim, shot, when))
    return volumetric(packets, "tcp-out-of-state-flood", victim)


def game_query_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood a game server with state queries from spoofed sources; it answers some with state or challenge."""
    port, ttls, packets = rng.choice((27015, 27015, 27016, 28015, 2303)), few_ttls(rng), []
    answered, challenged = rng.choice((0.0, 0.0, 0.2, 0.6)), rng.random() < 0.5
    state = game_info(rng, Asked(b"", victim.address, 0, 0))[0]
    fixed = rng.choice((0, 0, rng.randrange(1024, 65536)))
    for when in moments(rng, at_ns, extent):
        origin, sport = forged(rng, ttls), fixed or rng.randrange(1024, 65536)
        head = Head(origin.address, victim.address, origin.ttl, rng.getrandbits(16), 0)
        packets.append(Packet(when, udp(head, sport, port, GAME_QUERY)))
        if rng.random() < answered:
            told = b"\xff\xff\xff\xffA" + rng.randbytes(4) if challenged else state
            back = Head(victim.address, origin.address, 64, rng.getrandbits(16))
            packets.append(Packet(when + soon(rng, victim), udp(back, port, sport, told)))
    return volumetric(packets, "game-query-flood", victim)


def smurf(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Reflect echo replies off all hosts of a network: each spoofed request to its broadcast address brings one from each."""
    network, hops = public_address(rng) & 0xFFFFFF00, rng.randint(5, 20)
    count = min(rng.randint(60, 240), max(10, extent.amount // 4))
    crowd = [Origin(network | number, rng.choice((64, 64, 128, 255)) - hops) for number in sorted(rng.sample(range(1, 255), count))]
    number, body, packets = rng.getrandbits(16), b"\x41" * rng.choice((0, 32, 56, 56)), []
    for turn, begun in enumerate(moments(rng, at_ns, extent._replace(amount=max(1, extent.amount // count)))):
        rest = struct.pack(">HH", number, turn & 0xFFFF) + body
        for sender in crowd:
            if rng.random() < 0.94:
                when = begun + int(rng.expovariate(1 / 1.5) * MILLISECOND)
                head = Head(sender.address, victim.address, sender.ttl, rng.getrandbits(16), 0)
                packets.append(Packet(when, icmp(head, 0, 0, rest)))
    return volumetric(packets, "smurf", victim)


def gre_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with GRE from bots, as Mirai does: inside is a datagram between random addresses and ports, sometimes in Ethernet."""
    senders, size = bots(rng, rng.choice((5, 40, 200))), rng.choice((64, 256, 512, 512))
    same, framed, packets = rng.random() < 0.3, rng.random() < 0.3, []
    for when in moments(rng, at_ns, extent):
        sender, ident = rng.choice(senders), rng.getrandbits(16)
        inner = Head(rng.getrandbits(32), victim.address if same else rng.getrandbits(32), 64, ~ident & 0xFFFF)
        body = ipv4(inner, UDP, udp_datagram(inner, (rng.getrandbits(16), rng.getrandbits(16)), rng.randbytes(size)))
        if framed:
            body = rng.randbytes(12) + struct.pack(">H", GRE_IPV4) + body
        head = Head(sender.address, victim.address, sender.ttl, ident)
        packets.append(Packet(when, ip_frame(head, GRE, struct.pack(">HH", 0, GRE_ETHERNET if framed else GRE_IPV4) + body)))
    return volumetric(packets, "gre-flood", victim)


def esp_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with ESP with a different security parameters index in each packet."""
    crowd, ttls, packets = bots(rng, rng.choice((4, 60, 0))), few_ttls(rng), []
    size, number = 4 * rng.choice((6, 8, 16, 32)), rng.choice((0, 1))
    for when in moments(rng, at_ns, extent):
        sender = rng.choice(crowd) if crowd else forged(rng, ttls)
        head = Head(sender.address, victim.address, sender.ttl, rng.getrandbits(16), 0)
        body = struct.pack(">II", rng.randrange(256, 1 << 32), number or rng.getrandbits(32)) + rng.randbytes(size)
        packets.append(Packet(when, ip_frame(head, ESP, body)))
    return volumetric(packets, "esp-flood", victim)


def protocol_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with packets of random IP protocols and content."""
    crowd, ttls, packets = bots(rng, rng.choice((4, 60, 0, 0))), few_ttls(rng), []
    numbers = [number for number in range(256) if number not in {ICMP, TCP, UDP}]
    size = rng.choice((0, 26, 64, 128))
    for when in moments(rng, at_ns, extent):
        sender = rng.choice(crowd) if crowd else forged(rng, ttls)
        head = Head(sender.address, victim.address, sender.ttl, rng.getrandbits(16), 0)
        packets.append(Packet(when, ip_frame(head, rng.choice(numbers), rng.randbytes(size))))
    return volumetric(packets, "ip-protocol-flood", victim)


def land(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with SYNs that have the victim's address and port as their source."""
    port, ttl, packets = rng.choice((80, 139, 443, 22)), few_ttls(rng)[0], []
    window = rng.choice((512, 2048, 8192, 64240))
    for when in moments(rng, at_ns, extent):
        head = Head(victim.address, victim.address, ttl, rng.getrandbits(16), 0)
        frame = tcp(head, Segment(port, port, rng.getrandbits(32), 0, SYN, window))
        packets.append(Packet(when, frame[:6] + GATEWAY_MAC + frame[12:]))  # it still comes from outside
    return volumetric(packets, "land", victim)


def _prefix(rng: random.Random, victim: Host) -> int:
    """Return the first address of the prefix under attack: the victim's own, or sometimes the second one."""
    return victim.address & 0xFFFFFF00 if rng.random() < 0.7 else SECOND_SITE


def _route(rng: random.Random, net: int, amount: int) -> list[int]:
    """Return ``amount`` targets among 100 to 250 hosts of a prefix, round after round: in order, or shuffled in each round."""
    count = max(1, min(rng.randint(100, 250), amount // 2))
    hosts, shuffled = sorted(rng.sample(range(1, HOSTS_OF_PREFIX + 1), count)), rng.random() < 0.5
    targets: list[int] = []
    while len(targets) < amount:
        targets += [net | number for number in (rng.sample(hosts, count) if shuffled else hosts)]
    return targets[:amount]


def _delivered(frame: bytes, target: int) -> bytes:
    """Return the frame as the next hop receives it, which for the second prefix is the site's router."""
    return frame if is_local(target) else mac_of(SITE | 1) + frame[6:]


def _over_prefix(packets: list[Packet], vector: str, net: int) -> Attack:
    """Return the packets as a volumetric attack on a prefix."""
    return Attack(packets, Label(vector, VOLUMETRIC, f"{dotted(net)}/24"))


def carpet_udp_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood all hosts of the victim's prefix with datagrams, a few to each."""
    senders, net, packets = bots(rng, rng.choice((2, 8, 40, 150))), _prefix(rng, victim), []
    size = rng.choice((1, 18, 18, 48))
    body, port, fixed = rng.choice((b"\0" * size, rng.randbytes(size))), rng.choice((0, 0, 53, 80, 443)), rng.randrange(20000, 60000)
    for when, target in zip(moments(rng, at_ns, extent), _route(rng, net, extent.amount), strict=True):
        sender = rng.choice(senders)
        head = Head(sender.address, target, sender.ttl, rng.getrandbits(16), 0)
        packets.append(Packet(when, _delivered(udp(head, fixed, port or rng.randrange(1024, 65536), body), target)))
    return _over_prefix(packets, "udp-flood", net)


def carpet_dns_amplification(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Reflect large DNS responses off many resolvers to all hosts of the victim's prefix, a few to each."""
    servers, net, packets = bots(rng, rng.randint(60, 300)), _prefix(rng, victim), []
    name, kind = f"{rng.choice(WORDS)}.{rng.choice(ZONES)}", rng.choice((255, 16))
    records = [(16, rng.choice((300, 3600)), text_data(rng, rng.randrange(150, 240))) for _ in range(rng.randint(2, 3))]
    if kind == 255:
        records += [(1, 300, public_address(rng).to_bytes(4, "big")) for _ in range(rng.randint(1, 4))]
    fixed = rng.choice((0, 0, 80, 443))
    for when, target in zip(moments(rng, at_ns, extent), _route(rng, net, extent.amount), strict=True):
        server = rng.choice(servers)
        head = Head(server.address, target, server.ttl, rng.getrandbits(16), 0)
        answer = dns_answer(rng.getrandbits(16), name, kind, rng.sample(records, len(records)), 4096)
        packets.append(Packet(when, _delivered(udp(head, 53, fixed or rng.randrange(1024, 65536), answer), target)))
    return _over_prefix(packets, "dns-amplification", net)


def _pulsed(rng: random.Random, at_ns: int, extent: Extent, victim: Host, make: Maker) -> Attack:
    """Play a flood without its pauses, one second per burst, and then insert the pauses."""
    count = max(5, min(8, round(extent.seconds / rng.uniform(10, 30))))
    attack = make(rng, at_ns, extent._replace(seconds=count), victim)
    period = extent.seconds / count
    begins = [int((turn + rng.uniform(-0.08, 0.08)) * period * SECOND) for turn in range(count)]
    packets = []
    for packet in attack.packets:
        turn = min((packet.time_ns - at_ns) // SECOND, count - 1)
        packets.append(packet._replace(time_ns=packet.time_ns - turn * SECOND + begins[turn] - begins[0]))
    return attack._replace(packets=packets)


def pulse_syn_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with SYNs in five to eight bursts of a second, 10 to 30 seconds apart."""
    return _pulsed(rng, at_ns, extent, victim, spoofed_syn_flood)


def _small_datagrams(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with small identical datagrams from some machines, to random ports or one."""
    senders, packets = bots(rng, rng.choice((2, 8, 60))), []
    body, port, fixed = rng.randbytes(rng.choice((1, 18, 32, 48))), rng.choice((0, 0, 80, 443, 27015)), rng.randrange(20000, 60000)
    for when in moments(rng, at_ns, extent):
        sender = rng.choice(senders)
        head = Head(sender.address, victim.address, sender.ttl, rng.getrandbits(16), 0)
        packets.append(Packet(when, udp(head, fixed, port or rng.randrange(1024, 65536), body)))
    return volumetric(packets, "udp-flood", victim)


def pulse_udp_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Flood with datagrams in five to eight bursts of a second, 10 to 30 seconds apart."""
    return _pulsed(rng, at_ns, extent, victim, _small_datagrams)


def multi_vector(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> tuple[Attack, ...]:
    """Attack one victim with SYNs, datagrams and reflected DNS responses at the same time; the extent counts all their packets."""
    attacks = []
    for make, share in ((spoofed_syn_flood, 0.5), (_small_datagrams, 0.42), (dns_amplification, 0.08)):
        begun = at_ns + int(rng.uniform(0, 0.15) * extent.seconds * SECOND)
        attacks.append(make(rng, begun, extent._replace(amount=max(1, int(extent.amount * share))), victim))
    return tuple(attacks)


def _syns(rng: random.Random, at_ns: int, extent: Extent, victim: Host, tool: Tool) -> list[Packet]:
    """Return SYNs from random addresses, some of them answered."""
    packets = []
    for when in moments(rng, at_ns, extent):
        origin, sport, seq = forged(rng, tool.ttls), rng.randrange(1024, 65536), rng.getrandbits(32)
        head = Head(origin.address, victim.address, origin.ttl, rng.getrandbits(16), 0)
        packets.append(Packet(when, tcp(head, Segment(sport, tool.dport, seq, 0, SYN, tool.window, tool.options))))
        if rng.random() < tool.answered:
            back = Segment(tool.dport, sport, rng.getrandbits(32), seq + 1, SYN | ACK, 64240, option_bytes(LINUX, 0, 0, "m"))
            packets.append(Packet(when + soon(rng, victim), tcp(Head(victim.address, origin.address, 64, 0), back)))
    return packets


def moving_syn_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> tuple[Attack, ...]:
    """Flood three victims with SYNs, one after the other, with one tool; the extent covers all three."""
    window, options = rng.choice((512, 8192, 29200, 64240)), rng.choice((b"", bytes.fromhex("020405b4")))
    tool = Tool(rng.choice((80, 443, 22, 8080)), window, options, few_ttls(rng), rng.choice((0.0, 0.3, 0.7)))
    others = [local(number) for number in rng.sample(range(150, 250), 2)]
    attacks, part = [], Extent(extent.seconds / 3, extent.amount // 3)
    for turn, target in enumerate((victim, *others)):
        begun = at_ns + int((turn + rng.uniform(0, 0.1)) * part.seconds * SECOND)
        attacks.append(volumetric(_syns(rng, begun, part._replace(seconds=part.seconds * 0.9), target, tool), "tcp-syn-flood", target))
    return tuple(attacks)
