"""Generate query floods over UDP: DNS of three kinds, and SIP calls and registrations.

Each function takes a random generator, a start time, an extent and a victim, and returns the packets with their label. The
extent counts queries, requests or datagrams.
"""

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

from attack import Attack, Extent, Origin, application, bots, dotted, few_ttls, forged, moments, soon
from datagrams import look_up
from dialects import sdp, sip_answer
from dialogue import MILLISECOND, SECOND, Host
from hosts import RESOLVER, high_port, public_address, stranger
from messages import ZONES, dns_answer, dns_name, dns_query, name, sip
from wire import Head, Packet, udp

LETTERS, DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
NO_NAME, FAILURE, REFUSED = 3, 2, 5  # response codes, RFC 1035
SIP_AGENTS = (
    "friendly-scanner",
    "sipcli/v1.8",
    "PolycomVVX-VVX_500-UA/5.9.5",
    "Linphone/3.6.1",
    "Z 3.14.38765 rv2.8.3",
    "VaxSIPUserAgent/3.1",
)
SIP_SERVERS = ("FPBX-16.0.40(18.9)", "Asterisk PBX 18.10.0", "kamailio (5.6.3)", "FreeSWITCH-mod_sofia/1.10.9")


class Route(NamedTuple):
    """Give the endpoints and ports between which datagrams go."""

    origin: Origin
    victim: Host
    sport: int
    dport: int


class Tool(NamedTuple):
    """Hold what a SIP flood keeps constant: method, agent, whether numbers vary, and the server's response and retransmissions."""

    method: str
    agent: str
    walks: bool
    status: str
    told: float
    again: int
    server: str


def _sources(rng: random.Random) -> Callable[[], Origin]:
    """Return a function that draws a sender: newly spoofed each time, one from a spoofed pool, or one of a few bots."""
    ttls, kind = few_ttls(rng), rng.choice(("forged", "forged", "pool", "bots"))
    pool = bots(rng, rng.randint(20, 90)) if kind == "bots" else [forged(rng, ttls) for _ in range(rng.randint(150, 600))]
    return (lambda: forged(rng, ttls)) if kind == "forged" else (lambda: rng.choice(pool))


def _send(rng: random.Random, at_ns: int, route: Route, payload: bytes) -> Packet:
    """Return a datagram to the victim."""
    head = Head(route.origin.address, route.victim.address, route.origin.ttl, rng.getrandbits(16), 0)
    return Packet(at_ns, udp(head, route.sport, route.dport, payload))


def _return(rng: random.Random, at_ns: int, route: Route, payload: bytes) -> Packet:
    """Return the victim's reply to a datagram that came by that route at that time."""
    head = Head(route.victim.address, route.origin.address, 64, rng.getrandbits(16), 0)
    return Packet(at_ns + soon(rng, route.victim), udp(head, route.dport, route.sport, payload))


def _failed(query: bytes, code: int, rest: bytes = b"") -> bytes:
    """Return the response with that code to a query without EDNS; rest is one authority record."""
    flags = 0x8000 | query[2] << 8 & 0x7900 | (0x400 if rest else 0) | code
    return query[:2] + struct.pack(">HHHHH", flags, 1, 0, 1 if rest else 0, 0) + query[12:] + rest


