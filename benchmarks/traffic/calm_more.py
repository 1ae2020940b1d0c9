"""Generate more captures without an attack, each of which looks like one: block lists, a SIP trunk, HTTP/2, browsers, typos.

Each scene takes a random generator and a start time and returns packets, as in calm.py.
"""

import random

import calm_machines
from attack import Extent, dotted, moments
from calm import Scene
from datagrams import exchange
from dialects import (
    CANCEL,
    END_HEADERS,
    END_STREAM,
    H2_DATA,
    H2_HEADERS,
    H2_PING,
    finished,
    flight,
    h2_answer,
    h2_away,
    h2_frame,
    h2_request,
    h2_reset,
    h2_settings,
    h2_widen,
    same_hello,
    sdp,
    sip_answer,
)
from dialogue import CLIENT, LINUX, MICROSECOND, MILLISECOND, SECOND, SERVER, Host, Path, Turn, converse, part, say
from hosts import API, MAIL, MONITOR, RESOLVER, SHOP, SITE, WEB, high_port, local, public_address, stranger
from messages import (
    AGENTS,
    WORDS,
    client_hello,
    dns_answer,
    dns_query,
    http_answer,
    http_get,
    http_post,
    name,
    page_path,
    resource_path,
    sealed,
    sip,
    words,
)
from overloads import h2_greet
from people import WORDS_OF_USERS, browse, ordinary, read_mail
from wire import Head, Packet, snap, udp

BLOCK_LISTS = ("zen.dnsbl.example", "bl.spam.example", "dnsbl.mail.example", "b.reputation.example")
BACKGROUND = (
    b"\x16\x03\x01\x00\x2a\x01\x00\x00\x26\x03\x03" + b"\x5a" * 32 + b"\0\0\x02\x13\x01\x01\x00",
    b"GET / HTTP/1.0\r\n\r\n",
    b"\x03\x00\x00\x2f\x2a\xe0\x00\x00\x00\x00\x00Cookie: mstshash=Administr\r\n\x01\x00\x08\x00\x03\x00\x00\x00",
    b"SSH-2.0-Go\r\n",
    b"GET /.env HTTP/1.1\r\nHost\r\n\r\n",
    b"JRMI\x00\x02K",
    b"OPTIONS / RTSP/1.0\r\n\r\n",
    b"GET http://ip.example/ HTTP/1.1\r\nHost: ip.example:port\r\n\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"\x04\x01\x00\x50\x05\x8c\xb4\x1e\x00",
    b"POST /cgi-bin/.%2e/.%2e/bin/sh HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
)


def _ask(rng: random.Random, at_ns: int, client: Host, question: tuple[str, int], record: bytes) -> list[Packet]:
    """Send the resolver one query; no record means that the name does not exist."""
    (text, kind), number = question, rng.getrandbits(16)
    records = [(kind, 300, record)] if record else []
    messages = dns_query(number, text, kind, 1232), dns_answer(number, text, kind, records, 1232)
    return exchange(rng, at_ns, Path(client, RESOLVER, high_port(rng), 53), messages)


def mail_resolver(rng: random.Random, at_ns: int) -> list[Packet]:
    """Look up each mail's sender in block lists and its parts at an antivirus service, and all names of a network in order."""
    packets, lists = ordinary(rng, at_ns, 30, 30_000), rng.sample(BLOCK_LISTS, rng.randint(2, 4))
    for when in moments(rng, at_ns + SECOND, Extent(rng.uniform(8, 25), rng.randint(90, 140))):
        back = dotted(int.from_bytes(public_address(rng).to_bytes(4, "big"), "little"))
        packets += _ask(rng, when, MAIL, (f"{back}.in-addr.arpa", 12), b"\x04host\x07example\x03net\x00" if rng.random() < 0.6 else b"")
        for place, zone in enumerate(lists):
            found = b"\x7f\0\0\x02" if rng.random() < 0.15 else b""
            packets += _ask(rng, when + (2 + place) * 300 * MICROSECOND, MAIL, (f"{back}.{zone}", 1), found)
        if rng.random() < 0.5:
            mark, later = f"{rng.getrandbits(128):032x}", when + rng.randrange(20, 90) * MILLISECOND
            packets += _ask(rng, later, MAIL, (f"{mark}.files.antivirus.example", 1), b"\x7f\0\0\x04" if rng.random() < 0.1 else b"")
    begun, step = at_ns + rng.randrange(3, 9) * SECOND, rng.randrange(8, 40) * MILLISECOND
    for number in range(1, rng.randint(120, 255)):
        known = b"\x04host\x07example\x03org\x00" if rng.random() < 0.3 else b""
        when = begun + number * step + rng.randrange(900) * MICROSECOND
        packets += _ask(rng, when, MONITOR, (f"{number}.113.0.203.in-addr.arpa", 12), known)
    return packets


