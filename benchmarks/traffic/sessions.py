"""Generate attacks with a dialogue: request floods, slow connections, connection floods, scans and password guessing.

Each function takes a random generator, a start time, an extent and a victim, and returns the packets with their label. The
extent counts requests, connections, ports, hosts or attempts, as each function states.
"""

import random
import struct
from collections.abc import Callable, Sequence

from attack import Attack, Extent, application, dotted, moments, soon
from dialogue import (
    CLIENT,
    LINUX,
    MILLISECOND,
    SECOND,
    SERVER,
    Host,
    Path,
    Piece,
    Stack,
    Talk,
    Turn,
    answer_time,
    converse,
    emit,
    greet,
    knock,
    part,
    reset,
    say,
)
from hosts import SITE, high_port, stranger
from messages import AGENTS, WORDS, client_hello, http_answer, http_post, ssh_keys, ssh_offer, words
from wire import ACK, FIN, PSH, RST, SYN, URG, Head, Packet, Segment, icmp, tcp, udp

NMAP = Stack(64, 1024, "m", 1460, 0)
ZMAP = Stack(255, 65535, "m", 1460, 0)
BOT_STACKS = (LINUX, LINUX._replace(window=29200), Stack(128, 64240, "mnwnns", 1460, 8), Stack(64, 14600, "mstnw", 1460, 4))
OPEN_PORTS = (22, 80, 443)


def herd(rng: random.Random, count: int) -> list[Host]:
    """Return that many bots of at most two kinds."""
    kinds = rng.sample(BOT_STACKS, rng.randint(1, 2))
    return [stranger(rng, rng.choice(kinds)) for _ in range(count)]