def dns_query_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Send a DNS server the same query repeatedly; few are answered. The extent counts queries."""
    source, wanted, once = _sources(rng), rng.choice((rng.choice(ZONES), name(rng))), rng.choice((0.9, 0.97, 1.0))
    kind, size = rng.choice((1, 1, 255, 255, 16, 48)), rng.choice((0, 0, 1232, 4096))
    told, refuses = rng.choice((0.0, 0.02, 0.1, 0.2)), rng.random() < 0.4
    packets: list[Packet] = []
    for when in moments(rng, at_ns, extent):
        route, number = Route(source(), victim, rng.randrange(1024, 65536), 53), rng.getrandbits(16)
        text = wanted if rng.random() < once else name(rng)
        packets.append(_send(rng, when, route, dns_query(number, text, kind, size)))
        if rng.random() < told:
            records = [(1, 300, public_address(rng).to_bytes(4, "big"))]
            full = dns_answer(number, text, kind, records) if kind in {1, 255} else _failed(dns_query(number, text, kind), 0)
            packets.append(_return(rng, when, route, _failed(dns_query(number, text, kind), REFUSED) if refuses else full))
    return application(packets, "dns-query-flood", victim)


def _labels(rng: random.Random) -> Callable[[], str]:
    """Return a function that generates first labels that were not queried before."""
    letters, length = rng.choice((LETTERS, LETTERS, LETTERS + DIGITS, DIGITS)), rng.randint(6, 16)
    spread = rng.choice((0, 0, 2, 4))
    return lambda: "".join(rng.choice(letters) for _ in range(length + rng.randint(-spread, spread)))


def _no_such(rng: random.Random, query: bytes, label: str, zone: str) -> bytes:
    """Return NXDOMAIN with the zone's SOA record, or without it."""
    if rng.random() < 0.3:
        return _failed(query, NO_NAME)
    data = dns_name(f"ns1.{zone}") + dns_name(f"hostmaster.{zone}") + struct.pack(">IIIII", 2024050101, 7200, 900, 1209600, 300)
    return _failed(query, NO_NAME, struct.pack(">HHHIH", 0xC00D + len(label), 6, 1, 300, len(data)) + data)