def _dial(rng: random.Random, at_ns: int, ends: tuple[Host, Host]) -> list[Packet]:
    """Play the signalling of one call over a trunk, from the first request to the last response."""
    sites = [dotted(end.address) for end in ends]
    outcome = rng.choice(("answered", "answered", "answered", "answered", "486 Busy Here", "404 Not Found"))
    callee, tag, mark = f"+493023125{rng.randrange(1000):03d}", f"{rng.getrandbits(32):08x}", rng.getrandbits(40)
    common = [f"From: <sip:+498999998{rng.randrange(1000):03d}@{sites[0]}>;tag={rng.getrandbits(32):08x}"]
    common += [f"To: <sip:{callee}@{sites[1]}>", f"Call-ID: {rng.getrandbits(64):016x}@{sites[0]}"]
    packets: list[Packet] = []
    rings, speaks, talks = rng.uniform(0.2, 1.2), rng.uniform(1.5, 6), rng.uniform(2, 9)
    far_ns = 2 * ends[1].delay_ns + 2 * MILLISECOND

    def send(after: float, who: int, first: str, method: str, more: tuple[list[str], str]) -> None:
        """Add a request or a response."""
        tagged = common if first in {"INVITE", "100 Trying"} else [common[0], f"{common[1]};tag={tag}", common[2]]
        via = (
            f"Via: SIP/2.0/UDP {sites[0]}:5060;branch=z9hG4bK{mark + 2 * (method == 'BYE') + (method == 'ACK') * (outcome == 'answered'):x}"
        )
        fields = [via, *tagged, f"CSeq: {2 if method == 'BYE' else 1} {method}", f"Contact: <sip:{sites[who]}:5060>", *more[0]]
        message = (
            sip(f"{first} sip:{callee}@{sites[1]} SIP/2.0", fields, more[1])
            if not first[0].isdigit()
            else sip_answer(first, fields, more[1])
        )
        source, target = ends[who], ends[1 - who]
        head = Head(source.address, target.address, source.stack.ttl - source.hops, rng.getrandbits(16))
        packets.append(Packet(at_ns + int(after * SECOND) + who * far_ns, udp(head, 5060, 5060, message)))

    offers = [(["Content-Type: application/sdp"], sdp(site, 2 * rng.randrange(5000, 16000), rng.randrange(9999))) for site in sites]
    send(0, 0, "INVITE", "INVITE", offers[0])
    send(0, 1, "100 Trying", "INVITE", ([], ""))
    if outcome != "answered":
        send(rings, 1, outcome, "INVITE", ([], ""))
        send(rings + 2 * far_ns / SECOND, 0, "ACK", "ACK", ([], ""))
        return packets
    send(rings, 1, "180 Ringing", "INVITE", ([], ""))
    send(speaks, 1, "200 OK", "INVITE", offers[1])
    send(speaks + 2 * far_ns / SECOND, 0, "ACK", "ACK", ([], ""))
    send(speaks + talks, 0, "BYE", "BYE", ([], ""))
    send(speaks + talks, 1, "200 OK", "BYE", ([], ""))
    return packets


def sip_trunk(rng: random.Random, at_ns: int) -> list[Packet]:
    """Carry a few calls per second between two exchanges; the voice streams take another path."""
    here, there = local(61), stranger(rng, LINUX)
    packets = ordinary(rng, at_ns, 25, 30_000)
    for when in moments(rng, at_ns + SECOND, Extent(rng.uniform(14, 20), rng.randint(45, 65))):
        packets += _dial(rng, when, (here, there) if rng.random() < 0.5 else (there, here))
    return packets