def _request_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host, request: Callable[[], bytes]) -> list[Packet]:
    """Send requests from 10 to 40 bots at a steady rate, several on each connection."""
    senders = herd(rng, max(4, min(rng.randint(10, 40), extent.amount // 25)))
    each = max(1, extent.amount // len(senders))
    kept = rng.choice((1, 4, 10, 25))
    answer = http_answer(rng, rng.choice((64, 160, 300)), rng.choice(("200 OK", "200 OK", "503 Service Unavailable", "403 Forbidden")))
    packets: list[Packet] = []
    for bot in senders:
        step_ns = int(extent.seconds * SECOND / each)
        begun = at_ns + rng.randrange(max(1, step_ns))
        for first in range(0, each, kept):
            turns: list[Turn] = []
            pause = max(0, step_ns - 2 * bot.delay_ns - MILLISECOND)
            for number in range(min(kept, each - first)):
                wait = int(pause * rng.uniform(0.9, 1.1)) if number else 0
                turns += [Turn(CLIENT, request(), wait), Turn(SERVER, answer, rng.randrange(300, 9000) * 1000)]
            path = Path(bot, victim, high_port(rng), 80)
            packets += converse(rng, begun + first * step_ns, path, turns, rng.choice(("fin", "rst", "none")))
    return packets


def _plain_request(path: str, host: str, agent: str) -> bytes:
    """Return the short request of a flood tool."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent[:60]}\r\nConnection: keep-alive\r\n\r\n".encode()


def _target(rng: random.Random, victim: Host) -> tuple[str, str, str]:
    """Return the path, host and agent of a flood."""
    path = rng.choice(("/", "/login", "/search", f"/{rng.choice(WORDS)}.php", f"/api/v1/{rng.choice(WORDS)}"))
    return (
        path,
        rng.choice(("www.example.org", dotted(victim.address))),
        rng.choice((*AGENTS, "python-requests/2.31.0", "Go-http-client/1.1")),
    )


def get_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Request the same path repeatedly; the extent counts requests."""
    path, host, agent = _target(rng, victim)
    return application(_request_flood(rng, at_ns, extent, victim, lambda: _plain_request(path, host, agent)), "http-get-flood", victim)


def post_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Post small forms to the same path; the extent counts requests."""
    path, host, agent = _target(rng, victim)
    size = rng.choice((24, 90, 240))
    made = _request_flood(
        rng, at_ns, extent, victim, lambda: http_post(host, path, agent[:60], b"q=" + words(rng, size).replace(b" ", b"+"))
    )
    return application(made, "http-post-flood", victim)


def cache_busting_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Request one path with a query that never repeats; the extent counts requests."""
    path, host, agent = _target(rng, victim)
    key = rng.choice(("", "v=", "q=", "cb="))
    made = _request_flood(rng, at_ns, extent, victim, lambda: _plain_request(f"{path}?{key}{rng.getrandbits(48):x}", host, agent))
    return application(made, "http-cache-busting", victim)


def _dribble(rng: random.Random, talk: Talk, until_ns: int, drop: Callable[[], bytes]) -> list[Packet]:
    """Send a little, get it acknowledged, wait; the server does not reply until it gives up or the time is over."""
    period = rng.uniform(6, 12)
    patience = rng.choice((until_ns, until_ns, talk.clock_ns + int(rng.uniform(25, 60) * SECOND)))
    while talk.clock_ns < min(until_ns, patience):
        talk = say(rng, talk, Turn(CLIENT, drop(), int(period * rng.uniform(0.8, 1.2) * SECOND)))
    if patience < until_ns:
        late = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
        talk = part(rng, say(rng, talk, Turn(SERVER, late)), SERVER)
    return [packet for packet in talk.packets if packet.time_ns < until_ns]


def _slow(rng: random.Random, at_ns: int, extent: Extent, victim: Host, speech: tuple[bytes, Callable[[], bytes]]) -> list[Packet]:
    """Open the extent's connections within the first fifth and trickle data on each."""
    senders, until = herd(rng, rng.randint(1, 6)), at_ns + int(extent.seconds * SECOND)
    packets: list[Packet] = []
    for number, when in enumerate(moments(rng, at_ns, Extent(extent.seconds / 5, extent.amount))):
        talk = greet(rng, when, Path(senders[number % len(senders)], victim, 20000 + number * 7 + rng.randrange(7), 80))
        talk = say(rng, talk, Turn(CLIENT, speech[0]))
        packets += _dribble(rng, talk, until, speech[1])
    return packets


def slow_headers(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Hold connections open with a header line about every ten seconds (Slowloris); the extent counts connections."""
    _, host, agent = _target(rng, victim)
    first = f"GET /?{rng.randrange(5000)} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept-language: en-US,en,q=0.5\r\n".encode()
    packets = _slow(rng, at_ns, extent, victim, (first, lambda: b"X-a: %d\r\n" % rng.randrange(1, 5000)))
    return application(packets, "http-slow-headers", victim)


def slow_post(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Announce a large form and send a few bytes of it now and then; the extent counts connections."""
    path, host, agent = _target(rng, victim)
    first = http_post(host, path, agent, b"").replace(b"Length: 0", f"Length: {rng.choice((10_000, 100_000, 1_000_000))}".encode())
    packets = _slow(rng, at_ns, extent, victim, (first, lambda: b"a" * rng.randint(1, 12)))
    return application(packets, "http-slow-post", victim)


def slow_read(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Request a page and then read a few bytes of it at a time; the extent counts connections."""
    tiny = Stack(64, rng.choice((16, 64, 256, 512)), "mst", 1460, 0)
    senders, until = [stranger(rng, tiny) for _ in range(rng.randint(1, 4))], at_ns + int(extent.seconds * SECOND)
    path, host, agent = _target(rng, victim)
    answer = http_answer(rng, 20_000)
    packets: list[Packet] = []
    for number, when in enumerate(moments(rng, at_ns, Extent(extent.seconds / 5, extent.amount))):
        talk = greet(rng, when, Path(senders[number % len(senders)], victim, 20000 + number * 7 + rng.randrange(7), 80))
        talk = talk._replace(ends=(talk.ends[0]._replace(window=tiny.window), talk.ends[1]))
        talk = say(rng, talk, Turn(CLIENT, _plain_request(path, host, agent), quiet=True))
        packets += _sip(rng, talk, answer, until)
    return application(packets, "http-slow-read", victim)


def _sip(rng: random.Random, talk: Talk, answer: bytes, until_ns: int) -> list[Packet]:
    """Let the server fill the client's window and probe it while it is closed, and open it a little every few seconds."""
    room, at = talk.ends[CLIENT].window, 0
    while talk.clock_ns < until_ns and at < len(answer):
        talk = emit(talk, SERVER, answer_time(rng, talk, SERVER), Piece(ACK | PSH, answer[at : at + room]))
        at += room
        talk = emit(talk, CLIENT, answer_time(rng, talk, CLIENT), Piece(ACK, window=0))
        for wait_ns in (400 * MILLISECOND, 900 * MILLISECOND, 1900 * MILLISECOND)[: rng.randint(1, 3)]:
            seq = talk.ends[SERVER].seq - 1 & 0xFFFFFFFF
            talk = emit(talk, SERVER, talk.clock_ns + wait_ns, Piece(ACK, seq=seq))
            talk = emit(talk, CLIENT, answer_time(rng, talk, CLIENT), Piece(ACK, window=0))
        talk = emit(talk, CLIENT, talk.clock_ns + int(rng.uniform(2, 6) * SECOND), Piece(ACK))
    return [packet for packet in talk.packets if packet.time_ns < until_ns]


def connection_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Complete handshakes and send nothing; the extent counts connections."""
    senders, dport = herd(rng, rng.randint(3, 25)), rng.choice((80, 443, 25, 3306))
    ending = rng.choice(("none", "rst", "fin"))
    packets: list[Packet] = []
    for number, when in enumerate(moments(rng, at_ns, extent)):
        path = Path(senders[number % len(senders)], victim, 1024 + (number * 37 + rng.randrange(37)) % 64000, dport)
        packets += converse(rng, when, path, (), ending)
    return application(packets, "connection-flood", victim)


def tls_handshake_flood(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Send the same ClientHello on one new connection after another and leave; the extent counts connections."""
    senders, hello = herd(rng, rng.randint(4, 25)), client_hello(rng, "www.example.org")
    packets: list[Packet] = []
    for number, when in enumerate(moments(rng, at_ns, extent)):
        path = Path(senders[number % len(senders)], victim, 1024 + (number * 37 + rng.randrange(37)) % 64000, 443)
        alert = bytes.fromhex("15030300020228")
        packets += converse(rng, when, path, (Turn(CLIENT, hello), Turn(SERVER, alert, MILLISECOND)), rng.choice(("rst", "fin")))
    return application(packets, "tls-handshake-flood", victim)


def _probe(rng: random.Random, at_ns: int, path: Path) -> list[Packet]:
    """Send one SYN of a scanner; an open port replies and is reset, a closed one resets."""
    talk = knock(rng, at_ns, path)
    if path.dport in OPEN_PORTS:
        talk = emit(talk, SERVER, answer_time(rng, talk, SERVER), Piece(SYN | ACK, options=bytes.fromhex("020405b4")))
        return emit(talk, CLIENT, answer_time(rng, talk, CLIENT), Piece(RST, window=0)).packets
    talk = talk._replace(ends=(talk.ends[CLIENT], talk.ends[SERVER]._replace(seq=0, ident=0)))
    return reset(rng, talk, SERVER).packets


def vertical_scan(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Try many ports of one host in random order; the extent counts ports."""
    scanner, packets = stranger(rng, NMAP), []
    ports = [*OPEN_PORTS, *rng.sample(range(1000, 65536), extent.amount - len(OPEN_PORTS))]
    rng.shuffle(ports)
    sport = high_port(rng)
    for dport, when in zip(ports, moments(rng, at_ns, extent), strict=True):
        packets += _probe(rng, when, Path(scanner, victim, sport + rng.randrange(2), dport))
    return application(packets, "vertical-scan", victim)


def _hosts(rng: random.Random, count: int) -> list[int]:
    """Return distinct addresses of the site in random order."""
    return rng.sample([SITE | number for number in range(2, 255)], min(count, 253))


def horizontal_scan(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Try one port on many hosts, most of them silent; the extent counts hosts."""
    scanner, dport = stranger(rng, rng.choice((ZMAP, NMAP))), rng.choice((23, 445, 3389, 5900, 6379, 22))
    live = {victim.address, *_hosts(rng, rng.randint(3, 12))}
    packets: list[Packet] = []
    sport, again = high_port(rng), rng.random() < 0.4
    for address, when in zip(_hosts(rng, extent.amount), moments(rng, at_ns, extent), strict=False):
        path = Path(scanner, victim._replace(address=address), sport, dport)
        tried = _probe(rng, when, path)
        packets += tried if address in live else tried[:1]
        if again and address not in live:
            packets.append(Packet(when + SECOND, tried[0].frame))
    return application(packets, "horizontal-scan", f"{dotted(SITE)}/24")


def host_sweep(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Ping many hosts, a few of which reply; the extent counts hosts."""
    scanner, live, packets = stranger(rng, NMAP), {victim.address, *_hosts(rng, rng.randint(3, 12))}, []
    number, body, ttl = rng.getrandbits(16), b"\0" * rng.choice((0, 8, 56)), 64 - scanner.hops
    for address, when in zip(_hosts(rng, extent.amount), moments(rng, at_ns, extent), strict=False):
        rest = struct.pack(">HH", number, 0) + body
        packets.append(Packet(when, icmp(Head(scanner.address, address, ttl, rng.getrandbits(16), 0), 8, 0, rest)))
        if address in live:
            packets.append(Packet(when + soon(rng, victim), icmp(Head(address, scanner.address, 64, rng.getrandbits(16), 0), 0, 0, rest)))
    return application(packets, "host-sweep", f"{dotted(SITE)}/24")


def udp_scan(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Send empty datagrams to many ports; a few bring port-unreachable messages. The extent counts ports."""
    scanner, sport, told = stranger(rng, NMAP), high_port(rng), rng.choice((0.05, 0.3, 0.9))
    packets: list[Packet] = []
    for dport, when in zip(rng.sample(range(20000, 60000), extent.amount), moments(rng, at_ns, extent), strict=True):
        frame = udp(Head(scanner.address, victim.address, 64 - scanner.hops, rng.getrandbits(16), 0), sport, dport, b"")
        packets.append(Packet(when, frame))
        if rng.random() < told:
            back = Head(victim.address, scanner.address, 64, rng.getrandbits(16), 0, 0xC0)
            packets.append(Packet(when + soon(rng, victim), icmp(back, 3, 3, b"\0\0\0\0" + frame[14:42])))
        elif rng.random() < 0.5:
            packets.append(Packet(when + SECOND, frame))
    return application(packets, "udp-scan", victim)


def stealth_scan(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Try ports with FIN-PSH-URG, FIN or no flag at all; closed ones reset, open ones are silent. The extent counts ports."""
    scanner, sport, flags = stranger(rng, NMAP), high_port(rng), rng.choice((FIN | PSH | URG, FIN | PSH | URG, FIN, 0))
    packets: list[Packet] = []
    for dport, when in zip(rng.sample(range(1, 65536), extent.amount), moments(rng, at_ns, extent), strict=True):
        seq = rng.getrandbits(32)
        head = Head(scanner.address, victim.address, 64 - scanner.hops, rng.getrandbits(16), 0)
        packets.append(Packet(when, tcp(head, Segment(sport, dport, seq, 0, flags, 1024))))
        if dport not in OPEN_PORTS:
            back = Segment(dport, sport, 0, seq + (flags & FIN), RST | ACK, 0)
            packets.append(Packet(when + soon(rng, victim), tcp(Head(victim.address, scanner.address, 64, 0), back)))
    return application(packets, "stealth-scan", victim)


def _guess(rng: random.Random, at_ns: int, extent: Extent, path: Path, turns: Callable[[], Sequence[Turn]]) -> list[Packet]:
    """Open one connection per attempt, at a steady rate, from one to three guessers."""
    guessers, ending = [stranger(rng, LINUX) for _ in range(rng.choice((1, 1, 2, 3)))], rng.choice(("fin", "server-fin"))
    step = extent.seconds / extent.amount
    packets: list[Packet] = []
    for number in range(extent.amount):
        when = at_ns + int((number + rng.random() * 0.4) * step * SECOND)
        packets += converse(rng, when, path._replace(client=guessers[number % len(guessers)], sport=high_port(rng)), turns(), ending)
    return packets


def ssh_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess SSH passwords on similar short connections; the extent counts connections."""
    tries, banner = rng.choice((1, 1, 2, 3)), rng.choice((b"SSH-2.0-libssh2_1.10.0\r\n", b"SSH-2.0-Go\r\n", b"SSH-2.0-paramiko_2.12.0\r\n"))

    def turns() -> list[Turn]:
        """Return one login that fails."""
        offer, reply = ssh_keys(rng)
        said = [Turn(CLIENT, banner), Turn(SERVER, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 6 * MILLISECOND)]
        said += [Turn(CLIENT, ssh_offer(rng)), Turn(SERVER, ssh_offer(rng)), Turn(CLIENT, offer), Turn(SERVER, reply, 3 * MILLISECOND)]
        said += [Turn(CLIENT, bytes.fromhex("0000000c0a1500000000000000000000") + rng.randbytes(52)), Turn(SERVER, rng.randbytes(52))]
        for _ in range(tries):
            said += [Turn(CLIENT, rng.randbytes(84)), Turn(SERVER, rng.randbytes(52), int(rng.uniform(0.2, 0.7) * SECOND))]
        return said

    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, 22), turns), "ssh-bruteforce", victim)


def ftp_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess FTP passwords, one to three on a connection; the extent counts connections."""
    tries, user = rng.choice((1, 2, 3)), rng.choice(("admin", "ftp", "root", "www-data"))

    def turns() -> list[Turn]:
        """Return one connection whose logins fail."""
        said = [Turn(SERVER, b"220 (vsFTPd 3.0.5)\r\n", 2 * MILLISECOND)]
        for _ in range(tries):
            said += [Turn(CLIENT, f"USER {user}\r\n".encode()), Turn(SERVER, b"331 Please specify the password.\r\n")]
            said.append(Turn(CLIENT, f"PASS {rng.choice(WORDS)}{rng.randrange(1000)}\r\n".encode()))
            said.append(Turn(SERVER, b"530 Login incorrect.\r\n", int(rng.uniform(0.1, 0.9) * SECOND)))
        return said

    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, 21), turns), "ftp-bruteforce", victim)


def mqtt_guessing(rng: random.Random, at_ns: int, extent: Extent, victim: Host) -> Attack:
    """Guess MQTT passwords, each connection refused with return code 5 or 4; the extent counts connections."""
    refusal = bytes((0x20, 2, 0, rng.choice((4, 5))))

    def turns() -> list[Turn]:
        """Return one CONNECT that is refused."""
        fields = (f"c{rng.getrandbits(24):06x}", rng.choice(("admin", "mqtt", "user")), f"{rng.choice(WORDS)}{rng.randrange(100)}")
        body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + b"".join(struct.pack(">H", len(text)) + text.encode() for text in fields)
        return [Turn(CLIENT, bytes((0x10, len(body))) + body), Turn(SERVER, refusal, 4 * MILLISECOND)]

    return application(_guess(rng, at_ns, extent, Path(victim, victim, 0, 1883), turns), "mqtt-bruteforce", victim)