def water_torture(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Let resolvers query random names under one domain until the server fails. The extent counts queries."""
    resolvers, zone, label = bots(rng, rng.randint(5, 40)), rng.choice(ZONES), _labels(rng)
    flags, kind = rng.choice((0x0000, 0x0000, 0x0010, 0x0100)), rng.choice((1, 1, 1, 28))
    failing, again = at_ns + int(extent.seconds * rng.uniform(0.1, 1.3) * SECOND), rng.choice((0.0, 0.2, 0.5))
    told, code = rng.choice((0.0, 0.5, 0.9)), rng.choice((NO_NAME, NO_NAME, FAILURE))
    packets: list[Packet] = []
    for when in moments(rng, at_ns, extent._replace(amount=int(extent.amount / (1 + again / 2)))):
        route, text = Route(rng.choice(resolvers), victim, rng.randrange(1024, 65536), 53), label()
        asked = dns_query(rng.getrandbits(16), f"{text}.{zone}", kind)
        query = asked[:2] + struct.pack(">H", flags) + asked[4:]
        packets.append(_send(rng, when, route, query))
        if rng.random() < (told if when < failing else told * 0.1):
            answer = _no_such(rng, query, text, zone) if code == NO_NAME else _failed(query, code)
            packets.append(_return(rng, when, route, answer))
        elif rng.random() < again:
            later = when + int(rng.uniform(0.4, 1.6) * SECOND)
            packets.append(_send(rng, later, route._replace(sport=rng.randrange(1024, 65536)), rng.randbytes(2) + query[2:]))
    return application(packets, "dns-water-torture", victim)


def proper_questions(rng: random.Random, at_ns: int, seconds: float, server: Host) -> list[Packet]:
    """Return a few ordinary clients' concurrent queries to a DNS server, all answered; none of it is an attack."""
    clients, packets = [stranger(rng) for _ in range(rng.randint(6, 10))], []
    for client in clients:
        packets += look_up(rng, at_ns + int(rng.random() * seconds * SECOND), client, server)
    return packets


def garbage_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Send datagrams that are not DNS messages to a DNS server; the extent counts datagrams.

    A victim that ordinary traffic does not query gets a few proper queries with responses here, as packets of the attack.
    """
    source, least, most = _sources(rng), rng.choice((13, 40, 200)), rng.choice((60, 240, 480))
    fixed, strict = rng.choice((0, 0, most)), rng.random() < 0.5
    sport = rng.choice((0, 0, high_port(rng)))
    packets = [] if victim.address == RESOLVER.address else proper_questions(rng, at_ns, extent.seconds, victim)
    for when in moments(rng, at_ns, extent):
        route = Route(source(), victim, sport or rng.randrange(1024, 65536), 53)
        body = rng.randbytes(fixed or rng.randint(min(least, most), most))
        packets.append(_send(rng, when, route, body))
        if strict and not body[2] & 0x80:
            refusal = body[:2] + bytes((0x80 | body[2] & 0x79, 1)) + b"\0" * 8
            packets.append(_return(rng, when, route, refusal))
    return application(packets, "dns-garbage-flood", victim)


def _request(rng: random.Random, route: Route, tool: Tool, fields: list[str]) -> bytes:
    """Return a request with the fields that both it and its response carry."""
    here = dotted(route.origin.address)
    more = [f"Contact: <sip:{rng.randrange(100, 1000)}@{here}:{route.sport}>", f"User-Agent: {tool.agent}"]
    target, body = f"sip:{dotted(route.victim.address)}", ""
    if tool.method == "INVITE":
        target, body = fields[2].split("<")[1].rstrip(">"), sdp(here, 2 * rng.randrange(5000, 16000), 1)
        more.append("Content-Type: application/sdp")
    else:
        more.append("Expires: 3600")
    return sip(f"{tool.method} {target} SIP/2.0", [*fields, *more], body)


def _sip_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host, tool: Tool) -> list[Packet]:
    """Send requests from one, few or many sources, with no follow-up; the response to an INVITE is retransmitted, as no ACK comes."""
    callers = [Route(origin, victim, rng.choice((5060, high_port(rng))), 5060) for origin in bots(rng, rng.choice((1, 1, 3, 40, 120)))]
    site, number, packets = dotted(victim.address), rng.randrange(100, 9000), []
    for turn, when in enumerate(moments(rng, at_ns, extent)):
        route, user = rng.choice(callers), number + (turn if tool.walks else 0)
        own = rng.randrange(100, 1000) if tool.method == "INVITE" else user
        fields = [
            f"Via: SIP/2.0/UDP {dotted(route.origin.address)}:{route.sport};branch=z9hG4bK{rng.getrandbits(40):010x};rport",
            f"From: <sip:{own}@{site}>;tag={rng.getrandbits(32):08x}",
            f"To: <sip:{user}@{site}>",
            f"Call-ID: {rng.getrandbits(64):016x}",
            f"CSeq: {rng.choice((1, 1, 2))} {tool.method}",
        ]
        packets.append(_send(rng, when, route, _request(rng, route, tool, fields)))
        if rng.random() < tool.told:
            told = sip_answer(tool.status, _answer_fields(rng, fields, tool, site))
            pauses = (0, 500, 1500)[: 1 + tool.again]
            packets += [_return(rng, when + pause * MILLISECOND, route, told) for pause in pauses]
    return packets


def _answer_fields(rng: random.Random, fields: list[str], tool: Tool, site: str) -> list[str]:
    """Return the fields of the response."""
    made = [fields[0], fields[1], f"{fields[2]};tag=as{rng.getrandbits(32):08x}", *fields[3:], f"Server: {tool.server}"]
    if tool.status.startswith("401"):
        made.append(f'WWW-Authenticate: Digest algorithm=MD5, realm="{site}", nonce="{rng.getrandbits(32):08x}"')
    return made


def invite_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Call again and again and never acknowledge a refusal; the extent counts calls."""
    status, told = rng.choice(("404 Not Found", "403 Forbidden", "401 Unauthorized")), rng.choice((0.0, 0.6, 1.0))
    again = rng.choice((0, 0, 1, 2))
    tool = Tool("INVITE", rng.choice(SIP_AGENTS), rng.random() < 0.5, status, told, again, rng.choice(SIP_SERVERS))
    less = extent._replace(amount=max(1, int(extent.amount / (1 + told * (1 + again) / 2))))
    return application(_sip_flood(rng, at_ns, less, victim, tool), "sip-invite-flood", victim)


def register_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Register again and again without a password; the extent counts registrations."""
    status, told = rng.choice(("401 Unauthorized", "403 Forbidden", "404 Not Found")), rng.choice((0.0, 0.5, 1.0))
    tool = Tool("REGISTER", rng.choice(SIP_AGENTS), rng.random() < 0.6, status, told, 0, rng.choice(SIP_SERVERS))
    return application(_sip_flood(rng, at_ns, extent, victim, tool), "sip-register-flood", victim)