def _load(rng: random.Random, first: int, agent: str) -> list[Turn]:
    """Return the turns of one page over HTTP/2: the page, then all its resources at once, of which a stream or two are cancelled."""
    host, count = "www.example.org", rng.randint(4, 12)
    ask, both = END_STREAM | END_HEADERS, END_HEADERS
    body = words(rng, int(rng.lognormvariate(7.6, 0.5)))
    turns = [
        Turn(
            CLIENT,
            h2_frame(H2_HEADERS, ask, first, h2_request(page_path(rng), host, agent, first == 1)),
            rng.randrange(1, 3000) * MILLISECOND,
        )
    ]
    page = h2_frame(H2_HEADERS, both, first, h2_answer(200, len(body))) + h2_frame(H2_DATA, END_STREAM, first, body)
    turns.append(Turn(SERVER, page, rng.randrange(2, 60) * MILLISECOND))
    streams = [first + 2 + 2 * number for number in range(count)]
    asked, early, late = b"", b"", b""
    gone = set(rng.sample(streams, rng.choice((0, 0, 1, 2))))
    for stream in streams:
        path, octets = resource_path(rng)
        octets = min(octets, 10_000)
        asked += h2_frame(H2_HEADERS, ask, stream, h2_request(path, host, agent, first=False))
        if rng.random() < 0.15 and stream not in gone:
            early += h2_frame(H2_HEADERS, ask, stream, h2_answer(304, 0))
            continue
        half = min(octets // 2, 4000)
        early += h2_frame(H2_HEADERS, both, stream, h2_answer(200, octets, "image/png")) + h2_frame(H2_DATA, 0, stream, rng.randbytes(half))
        late += h2_frame(H2_DATA, END_STREAM, stream, rng.randbytes(octets - half)) if stream not in gone else b""
    turns += [Turn(CLIENT, asked, rng.randrange(5, 40) * MILLISECOND), Turn(SERVER, early, rng.randrange(2, 20) * MILLISECOND)]
    turns.append(Turn(CLIENT, b"".join(h2_reset(stream, CANCEL) for stream in sorted(gone)) + h2_widen(0, len(early))))
    return [*turns, Turn(SERVER, late, MILLISECOND)] if late else turns


def http2_clients(rng: random.Random, at_ns: int) -> list[Packet]:
    """Read pages over cleartext HTTP/2, many streams at once, a few of them cancelled."""
    packets = ordinary(rng, at_ns, 30, 30_000)
    for _ in range(rng.randint(3, 4)):
        who, agent, ping = stranger(rng), rng.choice(AGENTS), h2_frame(H2_PING, 0, 0, rng.randbytes(8))
        settings = h2_settings(((1, 65536), (2, 0), (4, 6291456), (6, 262144)))
        begun = at_ns + int(rng.random() * 20 * SECOND)
        talk = h2_greet(rng, begun, Path(who, WEB, high_port(rng), 80), settings, h2_widen(0, 15663105))
        first = 1
        for _ in range(rng.randint(1, 2)):
            for turn in _load(rng, first, agent):
                talk = say(rng, talk, turn)
            first += 102
        talk = say(rng, talk, Turn(CLIENT, ping, rng.randrange(200, 3000) * MILLISECOND, quiet=True))
        talk = say(rng, talk, Turn(SERVER, ping[:4] + b"\1" + ping[5:]))
        packets += part(rng, say(rng, talk, Turn(CLIENT, h2_away(0), SECOND)), CLIENT).packets
    return packets


def https_browsers(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let browsers fetch a page with many parallel connections each, over TLS."""
    packets: list[Packet] = []
    for _ in range(rng.randint(8, 12)):
        who, hello = stranger(rng), client_hello(rng, "www.shop.example")
        begun = at_ns + int(rng.random() * 15 * SECOND)
        for lane in range(rng.randint(5, 9)):
            when = begun + (0 if lane < 2 else rng.randrange(150, 900) * MILLISECOND) + rng.randrange(4000) * MICROSECOND
            certificate = rng.choice((2900, 2900, 230)) if lane < 2 else 230
            turns = [Turn(CLIENT, same_hello(rng, hello)), Turn(SERVER, flight(rng, certificate), rng.randrange(1, 6) * MILLISECOND)]
            turns.append(Turn(CLIENT, finished(rng) + sealed(rng, int(rng.lognormvariate(6.0, 0.3)))))
            turns.append(Turn(SERVER, sealed(rng, int(rng.lognormvariate(7.4, 1.0))), rng.randrange(2, 80) * MILLISECOND))
            for _ in range(rng.randrange(3)):
                turns.append(Turn(CLIENT, sealed(rng, int(rng.lognormvariate(5.4, 0.3))), rng.randrange(10, 900) * MILLISECOND))
                turns.append(Turn(SERVER, sealed(rng, int(rng.lognormvariate(7.2, 1.0))), rng.randrange(2, 60) * MILLISECOND))
            packets += converse(rng, when, Path(who, SHOP, high_port(rng), 443), turns, rng.choice(("fin", "rst", "none", "none")))
    return snap(packets, 160)


def api_poller(rng: random.Random, at_ns: int) -> list[Packet]:
    """Poll an API over HTTPS each second: one client opens a new connection each time, another keeps its connection."""
    packets, answer = ordinary(rng, at_ns, 60, 36_000), rng.randint(300, 1100)
    one, two, hello = stranger(rng, LINUX), stranger(rng, LINUX), client_hello(rng, "api.example.org")
    count = rng.randint(40, 55)
    opening = [Turn(CLIENT, same_hello(rng, hello)), Turn(SERVER, flight(rng, 2400), MILLISECOND), Turn(CLIENT, finished(rng))]
    for number in range(count):
        sizes, work = (rng.randint(180, 190), answer + rng.randint(0, 40)), rng.randrange(2, 40) * MILLISECOND
        turns = [Turn(CLIENT, same_hello(rng, hello)), Turn(SERVER, flight(rng, 230), MILLISECOND)]
        turns += [Turn(CLIENT, finished(rng) + sealed(rng, sizes[0])), Turn(SERVER, sealed(rng, sizes[1]), work)]
        when = at_ns + number * SECOND + rng.randrange(30) * MILLISECOND
        packets += converse(rng, when, Path(one, API, high_port(rng), 443), turns)
        opening.append(Turn(CLIENT, sealed(rng, sizes[0]), max(0, SECOND - work - 4 * two.delay_ns) if number else 0))
        opening.append(Turn(SERVER, sealed(rng, sizes[1]), work))
    return packets + converse(rng, at_ns + 400 * MILLISECOND, Path(two, API, high_port(rng), 443), opening, "none")


def mistyped_passwords(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let people log in to a shop, some only at the second, third or fourth attempt, and then use it."""
    packets, host = ordinary(rng, at_ns, 60, 40_000), "www.example.org"
    for _ in range(rng.randint(7, 10)):
        who, agent, user = stranger(rng), rng.choice(AGENTS), f"{rng.choice(WORDS_OF_USERS)}{rng.randrange(99)}"
        turns = [Turn(CLIENT, http_get(rng, host, "/login", agent)), Turn(SERVER, http_answer(rng, 1800), 12 * MILLISECOND)]
        failures = rng.choice((0, 1, 1, 2, 3))
        for number in range(failures + 1):
            form = f"user={user}&password={rng.choice(WORDS)}{'' if number else rng.randrange(10)}".encode()
            turns.append(Turn(CLIENT, http_post(host, "/login", agent, form), int(rng.uniform(3, 14) * SECOND)))
            right = number == failures
            answer = http_answer(rng, rng.randint(1500, 4000)) if right else http_answer(rng, 1890, "401 Unauthorized")
            turns.append(Turn(SERVER, answer, rng.randrange(60, 260) * MILLISECOND))
        for _ in range(rng.randint(1, 3)):
            turns.append(Turn(CLIENT, http_get(rng, host, page_path(rng), agent), int(rng.uniform(1, 6) * SECOND)))
            turns.append(Turn(SERVER, http_answer(rng, int(rng.lognormvariate(7.6, 0.5))), rng.randrange(3, 60) * MILLISECOND))
        begun = at_ns + int(rng.random() * 40 * SECOND)
        packets += converse(rng, begun, Path(who, SHOP, high_port(rng), 80), turns, rng.choice(("none", "fin")))
    return packets


def _imap(rng: random.Random, at_ns: int, client: Host, user: str) -> list[Packet]:
    """Check for new mail once over IMAP, and fetch it."""
    count, fresh = rng.randint(40, 900), rng.choice((0, 0, 0, 1, 2))
    lines = [
        ("", "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE AUTH=PLAIN] Dovecot ready."),
        (f"1 LOGIN {user} secret", "1 OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS] Logged in"),
        (
            "2 SELECT INBOX",
            f"* {count} EXISTS\r\n* {fresh} RECENT\r\n* OK [UIDVALIDITY 1700000000] UIDs valid\r\n2 OK [READ-WRITE] Select completed.",
        ),
        ("3 UID SEARCH UNSEEN", "* SEARCH" + "".join(f" {count + each}" for each in range(fresh)) + "\r\n3 OK Search completed."),
    ]
    for each in range(fresh):
        mail = "Subject: " + words(rng, rng.randrange(500, 2500)).decode()
        told = f"* {count} FETCH (UID {count + each} BODY[] {{{len(mail)}}}\r\n{mail})\r\n{4 + each} OK Fetch completed."
        lines.append((f"{4 + each} UID FETCH {count + each} BODY.PEEK[]", told))
    lines.append(("9 LOGOUT", "* BYE Logging out\r\n9 OK Logout completed."))
    turns: list[Turn] = []
    for asked, told in lines:
        turns += [Turn(CLIENT, f"{asked}\r\n".encode(), rng.randrange(1, 30) * MILLISECOND)] if asked else []
        turns.append(Turn(SERVER, f"{told}\r\n".encode(), rng.randrange(1, 15) * MILLISECOND))
    return converse(rng, at_ns, Path(client, MAIL, high_port(rng), 143), turns, "server-fin")


def mail_pollers(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let mail programs check for new mail each minute over IMAP or POP3."""
    packets = ordinary(rng, at_ns, 60, 30_000)
    for number in range(rng.randint(8, 13)):
        who, user, begun = stranger(rng), f"{rng.choice(WORDS_OF_USERS)}{number}@example.org", at_ns + int(rng.random() * 55 * SECOND)
        polls = rng.random() < 0.4
        for minute in range(rng.randint(3, 4)):
            when = begun + minute * 60 * SECOND + rng.randrange(400) * MILLISECOND
            packets += read_mail(rng, when, who) if polls else _imap(rng, when, who, user)
    return packets


def background_noise(rng: random.Random, at_ns: int) -> list[Packet]:
    """Let a web server get a handful of malformed requests from Internet scanners amid its ordinary work."""
    packets = ordinary(rng, at_ns, 60, 115_000)
    for _ in range(rng.randint(2, 4)):
        packets += browse(rng, at_ns + int(rng.random() * 50 * SECOND), stranger(rng), WEB, 1)
    for _ in range(rng.randint(7, 14)):
        bad = (
            rng.choice(BACKGROUND)
            if rng.random() < 0.8
            else f"GET /{name(rng)} HTTP/1.1\r\nHost: {dotted(SITE | 10)}\r\nbad header\r\n\r\n".encode()
        )
        turns = [Turn(CLIENT, bad), Turn(SERVER, http_answer(rng, 150, "400 Bad Request"), MILLISECOND)]
        said = turns if rng.random() < 0.8 else turns[:1]
        path = Path(stranger(rng, LINUX), WEB, high_port(rng), 80)
        packets += converse(rng, at_ns + int(rng.random() * 55 * SECOND), path, said, "server-fin")
    return packets


SCENES = {
    "mail-resolver": Scene(mail_resolver, "ordinary", "block lists, antivirus look-ups and a sweep of names; not water torture"),
    "sip-trunk": Scene(sip_trunk, "ordinary", "a few calls a second that are answered, acknowledged and ended; not an INVITE flood"),
    "http2-clients": Scene(http2_clients, "ordinary", "many streams at once, a few cancelled; not a rapid reset"),
    "https-browsers": Scene(https_browsers, "ordinary", "a page over many parallel connections; not a flood within TLS"),
    "api-poller": Scene(api_poller, "measurement", "like connections each second; not a flood within TLS"),
    "mistyped-passwords": Scene(mistyped_passwords, "ordinary", "a few refusals, then success; not guessing"),
    "mail-pollers": Scene(mail_pollers, "ordinary", "like logins each minute that all succeed; not guessing"),
    "background-noise": Scene(background_noise, "ordinary", "a handful of malformed requests from anywhere; not fuzzing"),
    **calm_machines.SCENES,
}
